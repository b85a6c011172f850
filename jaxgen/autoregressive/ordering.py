"""Orderings as data: in which order a model reads the elements of an example.

The order is part of a model: p(x) = prod_t p(x_o(t) | x_o(1), ..., x_o(t-1)) is another family of
distributions for each permutation o.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from jaxgen.errors import ConfigError
from jaxgen.ranges import require_within

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

    def __post_init__(self):
        if self.kind not in get_args(Kind):
            raise ConfigError(
                f"ordering.kind: got {self.kind!r}, expected one of {', '.join(get_args(Kind))}"
            )
        require_within(0, 2**32 - 1, **{"ordering.seed": self.seed})

    def permutation(self, shape: tuple[int, ...]) -> np.ndarray:
        """int [D]: the flat index of the element that is read t-th, for each t."""
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
        return raster.reshape(shape).swapaxes(0, 1).reshape(-1)


def earlier(order: np.ndarray) -> np.ndarray:
    """bool [D, D]: whether element j comes before element i in the order, at [i, j]."""
    rank = np.argsort(order)
    return rank[None, :] < rank[:, None]
