"""The patches of an image that a convolution of stride 2 sees, and their transpose.

Two neighbouring pixels of a row, which one patch begins with, lie side by side in memory, so that
patches are cut pair by pair. Along a row, for K = 4, padded to whole pairs:

    pairs       |p 0|1 2|3 4|5 p|      number 0, 1, 2, 3
    y_0          v=0 v=1               its patch: pairs 0 and 1
    y_1              v=0 v=1                      pairs 1 and 2
    y_2                  v=0 v=1                  pairs 2 and 3

so that the v-th pair of all patches is the slice [v : v + W] of the pairs. For an odd K the second
pixel of the last pair is left out. The transpose sends a pair of each patch back to where it came
from, and adds: pair 1 of x gets the v = 1 of y_0 and the v = 0 of y_1.
"""

import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array


def patches(
    x: Float[Array, "b h2 w2 c"],
    size: int,
) -> Float[Array, "b h w kkc"]:
    """Return the K x K pixels that each output of a convolution of stride 2 sees."""
    batch, height, width, channels = x.shape
    sides = padding(size)
    x = jnp.pad(x, ((0, 0), sides, sides, (0, 0)))
    rows = x.shape[1] // 2
    columns = x.shape[2] // 2
    # [B, 2 rows, 2 columns, C] -> [B, rows, 2 (parity of the row), columns, 2C (a pair)]
    x = x.reshape(batch, rows, 2, columns, 2 * channels)
    seen = []
    for i in range(size):
        # Row i of the kernel meets the rows i, i + 2, i + 4, ... of x.
        top = i // 2
        bottom = top + height // 2
        for v in range(_reach(size)):
            right = v + width // 2
            pair = x[:, top:bottom, i % 2, v:right]  # [B, H, W, 2C]
            left_over = (size - 2 * v) * channels
            seen.append(pair[..., :left_over])
    return jnp.concatenate(seen, axis=-1)


def overlapped(
    taps: Float[Array, "b h w kkc"],
    size: int,
) -> Float[Array, "b h2 w2 c"]:
    """Return the transpose of `patches`: each pixel gets the sum of what patches have for it."""
    batch, height, width, numbers = taps.shape
    channels = numbers // size**2
    reach = _reach(size)
    # [B, H, W, K*K*C] -> [B, H, W, K, K*C]
    taps = taps.reshape(batch, height, width, size, size * channels)
    even = _rows_of_parity(taps, 0, channels)
    odd = _rows_of_parity(taps, 1, channels)
    padded_height = 2 * (height + reach - 1)
    padded_width = 2 * (width + reach - 1)
    # 2 x [B, rows, columns, 2C] -> [B, rows, 2, columns, 2C] -> [B, 2 rows, 2 columns, C]
    pairs = jnp.stack([even, odd], axis=2)
    x = pairs.reshape(batch, padded_height, padded_width, channels)
    before, _ = padding(size)
    bottom = before + 2 * height
    right = before + 2 * width
    return x[:, before:bottom, before:right]


def _rows_of_parity(taps: Array, parity: int, channels: int) -> Array:
    """Add up the even (0) or odd (1) rows of the padded image, [B, rows, columns, 2C].

    Args:
      taps: [B, H, W, K, K*C], what each patch has for its pixels.
      parity: of the rows; those of the kernel that meet them have the same.
      channels: C.
    """
    batch, height, width, size, _ = taps.shape
    reach = _reach(size)
    shape = (batch, height + reach - 1, width + reach - 1, 2 * channels)
    total = jnp.zeros(shape, taps.dtype)
    for u, i in enumerate(range(parity, size, 2)):
        for v in range(reach):
            begin = 2 * v * channels
            end = begin + 2 * channels
            pair = taps[..., i, begin:end]  # [B, H, W, 2C]
            missing = 2 * channels - pair.shape[-1]  # C for the last pair of an odd K
            down = (u, reach - 1 - u)
            right = (v, reach - 1 - v)
            placed = jnp.pad(pair, ((0, 0), down, right, (0, missing)))
            total += placed
    return total


def padding(size: int) -> tuple[int, int]:
    """Return the padding of 'SAME' for stride 2 and even sides, with one more after for odd K."""
    before = max(size - 2, 0) // 2
    return before, 2 * _reach(size) - 2 - before


def _reach(size: int) -> int:
    """Return how many patches overlap in a pixel, along one side."""
    return (size + 1) // 2
