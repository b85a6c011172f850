"""Skewing: each row of an image is shifted by its number, so that a diagonal is a column.

    a b c        a b c . .      the diagonals a | b d | c e g | f h | i
    d e f   ->   . d e f .
    g h i        . . g h i

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), section 3.2 and figure 3.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array


def skew(x: Float[Array, "... h w c"]) -> Float[Array, "... h j c"]:
    """Return x with row r shifted right by r: [H, W, C] -> [H, H + W - 1, C], zeros elsewhere.

    Rows of W + H cells are laid end to end and cut again into rows of one cell less:

        a b . .             a b . . c d . .             a b .
        c d . .      ->                          ->     . c d        the last H cells are left over
    """
    *batch, height, width, channels = x.shape
    padding = [(0, 0)] * len(batch) + [(0, 0), (0, height), (0, 0)]
    wide = jnp.pad(x, padding)  # [..., H, W + H, C]
    cells = wide.reshape(*batch, height * (width + height), channels)
    cells = cells[..., :-height, :]
    return cells.reshape(*batch, height, width + height - 1, channels)


def unskew(
    x: Float[Array, "... h j c"],
    width: int,
) -> Float[Array, "... h w c"]:
    """Return the inverse of `skew`: row r from column r on, [H, H + W - 1, C] -> [H, W, C]."""
    *batch, height, steps, channels = x.shape
    cells = x.reshape(*batch, height * steps, channels)
    padding = [(0, 0)] * len(batch) + [(0, height), (0, 0)]
    cells = jnp.pad(cells, padding)
    wide = cells.reshape(*batch, height, steps + 1, channels)  # one cell more in each row
    return wide[..., :width, :]


def shift_down(
    x: Float[Array, "b h ..."],
    axis: int = 1,
) -> Float[Array, "b h ..."]:
    """Return x with each row in the place of the next, and zeros in the first."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 0)
    longer = jnp.pad(x, padding)
    return jax.lax.slice_in_dim(longer, 0, x.shape[axis], axis=axis)
