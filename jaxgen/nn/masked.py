"""Masked convolutions: a pixel sees the rows above it and what is left of it in its own row.

The kernel holds the rows down to the pixel's own and no others. In its last row the taps right of
the centre are masked, and the centre itself by the kind of mask: with channels in groups (R, G, B
of an image, and the maps that carry them) a map of group g sees at the centre the groups before g
(mask A, the first layer) or up to g (mask B, all others). The mask is applied in the forward pass,
for a masked initialisation alone would grow back through the optimiser.

van den Oord et al., 2016, "Pixel recurrent neural networks" (arXiv 1601.06759), section 3.3.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

MaskKind = Literal["A", "B"]


def group_mask(
    inputs: int, outputs: int, kind: MaskKind, groups: int = 1, blocks: int = 1
) -> np.ndarray:
    """Which channels a pixel sees of itself, bool [inputs, outputs].

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
    source = np.arange(inputs) // (inputs // groups)
    width = outputs // blocks
    target = np.arange(outputs) % width // (width // groups)
    return source[:, None] < target if kind == "A" else source[:, None] <= target


def kernel_mask(
    kernel_size: tuple[int, int],
    inputs: int,
    outputs: int,
    kind: MaskKind,
    groups: int,
    blocks: int,
) -> np.ndarray:
    """bool [kh // 2 + 1, kw, inputs, outputs]: the taps that a pixel may see."""
    height, width = kernel_size
    mask = np.ones((height // 2 + 1, width, inputs, outputs), bool)
    mask[-1, width // 2 + 1 :] = False
    mask[-1, width // 2] = group_mask(inputs, outputs, kind, groups, blocks)
    return mask


def live_taps(shape: tuple[int, ...], kind: MaskKind, groups: int = 1) -> np.ndarray:
    """bool [kh, kw]: the taps of a masked kernel of this shape that are not all zeros."""
    live = np.ones(shape[:2], bool)
    live[-1, shape[1] // 2 + 1 :] = False
    live[-1, shape[1] // 2] = kind == "B" or groups > 1
    return live


def causal_conv(
    x: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"], live: np.ndarray | None = None
) -> Float[Array, "b h w o"]:
    """Convolves with a kernel whose last row, middle column lies on the pixel; zeros outside.

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
    x: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"]
) -> Float[Array, "b h w o"]:
    """`causal_conv` as the convolution of the backend's library."""
    height, width = kernel.shape[:2]
    side = width // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=((height - 1, 0), (side, side)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def conv_by_matmul(
    x: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"], live: np.ndarray | None = None
) -> Float[Array, "b h w o"]:
    """`causal_conv` as one product of the live taps' inputs, side by side, and their weights.

    The backward pass lays them out again, which is cheaper than to keep them.
    """
    above = jnp.pad(x, ((0, 0), (kernel.shape[0] - 1, 0), (0, 0), (0, 0)))
    return jax.checkpoint(lambda x, kernel: conv_rows(x, kernel, live))(above, kernel)


def conv_rows(
    x: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"], live: np.ndarray | None = None
) -> Float[Array, "b h2 w o"]:
    """As `causal_conv`, for the rows alone that have all kh rows of the kernel: H - kh + 1."""
    rows, width = kernel.shape[:2]
    height, columns = x.shape[1] - rows + 1, x.shape[2]
    taps = np.argwhere(np.ones((rows, width), bool) if live is None else live)
    x = jnp.pad(x, ((0, 0), (0, 0), (width // 2, width // 2), (0, 0)))
    seen = [x[:, r : r + height, c : c + columns] for r, c in taps]
    weights = [kernel[r, c] for r, c in taps]
    return jnp.concatenate(seen, axis=-1) @ jnp.concatenate(weights)


def coordinates(height: int, width: int) -> np.ndarray:
    """Row and column of each pixel from -1 to 1, [H, W, 2]: a convolution does not know them."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (height, width)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
