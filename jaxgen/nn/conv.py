"""Convolutional down- and upsampling by 2, in the forms that XLA runs fast on every backend.

Upsampling is a 3x3 convolution to four times the channels followed by a rearrangement
("sub-pixel convolution": Shi et al., 2016, arXiv 1609.05158). It has the reach of a transposed
convolution without the checkerboard of uneven overlap, and its kernel gradient is that of an
ordinary convolution.
"""

import flax.linen as nn
from jaxtyping import Float

from jaxgen.nn.activation import activation
from jaxgen.typing import Array


def depth_to_space(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c4"]:
    """Lay each pixel's channels out as a block of 2 x 2, [B, H, W, 4C] -> [B, 2H, 2W, C].

    one pixel  [a b c d]   ->   a b
                                c d
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4)
    # [B, H, W, row, column, C] -> [B, H, row, W, column, C]
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


class Downsample(nn.Module):
    """Strided convolutions 3x3, one for each width; [B, H, W, C] -> [B, H/2^n, W/2^n, C'].

    Odd sides round up. Attributes as in `MLP`.
    """

    widths: tuple[int, ...]
    activation: str = "elu"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Apply the layers, an activation after each."""
        for width in self.widths:
            x = nn.Conv(width, (3, 3), strides=(2, 2), dtype=self.dtype)(x)
            x = activation(self.activation)(x)
        return x


class Upsample(nn.Module):
    """Sub-pixel convolutions, one for each width; [B, H, W, C] -> [B, 2^n H, 2^n W, C'].

    Attributes as in `MLP`.
    """

    widths: tuple[int, ...]
    activation: str = "elu"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Apply the layers, an activation after each."""
        for width in self.widths:
            x = nn.Conv(4 * width, (3, 3), dtype=self.dtype)(x)
            x = depth_to_space(x)
            x = activation(self.activation)(x)
        return x
