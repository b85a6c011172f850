"""Masked convolutions: a pixel sees the rows above it and what is left of it in its own row.

The kernel holds the rows down to the pixel's own and no others. In its last row the taps right of
the centre are masked, and the centre itself by the kind of mask: with channels in groups (R, G, B
of an image, and the maps that carry them) a map of group g sees at the centre the groups before g
(mask A, the first layer) or up to g (mask B, all others). The mask is applied in the forward pass,
for a masked initialisation alone would grow back through the optimiser.

van den Oord et al., 2016, "Pixel recurrent neural networks" (arXiv 1601.06759), section 3.3.
"""

from typing import Literal

import flax.linen as nn
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


class MaskedConv(nn.Module):
    """A masked convolution, [B, H, W, I] -> [B, H, W, features].

    Attributes:
      features: channels out.
      kernel_size: odd (height, width); the rows below the centre do not exist.
      kind: 'A' or 'B'.
      groups: 1, or the channels of the image, each of which sees those before it.
      blocks: parts of the output (gates) that are grouped each for itself.
      use_bias: add a bias.
      dtype: what to compute in.
    """

    features: int
    kernel_size: tuple[int, int]
    kind: MaskKind
    groups: int = 1
    blocks: int = 1
    use_bias: bool = True
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        """Convolves; what lies outside the image is zero."""
        height, width = self.kernel_size
        if height % 2 == 0 or width % 2 == 0:
            raise ConfigError(f"kernel_size: got {self.kernel_size}, expected odd numbers")
        shape = (height // 2 + 1, width, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        mask = kernel_mask(
            self.kernel_size, x.shape[-1], self.features, self.kind, self.groups, self.blocks
        )
        y = causal_conv(x.astype(self.dtype), jnp.where(mask, kernel, 0).astype(self.dtype))
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return y


def causal_conv(
    x: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"]
) -> Float[Array, "b h w o"]:
    """Convolves with a kernel whose last row, middle column lies on the pixel; zeros outside."""
    height, width = kernel.shape[:2]
    side = width // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=((height - 1, 0), (side, side)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
