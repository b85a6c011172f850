"""Distances of all pairs of two sets, in blocks: a product of matrices, exact where it counts.

Squared Euclidean distances |x|^2 - 2 x.y + |y|^2 are quickly had of all pairs, with the rounding of
the farthest points. Who compares one with an `edge` has the block sharpened there first: what
rounding could bring to the other side is computed again from the differences of the two examples.
The outcome is that of all differences in float64, whatever the block, the order and the scale, and
two examples that are equal are at distance exactly 0.

The memory stays at some hundred MB however many examples there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from jaxgen.typing import Array

_BLOCK = 2**22  # numbers at once
_CENTRE_OF = 1000  # examples whose median is the origin
_EXACT = 2.0**53  # below, sums of whole numbers are exact


@final
@dataclass(frozen=True, eq=False)
class Block:
    """The squared distances of some x to all y.

    Attributes:
      rows: which of all x.
      x: these, [R, F].
      y: [M, F].
      squared: [R, M]; infinite from an x to itself, where only the others count.
      slack: the rounding in it, relative to |x|^2 and the distance; 0 of whole numbers.
      norm: |x|^2 from the centre, [R].
      others: y are all x, and no x is its own neighbour.
    """

    rows: slice
    x: np.ndarray
    y: np.ndarray
    squared: np.ndarray
    slack: float
    norm: np.ndarray
    others: bool

    def sharpen(self, edge: Float[np.ndarray, " r"]) -> Bool[np.ndarray, "r m"]:
        """Compute again what rounding could bring to the other side of the `edge`; return which."""
        with np.errstate(over="ignore", invalid="ignore"):
            margin = self.slack * (self.norm + edge)
            far = np.abs(self.squared - edge[:, None]) >= margin[:, None]
        doubtful = ~far  # also what is no number
        if self.others:
            doubtful[np.arange(len(self.x)), _numbers(self.rows)] = False
        i, j = np.nonzero(doubtful)
        step = max(1, _BLOCK // self.y.shape[1])
        for first in range(0, len(i), step):
            some = slice(first, first + step)
            of_x = self.x[i[some]]
            of_y = self.y[j[some]]
            self.squared[i[some], j[some]] = squared_differences(of_x, of_y)
        return doubtful


def blocks(
    x: Array,
    y: Array,
    *,
    others: bool = False,
) -> Iterator[Block]:
    """Yield the squared distances of all x to all y, some x at a time."""
    x = np.asarray(x)
    y = np.asarray(y)
    # |x|^2 - 2 x.y + |y|^2 cancels less near the origin; a median is not drawn away by far points.
    some = y[:: max(1, len(y) // _CENTRE_OF)]
    centre = np.median(some.astype(np.float64), axis=0)
    exact = _are_whole(x, y)
    if exact:
        centre = np.rint(centre)
    slack = 0.0 if exact else 8 * (y.shape[1] + 8) * np.finfo(np.float64).eps
    height = max(1, _BLOCK // len(y))
    width = max(1, _BLOCK // y.shape[1])
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        near = x[rows] - centre
        squared = np.empty((len(near), len(y)))
        with np.errstate(over="ignore", invalid="ignore"):  # beyond 1e154 all is computed again
            norm = np.square(near).sum(axis=1)
            for first in range(0, len(y), width):
                columns = slice(first, first + width)
                squared[:, columns] = _expanded(near, norm, y[columns] - centre)
        if others:
            squared[np.arange(len(near)), _numbers(rows)] = np.inf
        yield Block(rows, x[rows], y, squared, slack, norm, others)


def _expanded(
    x: np.ndarray,
    norm: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """Return |x|^2 - 2 x.y + |y|^2 of all pairs, [len(x), len(y)], not below 0."""
    squared = x @ y.T
    squared *= -2
    squared += norm[:, None]
    squared += np.square(y).sum(axis=1)
    return np.maximum(squared, 0, out=squared)


def squared_differences(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the squared distance of each x to its y, [N]; infinite beyond what float64 holds."""
    with np.errstate(over="ignore"):
        difference = x.astype(np.float64) - y
        return np.square(difference).sum(axis=1)


def _are_whole(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether all values are whole numbers, small enough for exact sums of their squares."""
    for values in (x, y):
        if not np.issubdtype(values.dtype, np.integer) and (values != np.rint(values)).any():
            return False
    spread = float(max(x.max(), y.max())) - float(min(x.min(), y.min()))
    return 4 * x.shape[1] * spread**2 < _EXACT


def _numbers(rows: slice) -> np.ndarray:
    """Return the numbers in a slice."""
    return np.arange(rows.start, rows.stop)
