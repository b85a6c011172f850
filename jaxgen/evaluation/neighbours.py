"""Nearest neighbours, which tell the quality of samples, their variety, and copies.

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

Values repeat: blank images, binary data. Precision and recall take closed balls, as their paper
defines them, so that two equal sets have both. Of density and coverage the paper says 'the ball',
and its code, which takes open ones, gives two equal sets of repeated values 0. What an open ball
holds where no two distances are equal is k real examples: its centre and the k - 1 nearest others.
So does each ball here. Where the k-th neighbour is one of several at the same distance, all of
them, on the surface, fill the places that those inside leave, in equal parts:

    places = k - (real examples inside, the centre among them),    share = places / (on the surface)

A sample on the surface counts by that share, and covers the example if there are places. Two equal
sets have density and coverage 1, whatever repeats in them; without equal distances the share is 0.

Kynkäänniemi et al., 2019, "Improved precision and recall metric for assessing generative models"
(arXiv 1904.06991), algorithm 1, k = 3; Naeem et al., 2020, "Reliable fidelity and diversity metrics
for generative models" (arXiv 2002.09797), equations 4 and 5, k = 5; Lopez-Paz & Oquab, 2017,
"Revisiting classifier two-sample tests" (arXiv 1610.06545), with 1-NN as in Xu et al., 2018, "An
empirical study on evaluation metrics of generative adversarial networks" (arXiv 1806.07755).

*Differs from the papers:* places on the surface, as above.

Distances are Euclidean, and a decision is that of float64 (`distances.py`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxgen.errors import ConfigError
from jaxgen.evaluation.distances import Block, blocks, squared_differences
from jaxgen.typing import Array


class Balls(NamedTuple):
    """The balls around the examples of a set.

    Attributes:
      radius: [N], the squared distance of the k-th nearest other example.
      places: [N], of the k in each ball those that are left for its surface.
      surface: [N], examples at its radius.
    """

    radius: Float[np.ndarray, " n"]
    places: Int[np.ndarray, " n"]
    surface: Int[np.ndarray, " n"]


def precision_recall(
    real: Float[Array, "n f"],
    samples: Float[Array, "m f"],
    k: int = 3,
) -> tuple[float, float]:
    """Return (precision, recall), closed balls; ConfigError unless each set has more than k."""
    precision = _in_any_ball(real, radii(real, k), samples).mean()
    recall = _in_any_ball(samples, radii(samples, k), real).mean()
    return float(precision), float(recall)


def density_coverage(
    real: Float[Array, "n f"],
    samples: Float[Array, "m f"],
    k: int = 5,
) -> tuple[float, float]:
    """Return (density, coverage); ConfigError unless there are more than k real examples."""
    balls = balls_around(real, k)
    inside = 0.0
    covered = 0
    for block in blocks(real, samples):
        radius = balls.radius[block.rows]
        places = balls.places[block.rows]
        surface = balls.surface[block.rows]
        block.sharpen(radius)
        edge = radius[:, None]
        within = (block.squared < edge).sum(axis=1)  # [rows]
        on_edge = (block.squared == edge).sum(axis=1)
        held = within + places * on_edge / surface
        inside += float(held.sum())
        covered += int((held > 0).sum())
    return inside / (k * len(samples)), covered / len(real)


def expected_coverage(num_real: int, num_samples: int, k: int = 5) -> float:
    """Return the mean coverage where both sets come from one distribution without ties."""
    i = np.arange(k)
    others = num_real - 1 - i
    all_others = num_real + num_samples - 1 - i
    missed = np.prod(others / all_others)
    return float(1 - missed)


def two_sample_accuracy(real: Float[Array, "n f"], samples: Float[Array, "m f"]) -> float:
    """Return how often an example's nearest other one is of its own set; a tie counts half.

    Both sets must be of one size (ConfigError): else the larger one is guessed right more often.
    """
    if len(real) != len(samples):
        raise ConfigError(f"{len(real)} real examples and {len(samples)} samples: expected as many")
    of_real = _nearer_to_its_own(real, samples)
    of_samples = _nearer_to_its_own(samples, real)
    return float(np.concatenate([of_real, of_samples]).mean())


def nearest(
    x: Float[Array, "n f"], train: Float[Array, "m f"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the index of each x's nearest training example and the distance to it."""
    parts = []
    for block in blocks(x, train):
        block.sharpen(block.squared.min(axis=1))
        parts.append(block.squared.argmin(axis=1))
    index = np.concatenate(parts)
    found = np.asarray(train)[index]
    return index, np.sqrt(squared_differences(np.asarray(x), found))


def radii(x: Float[Array, "n f"], k: int) -> Float[np.ndarray, " n"]:
    """Return the squared distance of each example to its k-th nearest other one of the set.

    Raises ConfigError unless there are more than k examples.
    """
    return balls_around(x, k).radius


def balls_around(x: Float[Array, "n f"], k: int) -> Balls:
    """Return the balls that reach to the k-th nearest other example.

    Raises ConfigError unless there are more than k examples.
    """
    if len(x) <= k:
        raise ConfigError(f"{k}-th neighbours among {len(x)} examples: expected more than {k}")
    parts = []
    for block in blocks(x, x, others=True):
        radius = _kth_smallest(block, k)
        # The centre, which is at no distance from itself, is inside or, of a point, on the surface.
        edge = radius[:, None]
        inside = (block.squared < edge).sum(axis=1) + (radius > 0)
        surface = (block.squared == edge).sum(axis=1) + (radius == 0)
        parts.append((radius, k - inside, surface))
    radius, places, surface = map(np.concatenate, zip(*parts, strict=True))
    return Balls(radius, places, surface)


def _kth_smallest(block: Block, k: int) -> np.ndarray:
    """Return the k-th smallest distance of each row, [R], and sharpen the block about it."""
    about = _partitioned(block.squared, k)
    doubtful = block.sharpen(about)
    num = doubtful.sum(axis=1)
    alone = num == 1  # as nearly always: that one is it
    about[alone] = block.squared[alone][doubtful[alone]]
    several = num > 1
    about[several] = _partitioned(block.squared[several], k)
    return about


def _partitioned(squared: np.ndarray, k: int) -> np.ndarray:
    """Return the k-th smallest number of each row, [R]."""
    if k == 1:
        return squared.min(axis=1)
    return np.partition(squared, k - 1, axis=1)[:, k - 1].copy()  # a view would keep it all


def _in_any_ball(
    centres: Array,
    radius: np.ndarray,
    x: Array,
) -> np.ndarray:
    """Return whether each x lies in the closed ball of any centre, bool [len(x)]."""
    inside = np.zeros(len(x), bool)
    for block in blocks(centres, x):
        edge = radius[block.rows]
        block.sharpen(edge)
        inside |= (block.squared <= edge[:, None]).any(axis=0)
    return inside


def _nearer_to_its_own(x: Array, y: Array) -> np.ndarray:
    """Return for each x 1 if its nearest other is of x, 0 if it is of y, 1/2 if both are."""
    own = _smallest(blocks(x, x, others=True))
    other = _smallest(blocks(x, y))
    return (own < other) + (own == other) / 2


def _smallest(parts: Iterator[Block]) -> np.ndarray:
    """Return the smallest squared distance of each x, [N]."""
    return np.concatenate([_kth_smallest(block, 1) for block in parts])
