"""Shifted convolutions: causality by padding rather than by masks, and weight normalisation.

The last row of a kernel lies on the pixel's own row. A kernel of odd width is centred on the
pixel's column, one of even width ends at it:

    2 x 3, "down-shifted":         . . .        2 x 2, "down-right-shifted":    . .
                                   . o .                                        . o

Shifting the first layer's result by a row (or a column) takes the pixel itself out. Strided, they
halve the sides (odd ones round up); the transposed ones double them.

    kernel = scale v / |v|,    |v| over all inputs of one output

separates a kernel's length from its direction (Salimans & Kingma, 2016, "Weight normalization",
arXiv 1602.07868); its first scale and bias give each output zero mean and unit variance on a batch.

Salimans, Karpathy, Chen & Kingma, 2017, "PixelCNN++" (arXiv 1701.05517).
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.bias import add_bias
from jaxgen.typing import Array

_LEAST_VARIANCE = 1e-6  # below it an output does not vary: at the top of an image nothing is seen


def concat_elu(x: Float[Array, "... c"]) -> Float[Array, "... c2"]:
    """Return elu of x and of -x side by side, twice the channels; zero at zero."""
    return jax.nn.elu(jnp.concatenate([x, -x], axis=-1))


def shift(
    x: Float[Array, "..."],
    axis: int,
) -> Float[Array, "..."]:
    """Move by one along `axis`, away from the origin; zeros come in."""
    ends = [(0, 0)] * x.ndim
    ends[axis] = (1, 0)
    padded = jnp.pad(x, ends)
    return jax.lax.slice_in_dim(padded, 0, x.shape[axis], axis=axis)  # the last one falls out


def shifted_conv(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
    *,
    stride: int = 1,
    top: int | None = None,
) -> Float[Array, "b h2 w2 o"]:
    """Convolve with a shifted kernel; zeros outside the image.

    Args:
      x: maps.
      kernel: its last row lies on the pixel, its columns as the module says.
      stride: between the pixels kept, the first of them at the origin.
      top: rows of zeros above; None for as many as give the first row a full kernel.
    """
    height, width = kernel.shape[:2]
    above = height - 1 if top is None else top
    # Width 3: one column of zeros on both sides. Width 2: one on the left, none on the right.
    sides = (width // 2, (width - 1) // 2)
    return jax.lax.conv_general_dilated(
        jnp.asarray(x),
        jnp.asarray(kernel),
        window_strides=(stride, stride),
        padding=((above, 0), sides),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def shifted_upsample(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "2 kw i o"],
) -> Float[Array, "b h2 w2 o"]:
    """Double the sides by the transposed convolution of stride 2 that keeps the order of pixels.

    Pixel (r, c) sees (r // 2, c // 2), and behind a kernel of width 3 an odd c its right neighbour
    too. Each output has but one or two inputs, so that it is a product with the kernel and a
    rearrangement: equal to the transposed convolution, without its slow gradient on CPU.
    """
    even = upsample_columns(x, kernel[0])
    odd = upsample_columns(x, kernel[1])
    rows = jnp.stack([even, odd], axis=2)  # [B, H, 2, 2W, O]
    b, h, _, w, features = rows.shape
    return rows.reshape(b, 2 * h, w, features)  # rows alternate


def upsample_columns(
    x: Float[Array, "... w i"],
    kernel: Float[Array, "kw i o"],
) -> Float[Array, "... w2 o"]:
    """Return one row of `shifted_upsample`.

    Input j reaches by tap k the output 2j + k - 1 (width 3) or 2j + k (width 2):

        inputs              0       1       2
        outputs, width 3    0   1   2   3   4   5       even: tap 1 of their input
        taps                1  2 0  1  2 0  1   2       odd: tap 2 of the left, tap 0 of the right
        taps, width 2       0   1   0   1   0   1
    """
    taps = [x @ tap for tap in kernel]  # kw x [..., W, O]
    if len(taps) == 3:
        from_right = jnp.roll(taps[0], -1, axis=-2).at[..., -1, :].set(0)
        taps = [taps[1], taps[2] + from_right]
    pairs = jnp.stack(taps, axis=-2)  # [..., W, 2, O] -> [..., 2W, O]
    return pairs.reshape(*x.shape[:-2], 2 * x.shape[-2], kernel.shape[-1])


def normalized(
    params: Mapping[str, Array],
    dtype: str = "float32",
) -> dict[str, Float[Array, "..."]]:
    """Return the {kernel, bias} that a convolution uses, from {kernel, scale, bias}."""
    unit = _unit(params["kernel"])
    kernel = unit * jax.lax.broadcast_to_rank(params["scale"], unit.ndim)
    return {"kernel": kernel.astype(dtype), "bias": params["bias"].astype(dtype)}


def data_dependent(
    kernel: Float[Array, "..."],
    respond: Callable[[Array], Array],
    gain: float = 1.0,
) -> tuple[dict[str, Float[Array, "..."]], Float[Array, "..."]]:
    """Return parameters {kernel, scale, bias} whose outputs have mean 0 and deviation `gain`.

    Args:
      kernel: of which the direction is used, outputs last.
      respond: the batch's outputs [..., o] for a kernel, without scale and bias.
      gain: the standard deviation of the outputs. An output that does not vary keeps the scale
        `gain` and a bias of 0.

    Returns:
      The parameters and the outputs [..., o] that they give.
    """
    outputs = respond(_unit(kernel))
    axes = tuple(range(outputs.ndim - 1))
    mean = outputs.mean(axes)
    variance = outputs.var(axes)
    varies = variance > _LEAST_VARIANCE
    # The inner `where` keeps an infinity out of the branch that is not taken.
    inverse_std = jax.lax.rsqrt(jnp.where(varies, variance, 1.0))
    scale = gain * jnp.where(varies, inverse_std, 1.0)
    bias = jnp.where(varies, -mean * scale, 0.0)
    params = {"kernel": kernel, "scale": scale, "bias": bias}
    scaled = outputs * jax.lax.broadcast_to_rank(scale, outputs.ndim)
    return params, add_bias(scaled, bias)


def _unit(kernel: Array) -> Array:
    """Return the kernel with length 1 over all inputs of each output."""
    inputs = tuple(range(kernel.ndim - 1))
    square = (kernel**2).sum(axis=inputs)  # [O]
    inverse_length = jax.lax.rsqrt(jnp.maximum(square, 1e-12))
    return kernel * jax.lax.broadcast_to_rank(inverse_length, kernel.ndim)
