"""The Frechet distance between two sets of features, each taken for a Gaussian.

Examples are mapped to features, and the features of data and of samples are compared by their means
m and covariances S alone:

    d = |m_1 - m_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)),

the square of the Wasserstein-2 distance between N(m_1, S_1) and N(m_2, S_2). It is 0 for equal
moments, whatever else differs; and its estimate from N examples is too large by about 1/N, so that
numbers compare at equal N only, beside that of data against data.

A covariance computed from N features and a root taken of its eigenvalues lose half of the digits,
and near 0, or where there are fewer examples than features, all of them. No covariance is formed
here. With factors R of S = R^T R, which are the triangle of the centred features' QR
decomposition, Tr (S_1 S_2)^(1/2) is the nuclear norm of R_1 R_2^T = U s V^T, and

    Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) = min over orthogonal Q of |R_1 - Q R_2|^2,    at Q = U V^T,

a sum of squares in which nothing cancels: of two equal sets it is 0 to the last digit.

Heusel et al., 2017, "GANs trained by a two time-scale update rule converge to a local Nash
equilibrium" (arXiv 1706.08500); Dowson & Landau, 1982, "The Frechet distance between multivariate
normal distributions"; the minimum: Bhatia, Jain & Lim, 2019, "On the Bures-Wasserstein distance
between positive definite matrices" (arXiv 1712.01504), theorem 1; the bias: Chong & Forsyth, 2020,
"Effectively unbiased FID and Inception Score and where to find them" (arXiv 1911.07023). Moments of
several batches: Chan, Golub & LeVeque, 1983, "Algorithms for computing the sample variance:
analysis and recommendations".

*Differs from the paper:* the features are any, hence the plain name: FID is this distance with the
features of one Inception network. Its code takes the root of S_1 S_2, drops its imaginary part and
adds 1e-6 to the covariances where there is none.
"""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array


class Moments(NamedTuple):
    """The moments of a set of features that the distance needs, in float64.

    Attributes:
      num: how many examples.
      mean: [F].
      factor: [R, F], R at most the least of the examples and F; factor^T factor is the scatter.
    """

    num: int
    mean: Float[np.ndarray, " f"]
    factor: Float[np.ndarray, "r f"]

    @property
    def scatter(self) -> Float[np.ndarray, "f f"]:
        """The sum over examples of (x - mean) (x - mean)^T."""
        return self.factor.T @ self.factor

    @property
    def covariance(self) -> Float[np.ndarray, "f f"]:
        """The unbiased estimate, scatter / (num - 1). Raises ConfigError for a single example."""
        return self.scatter / self._freedom

    @property
    def root(self) -> Float[np.ndarray, "r f"]:
        """R of the covariance R^T R. Raises ConfigError for a single example."""
        return self.factor / np.sqrt(self._freedom)

    @property
    def _freedom(self) -> int:
        if self.num < 2:
            raise ConfigError(f"a covariance of {self.num} example: expected 2 or more")
        return self.num - 1


def moments(features: Float[Array, "n f"]) -> Moments:
    """Return the moments of one batch."""
    features = np.asarray(features, np.float64)
    origin = features[0]  # far from 0 the mean of the differences is the more exact
    mean = origin + (features - origin).mean(axis=0)
    return Moments(len(features), mean, _triangle(features - mean))


def merge(a: Moments, b: Moments) -> Moments:
    """Return the moments of two batches taken together."""
    num = a.num + b.num
    shift = b.mean - a.mean
    mean = a.mean + shift * (b.num / num)
    between = shift * np.sqrt(a.num * b.num / num)
    return Moments(num, mean, _triangle(np.vstack([a.factor, b.factor, between])))


def moments_of_batches(batches: Iterable[Float[Array, "_ f"]]) -> Moments:
    """Return the moments of all batches together, however examples are divided among them."""
    return reduce(merge, map(moments, batches))


def frechet_distance(
    mean_1: Float[Array, " f"],
    covariance_1: Float[Array, "f f"],
    mean_2: Float[Array, " f"],
    covariance_2: Float[Array, "f f"],
) -> float:
    """Return the (squared) distance between two Gaussians, >= 0.

    Near 0 that of features, or of their `Moments`, has the more digits.
    """
    m_1 = np.asarray(mean_1, np.float64)
    m_2 = np.asarray(mean_2, np.float64)
    s_1 = np.asarray(covariance_1, np.float64)
    s_2 = np.asarray(covariance_2, np.float64)
    of_means = _sum_of_squares(m_1 - m_2)
    if not (np.isfinite(s_1).all() and np.isfinite(s_2).all()):
        return float("nan")
    return of_means + _between_roots(_root(s_1), _root(s_2))


def distance_of_moments(a: Moments, b: Moments) -> float:
    """Return the Frechet distance between two sets of features whose moments are known."""
    of_means = _sum_of_squares(a.mean - b.mean)
    return of_means + _between_roots(a.root, b.root)


def distance_of_features(x: Float[Array, "n f"], y: Float[Array, "m f"]) -> float:
    """Return the Frechet distance between two sets of features."""
    origin = np.asarray(y[0], np.float64)  # the means may be large beside their difference
    return distance_of_moments(moments(x - origin), moments(y - origin))


def _between_roots(r_1: np.ndarray, r_2: np.ndarray) -> float:
    """Return the least |r_1 - Q r_2|^2 of all orthogonal Q, r_1 and r_2 [.., F]."""
    if not (np.isfinite(r_1).all() and np.isfinite(r_2).all()):
        return float("nan")
    height = max(len(r_1), len(r_2))
    r_1 = _padded(r_1, height)
    r_2 = _padded(r_2, height)
    u, _, v = np.linalg.svd(_of_order_1(r_1) @ _of_order_1(r_2).T)
    turned = u @ (v @ r_2)
    return _sum_of_squares(r_1 - turned)


def _of_order_1(x: np.ndarray) -> np.ndarray:
    """Return x by its largest number, so that no product leaves the range of float64."""
    largest = np.abs(x).max(initial=0.0)
    return x / largest if largest > 0 else x


def _sum_of_squares(x: np.ndarray) -> float:
    """Return |x|^2; infinite where that is beyond float64."""
    largest = np.abs(x).max(initial=0.0)
    with np.errstate(over="ignore", under="ignore"):
        return float(np.square(_of_order_1(x)).sum() * np.square(largest))


def _padded(root: np.ndarray, height: int) -> np.ndarray:
    """Return a root of the same covariance with zeros below, [height, F]."""
    missing = height - len(root)
    return np.pad(root, ((0, missing), (0, 0)))


def _triangle(x: np.ndarray) -> np.ndarray:
    """Return the triangle R of x [N, F] = Q R, [min(N, F), F]."""
    return np.asarray(np.linalg.qr(x, mode="r"))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return R of a covariance R^T R, [F, F].

    Eigenvalues that are rounding are 0: the root of 1e-16 would be 1e-8.
    """
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    values = np.where(values > rounding, values, 0.0)
    return np.sqrt(values)[:, None] * vectors.T
