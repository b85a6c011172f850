"""Masked convolutions: a pixel sees the rows above it and what is left of it in its own row.

The kernel holds the rows down to the pixel's own and no others. In its last row the taps right of
the centre are masked, and the centre itself by the kind of mask. Of a 3 x 3 kernel:

    what the pixel o may see         mask A         mask B
        x x x                         1 1 1          1 1 1      rows above: all
        x o .                         1 0 0          1 1 0      own row: left, and the centre
        . . .                                                   below: not even stored

With channels in groups (R, G, B of an image, and the maps that carry them) a map of group g sees at
the centre the groups before g (mask A, the first layer) or up to g (mask B, all others):

    mask A   to R  G  B              mask B   to R  G  B
    from R      0  1  1              from R      1  1  1
         G      0  0  1                   G      0  1  1
         B      0  0  0                   B      0  0  1

The mask is applied in the forward pass, for a masked initialisation alone would grow back through
the optimiser.

van den Oord et al., 2016, "Pixel recurrent neural networks" (arXiv 1601.06759), section 3.3.
"""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

MaskKind = Literal["A", "B"]


def group_mask(
    inputs: int,
    outputs: int,
    kind: MaskKind,
    groups: int = 1,
    blocks: int = 1,
) -> np.ndarray:
    """Return which channels a pixel sees of itself, bool [inputs, outputs].

    Args:
      inputs: channels in, cut into `groups` equal parts.
      outputs: channels out: `blocks` (the gates of a cell) equal parts, each cut into `groups`.
      kind: 'A' without a group's own values, 'B' with them.
      groups: 1, or the channels of the image.
      blocks: parts of the output that are cut each for itself.
    """
    if inputs % groups or outputs % (blocks * groups):
        raise ConfigError(
            f"features: {inputs} -> {outputs} cannot be cut into {groups} groups for the channels"
        )
    width = outputs // blocks
    # The group of each channel: 0 0 1 1 2 2 for six channels in three groups, again in each block.
    source = np.arange(inputs) // (inputs // groups)
    target = np.arange(outputs) % width // (width // groups)
    if kind == "A":
        return source[:, None] < target
    return source[:, None] <= target


def kernel_mask(
    kernel_size: tuple[int, int],
    inputs: int,
    outputs: int,
    kind: MaskKind,
    groups: int,
    blocks: int,
) -> np.ndarray:
    """Return the taps that a pixel may see, bool [kh // 2 + 1, kw, inputs, outputs]."""
    height, width = kernel_size
    rows = height // 2 + 1
    centre = width // 2
    mask = np.ones((rows, width, inputs, outputs), bool)
    mask[-1, centre + 1 :] = False
    mask[-1, centre] = group_mask(inputs, outputs, kind, groups, blocks)
    return mask


def live_taps(shape: tuple[int, ...], kind: MaskKind, groups: int = 1) -> np.ndarray:
    """Return the taps of a masked kernel of this shape that are not all zeros, bool [kh, kw]."""
    rows, width = shape[:2]
    centre = width // 2
    live = np.ones((rows, width), bool)
    live[-1, centre + 1 :] = False
    # With groups the centre of mask A is not empty: G sees R.
    live[-1, centre] = kind == "B" or groups > 1
    return live


def causal_conv(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
    live: np.ndarray | None = None,
) -> Float[Array, "b h w o"]:
    """Convolve with a kernel whose last row, middle column lies on the pixel; zeros outside.

    The one place that chooses the form: on CPU XLA multiplies matrices faster than it convolves,
    and the kernel's gradient of its convolution is some 40 times slower inside a scan.

    Args:
      x: the maps.
      kernel: kh rows, the last of them the pixel's own; kw is odd.
      live: bool [kh, kw], False at taps that are known to be zero; None: all may count.
    """
    if jax.default_backend() == "cpu":
        return conv_by_matmul(x, kernel, live)
    return conv_by_lax(x, kernel)


def conv_by_lax(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
) -> Float[Array, "b h w o"]:
    """Compute `causal_conv` as the convolution of the backend's library."""
    height, width = kernel.shape[:2]
    side = width // 2
    return jax.lax.conv_general_dilated(
        jnp.asarray(x),
        jnp.asarray(kernel),
        window_strides=(1, 1),
        padding=((height - 1, 0), (side, side)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def conv_by_matmul(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
    live: np.ndarray | None = None,
) -> Float[Array, "b h w o"]:
    """Compute `causal_conv` as one product: the live taps' inputs, side by side, times weights.

    The backward pass lays them out again, which is cheaper than to keep them.
    """
    rows_above = kernel.shape[0] - 1
    padded = jnp.pad(x, ((0, 0), (rows_above, 0), (0, 0), (0, 0)))

    def convolve(x: Array, kernel: Array) -> Array:
        return conv_rows(x, kernel, live)

    return jax.checkpoint(convolve)(padded, kernel)


def conv_rows(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i o"],
    live: np.ndarray | None = None,
) -> Float[Array, "b h2 w o"]:
    """Convolve as `causal_conv` does, but only rows with all kh rows of the kernel: H - kh + 1.

    Each live tap is the whole image, shifted. Of a 2 x 3 kernel with four live taps:

        a b c        pixel o:  [a | b | c | d] @ [W_a; W_b; W_c; W_d]
        d o .
    """
    rows, width = kernel.shape[:2]
    height = x.shape[1] - rows + 1
    columns = x.shape[2]
    side = width // 2
    all_taps = np.ones((rows, width), bool)
    taps = np.argwhere(all_taps if live is None else live)  # [T, 2]: row and column in the kernel
    x = jnp.pad(x, ((0, 0), (0, 0), (side, side), (0, 0)))
    seen = [x[:, r : r + height, c : c + columns] for r, c in taps]  # T x [B, H', W, I]
    weights = [kernel[r, c] for r, c in taps]  # T x [I, O]
    # [B, H', W, T*I] @ [T*I, O] -> [B, H', W, O]
    return jnp.concatenate(seen, axis=-1) @ jnp.concatenate(weights)


def coordinates(height: int, width: int) -> np.ndarray:
    """Return row and column of each pixel from -1 to 1, [H, W, 2].

    A convolution does not know where it is: these are maps for it to read.
    """
    rows = _from_minus_one_to_one(height)
    columns = _from_minus_one_to_one(width)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.stack(grid, axis=-1).astype(np.float32)


def _from_minus_one_to_one(num: int) -> np.ndarray:
    """Return `num` equally spaced numbers, [num]; a single one is 0."""
    return np.linspace(-1, 1, num) if num > 1 else np.zeros(1)


def masked_kernel(
    module: Any,
    name: str,
    mask: np.ndarray,
    batch_axis: tuple[int, ...] = (),
) -> jax.Array:
    """Return a kernel of the module, zero where the mask is False, in the module's dtype.

    Args:
      module: a Linen module with a field `dtype`, in its compact method.
      name: of the parameter.
      mask: bool [..., inputs, outputs].
      batch_axis: axes over which there are several kernels, rather than the taps of one.
    """
    initial = nn.initializers.lecun_normal(batch_axis=batch_axis)
    kernel = module.param(name, initial, mask.shape)
    return jnp.where(mask, kernel, 0).astype(module.dtype)
