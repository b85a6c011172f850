"""The degrees of MADE's units, and the masks that follow from them.

Three elements in raster order have the degrees 1, 2, 3; three hidden units may be dealt 1, 1, 2. A
unit reads what is of its degree or below, an output what is below the rank of its element:

    inputs -> hidden            hidden -> outputs         inputs -> outputs, direct
          1  1  2                     1  2  3                   1  2  3
    1     x  x  x               1     .  x  x             1     .  x  x
    2     .  .  x               1     .  x  x             2     .  .  x
    3     .  .  .               2     .  .  x             3     .  .  .
"""

from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Masks(NamedTuple):
    """The connections that there are: bool [I, O] for each layer, and from inputs to outputs."""

    layers: tuple[Any, ...]
    direct: Any


def connect(
    xp: ModuleType,
    hidden: tuple[int, ...],
    order: Any,
    units: Any,
) -> Masks:
    """Return the masks of a structure, by NumPy or by jax.numpy.

    Args:
      xp: the module, `numpy` or `jax.numpy`.
      hidden: widths of the hidden layers.
      order: the elements in the order of drawing, int [D].
      units: the units of all hidden layers by rising degree, int [sum of widths].
    """
    rank = xp.argsort(order)  # 0 .. D - 1
    degrees = [rank + 1]
    for width, rising in zip(hidden, _split(units, hidden), strict=True):
        dealt = xp.asarray(dealt_degrees(width, rank.size))
        degrees.append(dealt[xp.argsort(rising)])
    layers = [below[:, None] <= above[None] for below, above in pairwise(degrees)]
    # An output reads what is of a lower degree than its element's, rank + 1.
    layers.append(degrees[-1][:, None] <= rank[None])
    return Masks(tuple(layers), rank[:, None] < rank[None])


def units_by_degree(
    hidden: tuple[int, ...],
    units: Any,
    dim: int,
) -> list[jax.Array]:
    """Return for each layer the units of degree t at [t], filled up with one beyond the last.

    A layer of three units, dealt the degrees 1, 1, 2 in the order 2, 0, 1, has the rows

        t = 0:  3 3     t = 1:  2 0     t = 2:  1 3
    """
    tables = []
    for width, rising in zip(hidden, _split(units, hidden), strict=True):
        places = _places(dealt_degrees(width, dim), dim)
        with_none = jnp.append(jnp.asarray(rising), width)
        tables.append(with_none[places])
    return tables


def dealt_degrees(width: int, dim: int) -> np.ndarray:
    """Return degrees 1 .. dim - 1, as evenly as they go into `width` units, rising: [width]."""
    return 1 + np.arange(width) * (dim - 1) // width


def _places(degrees: np.ndarray, dim: int) -> np.ndarray:
    """Return where degree t stands, at [t], filled up with one beyond the last: [dim, most]."""
    count = np.bincount(degrees, minlength=dim)[:dim]
    start = np.cumsum(count) - count  # degrees rise
    offset = np.arange(max(count.max(), 1))
    return np.where(offset < count[:, None], start[:, None] + offset, degrees.size)


def _split(
    units: Any,
    hidden: tuple[int, ...],
) -> list[Any]:
    """Return the units of each hidden layer, by rising degree: [width] each."""
    ends = np.cumsum(hidden)
    layers = []
    for end, width in zip(ends, hidden, strict=True):
        layers.append(units[end - width : end])
    return layers
