"""The kernel distance between two sets of features: an unbiased squared maximum mean discrepancy.

A kernel k compares features, and with it two distributions p and q by

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),    x, x' ~ p and y, y' ~ q, all independent.

With the polynomial kernel k(x, y) = (x . y / d + 1)^3 of d features, all moments up to the third
are compared. The estimate leaves out each example's kernel with itself, which makes it unbiased at
any number of examples, unlike the Frechet distance; it may therefore be negative.

Binkowski et al., 2018, "Demystifying MMD GANs" (arXiv 1801.01401); the estimate: Gretton et al.,
2012, "A kernel two-sample test", lemma 6.

*Differs from the paper:* the features are any, hence the plain name. Of fewer than 2000 examples a
subset holds half, for subsets that hold all examples would all be the same.
"""

import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

NUM_SUBSETS = 50
SUBSET_SIZE = 1000


def polynomial_kernel(x: Float[Array, "n f"], y: Float[Array, "m f"]) -> Float[np.ndarray, "n m"]:
    """Return (x . y / d + 1)^3 of every pair, in float64."""
    dim = x.shape[1]
    product = np.asarray(x, np.float64) @ np.asarray(y, np.float64).T
    return (product / dim + 1.0) ** 3


def squared_mmd(x: Float[Array, "n f"], y: Float[Array, "m f"]) -> float:
    """Return the unbiased estimate from all pairs of different examples.

    Raises ConfigError for fewer than 2 examples on a side.
    """
    if min(len(x), len(y)) < 2:
        raise ConfigError(f"pairs of {len(x)} and of {len(y)} examples: expected 2 or more")
    between = float(polynomial_kernel(x, y).mean())
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * between


def subset_size(num: int) -> int:
    """Return how many of `num` examples a subset holds."""
    return min(SUBSET_SIZE, max(2, num // 2))


def kernel_distance(
    x: Float[Array, "n f"],
    y: Float[Array, "m f"],
    *,
    num_subsets: int = NUM_SUBSETS,
    size: int | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the estimate over random subsets.

    Args:
      x: features of one set.
      y: features of the other.
      num_subsets: how many, each drawn without replacement from both sets.
      size: of a subset; default `subset_size` of the smaller set.
      seed: of the subsets.

    Returns:
      The mean over the subsets, and their standard deviation. The subsets overlap, so that it is no
      standard error of the mean.
    """
    fewest = min(len(x), len(y))
    size = subset_size(fewest) if size is None else size
    if not 2 <= size <= fewest:
        raise ConfigError(f"subsets of {size} examples: expected 2 .. {fewest}")
    random = np.random.default_rng(seed)
    values = []
    for _ in range(num_subsets):
        of_x = random.choice(len(x), size, replace=False)
        of_y = random.choice(len(y), size, replace=False)
        values.append(squared_mmd(x[of_x], y[of_y]))
    return float(np.mean(values)), float(np.std(values))


def _mean_of_pairs(x: Array) -> float:
    """Return the mean kernel of two different examples of one set."""
    kernel = polynomial_kernel(x, x)
    num_pairs = len(x) * (len(x) - 1)
    return float((kernel.sum() - np.trace(kernel)) / num_pairs)
