"""The Frechet distance between two sets of features, each taken for a Gaussian.

Examples are mapped to features, and the features of data and of samples are compared by their means
m and covariances S alone:

    d = |m_1 - m_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)),

the square of the Wasserstein-2 distance between N(m_1, S_1) and N(m_2, S_2). It is 0 for equal
moments, whatever else differs; and its estimate from N examples is too large by about 1/N, so that
numbers compare at equal N only, beside that of data against data.

Heusel et al., 2017, "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium" (arXiv 1706.08500); Dowson & Landau, 1982, "The Frechet distance between multivariate
normal distributions"; the bias: Chong & Forsyth, 2020, "Effectively unbiased FID and Inception
Score and where to find them" (arXiv 1911.07023). Moments of several batches: Chan, Golub & LeVeque,
1983, "Algorithms for computing the sample variance: analysis and recommendations".

*Differs from the paper:* the features are any, hence the plain name: FID is this distance with the
features of one Inception network. The root is taken of the symmetric S_1^(1/2) S_2 S_1^(1/2), which
has the eigenvalues of S_1 S_2 and no imaginary part to be dropped.
"""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

_RIDGE = 1e-6  # added to the covariances where the root is not finite, as in the authors' code


class Moments(NamedTuple):
    """What the distance needs of a set of features, in float64.

    Attributes:
      num: how many examples.
      mean: [F].
      scatter: [F, F], the sum over examples of (x - mean) (x - mean)^T.
    """

    num: int
    mean: Float[np.ndarray, " f"]
    scatter: Float[np.ndarray, "f f"]

    @property
    def covariance(self) -> Float[np.ndarray, "f f"]:
        """The unbiased estimate, scatter / (num - 1). Raises ConfigError for a single example."""
        if self.num < 2:
            raise ConfigError(f"a covariance of {self.num} example: expected 2 or more")
        return self.scatter / (self.num - 1)


def moments(features: Float[Array, "n f"]) -> Moments:
    """The moments of one batch."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    return Moments(len(features), mean, centred.T @ centred)


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of two batches taken together."""
    num, shift = a.num + b.num, b.mean - a.mean
    scatter = a.scatter + b.scatter + np.outer(shift, shift) * (a.num * b.num / num)
    return Moments(num, a.mean + shift * (b.num / num), scatter)


def moments_of_batches(batches: Iterable[Float[Array, "_ f"]]) -> Moments:
    """The moments of all batches together, however the examples are divided among them."""
    return reduce(merge, map(moments, batches))


def frechet_distance(
    mean_1: Float[Array, " f"],
    covariance_1: Float[Array, "f f"],
    mean_2: Float[Array, " f"],
    covariance_2: Float[Array, "f f"],
) -> float:
    """The (squared) distance between two Gaussians, >= 0."""
    given = (mean_1, covariance_1, mean_2, covariance_2)
    m_1, s_1, m_2, s_2 = (np.asarray(each, np.float64) for each in given)
    overlap = _trace_of_root(s_1, s_2)
    if not np.isfinite(overlap):
        ridge = _RIDGE * np.eye(len(s_1))
        overlap = _trace_of_root(s_1 + ridge, s_2 + ridge)
    distance = ((m_1 - m_2) ** 2).sum() + np.trace(s_1) + np.trace(s_2) - 2 * overlap
    return float(np.maximum(distance, 0.0))  # rounding may leave -1e-15; NaN stays NaN


def distance_of_moments(a: Moments, b: Moments) -> float:
    """The Frechet distance between two sets of features whose moments are known."""
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def distance_of_features(x: Float[Array, "n f"], y: Float[Array, "m f"]) -> float:
    """The Frechet distance between two sets of features."""
    return distance_of_moments(moments(x), moments(y))


def _trace_of_root(a, b):
    """Tr (a b)^(1/2) of two covariances; NaN where their eigenvalues cannot be found."""
    try:
        values, vectors = np.linalg.eigh(a)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0.0)).sum()
    except np.linalg.LinAlgError:
        return np.nan
