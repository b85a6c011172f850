"""Orderings as data: in which order a model reads the elements of an example.

The order is part of a model: p(x) = prod_t p(x_o(t) | x_o(1), ..., x_o(t-1)) is another family of
distributions for each permutation o.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from jaxgen.arguments import require_within
from jaxgen.errors import ConfigError

Kind = Literal["raster", "reversed", "column", "random"]


@dataclass(frozen=True)
class Ordering:
    """A permutation of the elements of an example.

    Attributes:
      kind: 'raster' row by row, 'reversed' from the last element to the first, 'column' column by
        column (images alone), 'random' drawn once.
      seed: of the random permutation.
    """

    kind: Kind = "raster"
    seed: int = 0

    def __post_init__(self) -> None:
        known = get_args(Kind)
        if self.kind not in known:
            raise ConfigError(
                f"ordering.kind: got {self.kind!r}, expected one of {', '.join(known)}"
            )
        require_within(0, 2**32 - 1, **{"ordering.seed": self.seed})

    def permutation(
        self,
        shape: tuple[int, ...],
    ) -> np.ndarray:
        """Return the flat index of the element that is read t-th, for each t: int [D]."""
        raster = np.arange(math.prod(shape))
        match self.kind:
            case "raster":
                return raster
            case "reversed":
                return raster[::-1].copy()
            case "random":
                return np.random.default_rng(self.seed).permutation(raster)
        if len(shape) != 3:
            raise ConfigError(f"ordering.kind: 'column' is for images [H, W, C], not {list(shape)}")
        by_column = raster.reshape(shape).swapaxes(0, 1)  # [H, W, C] -> [W, H, C]
        return by_column.reshape(-1)


def earlier(order: np.ndarray) -> np.ndarray:
    """Return whether element j comes before element i in the order, bool [D, D] at [i, j].

    For the order 2, 0, 1 the ranks of the elements 0, 1, 2 are 1, 2, 0, and so

              j = 0  1  2
        i = 0     .  .  x
        i = 1     x  .  x
        i = 2     .  .  .
    """
    rank = np.argsort(order)
    return rank[None, :] < rank[:, None]
