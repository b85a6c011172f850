"""What nearest neighbours say of samples: quality, variety, and whether they are copies.

The balls around the real examples, each reaching to its k-th nearest real neighbour, estimate where
data lie, and those around the samples where samples lie:

    precision   share of samples in the ball of any real example           (Kynkäänniemi)
    recall      share of real examples in the ball of any sample
    density     balls that a sample lies in, on average, over k: may exceed 1          (Naeem)
    coverage    share of real examples with a sample in their ball

A sample of poor quality lowers precision and density, a mode that is never drawn recall and
coverage. Precision suffers from a single real outlier with a wide ball, density and coverage do
not; coverage of a perfect generator tends to 1 - 2^-k. Two sets of one distribution cannot be told
apart by a nearest neighbour: its accuracy is 1/2; near 0 if samples are copies of the examples.

Kynkäänniemi et al., 2019, "Improved precision and recall metric for assessing generative models"
(arXiv 1904.06991), algorithm 1, k = 3; Naeem et al., 2020, "Reliable fidelity and diversity metrics
for generative models" (arXiv 2002.09797), k = 5 and open balls; Lopez-Paz & Oquab, 2017,
"Revisiting classifier two-sample tests" (arXiv 1610.06545), with 1-NN as in Xu et al., 2018, "An
empirical study on evaluation metrics of generative adversarial networks" (arXiv 1806.07755).

Distances are Euclidean and are computed in blocks, so that the memory stays at some hundred MB
however many examples there are. Two examples that are equal are at distance exactly 0.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

_BLOCK = 2**22  # distances at once


def precision_recall(
    real: Float[Array, "n f"], samples: Float[Array, "m f"], k: int = 3
) -> tuple[float, float]:
    """(precision, recall), closed balls. Raises ConfigError unless each set has more than k."""
    precision = _in_any_ball(real, radii(real, k), samples).mean()
    recall = _in_any_ball(samples, radii(samples, k), real).mean()
    return float(precision), float(recall)


def density_coverage(
    real: Float[Array, "n f"], samples: Float[Array, "m f"], k: int = 5
) -> tuple[float, float]:
    """(density, coverage), open balls. Raises ConfigError unless there are more than k real."""
    radius, inside, covered = radii(real, k), 0, 0
    for rows, distance in _blocks(real, samples):
        hits = distance < radius[rows, None]
        inside += int(hits.sum())
        covered += int(hits.any(axis=1).sum())
    return inside / (k * len(samples)), covered / len(real)


def expected_coverage(num_real: int, num_samples: int, k: int = 5) -> float:
    """The mean coverage where both sets come from one distribution without ties."""
    i = np.arange(k)
    missed = np.prod((num_real - 1 - i) / (num_real + num_samples - 1 - i))
    return float(1 - missed)


def two_sample_accuracy(real: Float[Array, "n f"], samples: Float[Array, "m f"]) -> float:
    """How often an example's nearest other one is of its own set; a tie counts half.

    Both sets must be of one size (ConfigError): else the larger one is guessed right more often.
    """
    if len(real) != len(samples):
        raise ConfigError(f"{len(real)} real examples and {len(samples)} samples: expected as many")
    won = [_nearer_to_its_own(real, samples), _nearer_to_its_own(samples, real)]
    return float(np.concatenate(won).mean())


def nearest(
    x: Float[Array, "n f"], train: Float[Array, "m f"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Of each x its nearest training example: the index of it and the distance to it."""
    index = np.concatenate([distance.argmin(axis=1) for _, distance in _blocks(x, train)])
    difference = np.asarray(x, np.float64) - np.asarray(train)[index]
    return index, np.sqrt((difference**2).sum(axis=1))


def radii(x: Float[Array, "n f"], k: int) -> Float[np.ndarray, " n"]:
    """The squared distance of each example to its k-th nearest other one of the same set.

    Raises ConfigError unless there are more than k examples.
    """
    if len(x) <= k:
        raise ConfigError(f"{k}-th neighbours among {len(x)} examples: expected more than {k}")
    rows = (np.partition(distance, k - 1, axis=1) for _, distance in _others(x))
    return np.concatenate([row[:, k - 1].copy() for row in rows])  # a view would keep the block


def _in_any_ball(centres, radius, x):
    """bool [len(x)]: whether each x lies in the closed ball of any centre."""
    inside = np.zeros(len(x), bool)
    for rows, distance in _blocks(centres, x):
        inside |= (distance <= radius[rows, None]).any(axis=0)
    return inside


def _nearer_to_its_own(x, y):
    """Of each x: 1 if its nearest other is of x, 0 if it is of y, 1/2 if both are as near."""
    own = np.concatenate([distance.min(axis=1) for _, distance in _others(x)])
    other = np.concatenate([distance.min(axis=1) for _, distance in _blocks(x, y)])
    return (own < other) + (own == other) / 2


def _others(x):
    """`_blocks(x, x)` in which no example is near to itself."""
    for rows, distance in _blocks(x, x):
        distance[np.arange(len(distance)), np.arange(rows.start, rows.stop)] = np.inf
        yield rows, distance


def _blocks(x: Array, y: Array) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows of x, their squared distances to all of y, float32) for one block after another."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    centre = y.mean(axis=0)  # |x|^2 - 2 x.y + |y|^2 cancels less near the origin
    x, y = x - centre, y - centre
    x_norm, y_norm = (x**2).sum(axis=1), (y**2).sum(axis=1)
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        total = x_norm[rows, None] + y_norm
        squared = total - 2 * x[rows] @ y.T
        squared[squared < 1e-12 * total] = 0.0  # rounding: the two are equal
        # In float32 a distance is the same number in whatever block and order it was computed,
        # so that an example at the very edge of a ball is on one side of it for good.
        yield rows, squared.astype(np.float32)
