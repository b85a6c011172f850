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

from jaxgen.typing import Array

_LEAST_VARIANCE = 1e-6  # below it an output does not vary: at the top of an image nothing is seen


def concat_elu(x: Float[Array, "... c"]) -> Float[Array, "... c2"]:
    """elu of x and of -x, twice the channels; zero at zero."""
    return jax.nn.elu(jnp.concatenate([x, -x], axis=-1))


def shift(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """Moves by one along `axis`, away from the origin; zeros come in."""
    ends = [(0, 0)] * x.ndim
    ends[axis] = (1, 0)
    return jax.lax.slice_in_dim(jnp.pad(x, ends), 0, x.shape[axis], axis=axis)


def shifted_conv(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
    *,
    stride: int = 1,
    top: int | None = None,
) -> Float[Array, "b h2 w2 o"]:
    """A shifted convolution; zeros outside the image.

    Args:
      x: maps.
      kernel: its last row lies on the pixel, its columns as the module says.
      stride: between the pixels kept, the first of them at the origin.
      top: rows of zeros above; None for as many as give the first row a full kernel.
    """
    height, width = kernel.shape[:2]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((height - 1 if top is None else top, 0), (width // 2, (width - 1) // 2)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def shifted_upsample(
    x: Float[Array, "b h w i"], kernel: Float[Array, "2 kw i o"]
) -> Float[Array, "b h2 w2 o"]:
    """The transposed convolution of stride 2 that keeps the order of pixels; sides double.

    Pixel (r, c) sees (r // 2, c // 2), and behind a kernel of width 3 an odd c its right neighbour
    too. Each output has but one or two inputs, so that it is a product with the kernel and a
    rearrangement: equal to the transposed convolution, without its slow gradient on CPU.
    """
    rows = jnp.stack([upsample_columns(x, kernel[0]), upsample_columns(x, kernel[1])], axis=2)
    b, h, _, w, features = rows.shape
    return rows.reshape(b, 2 * h, w, features)


def upsample_columns(
    x: Float[Array, "... w i"], kernel: Float[Array, "kw i o"]
) -> Float[Array, "... w2 o"]:
    """One row of `shifted_upsample`."""
    taps = [x @ tap for tap in kernel]
    if len(taps) == 3:  # output 2j + k - 1 of input j by tap k: odd columns have two inputs
        from_right = jnp.roll(taps[0], -1, axis=-2).at[..., -1, :].set(0)
        taps = [taps[1], taps[2] + from_right]
    pairs = jnp.stack(taps, axis=-2)
    return pairs.reshape(*x.shape[:-2], 2 * x.shape[-2], kernel.shape[-1])


def normalized(
    params: Mapping[str, Array], dtype: str = "float32"
) -> dict[str, Float[Array, "..."]]:
    """{kernel, bias} from {kernel, scale, bias}: what the convolution is to use."""
    kernel = _unit(params["kernel"]) * params["scale"]
    return {"kernel": kernel.astype(dtype), "bias": params["bias"].astype(dtype)}


def data_dependent(
    kernel: Float[Array, "..."], respond: Callable[[Array], Array], gain: float = 1.0
) -> tuple[dict[str, Float[Array, "..."]], Float[Array, "..."]]:
    """Parameters {kernel, scale, bias} whose outputs have mean 0, standard deviation `gain`.

    Args:
      kernel: of which the direction is used, outputs last.
      respond: the batch's outputs [..., o] for a kernel, without scale and bias.
      gain: of the outputs. An output that does not vary keeps the scale `gain` and a bias of 0.

    Returns:
      The parameters and the outputs [..., o] that they give.
    """
    outputs = respond(_unit(kernel))
    axes = tuple(range(outputs.ndim - 1))
    mean, variance = outputs.mean(axes), outputs.var(axes)
    varies = variance > _LEAST_VARIANCE
    scale = gain * jnp.where(varies, jax.lax.rsqrt(jnp.where(varies, variance, 1.0)), 1.0)
    bias = jnp.where(varies, -mean * scale, 0.0)
    return {"kernel": kernel, "scale": scale, "bias": bias}, outputs * scale + bias


def _unit(kernel):
    """Of length 1 for each output."""
    square = (kernel**2).sum(axis=tuple(range(kernel.ndim - 1)))
    return kernel * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
