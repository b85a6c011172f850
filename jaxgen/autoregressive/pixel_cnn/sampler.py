"""Sampling from a PixelCNN pixel by pixel, without computing anything twice.

A masked kernel, here 3x3, reads the row above and in its own row what is left:

    a a a      A rows' part: one product for the whole row, once, when the row begins
    l o        L left part:  one product for all layers' last q pixels, kept in a window
               O own part:   the only product inside the loop over channels

so that with p and q for half the sides of the first kernel and of those in the blocks

    kept between rows       `Above`  the last p rows of the image, the last q rows of each block
    kept between pixels     `Left`   the last p pixels of the image, the last q pixels of each block

What a block keeps is what its convolution reads, the h maps behind `down`. A window moves by one
when a row, or a pixel, is done:

    [r-3, r-2, r-1]   row r is drawn   ->   [r-2, r-1, r]

A pixel costs the same wherever it lies: a few products with matrices of its own maps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose
from jaxgen.autoregressive.pixel_cnn import masked_resnet
from jaxgen.autoregressive.pixel_cnn.masked_resnet import Block, Weights
from jaxgen.nn import conv_rows
from jaxgen.typing import Array


class Above(NamedTuple):
    """Values kept from the rows above."""

    image: Array  # [B, p, W, C]
    maps: Array  # [L, B, q, W, h]


class Left(NamedTuple):
    """Values kept from the pixels to the left."""

    image: Array  # [B, p, C]
    maps: Array  # [L, B, q, h]


class FromAbove(NamedTuple):
    """Sums over the rows above for the pixels of a row; in a scan over pixels, for one of them."""

    first: Array  # [W, B, 2h], of the first convolution, with its bias
    blocks: Array  # [W, L, B, h], of those in the blocks, with their biases
    pixel: Array  # [W], flat indices


class Drawn(NamedTuple):
    """A pixel that was drawn; behind a scan over pixels, a row of them."""

    values: Array  # [B, C]
    image: Array  # [B, C], as the network sees them
    maps: Array  # [L, B, h], what the convolutions of the blocks read there


@dataclass(frozen=True)
class PixelCNNSampler:
    """A sampler of images, row by row and pixel by pixel.

    Attributes:
      weights: of the network.
      shape: of an image, [H, W, C].
      num_params: P, of the distribution of one element.
      normalize: from values to what the network sees.
      choose: gives the values of an element from its parameters.
    """

    weights: Weights
    shape: tuple[int, ...]
    num_params: int
    normalize: Callable[[Array], Array]
    choose: Choose

    def sample(self, num: int) -> Float[jax.Array, "b h w c"]:
        """Return `num` images."""
        height, width, _ = self.shape
        features = self.weights.first.shape[-1]
        # One bias for the whole image becomes one for each pixel, as with coordinates.
        bias = jnp.broadcast_to(self.weights.first_bias, (height, width, features))

        def row(
            above: Above,
            item: tuple[Array, Array],
        ) -> tuple[Above, Array]:
            number, bias = item
            from_above = self._from_above(above, number, bias)
            _, drawn = jax.lax.scan(self._pixel, self._nothing_left(num), from_above)
            # A scan stacks the pixels in front.
            new_image = drawn.image.swapaxes(0, 1)  # [W, B, C] -> [B, W, C]
            image = _push(above.image, new_image, axis=1)
            new_maps = drawn.maps.transpose(1, 2, 0, 3)  # [W, L, B, h] -> [L, B, W, h]
            maps = _push(above.maps, new_maps, axis=2)
            return Above(image, maps), drawn.values

        _, x = jax.lax.scan(row, self._nothing_above(num), (jnp.arange(height), bias))
        return jnp.transpose(x, (2, 0, 1, 3))  # [H, W, B, C] -> [B, H, W, C]

    @property
    def _lengths(self) -> tuple[int, int]:
        """The lengths (p, q) of the windows: a square kernel reaches as far left as up."""
        first_rows = self.weights.first.shape[0]  # of [p + 1, 2 p + 1, C, 2h]
        block_rows = self.weights.blocks.conv.shape[1]  # of [L, q + 1, 2 q + 1, h, h]
        return first_rows - 1, block_rows - 1

    def _nothing_above(self, num: int) -> Above:
        """Return the windows before the first row: zeros."""
        p, q = self._lengths
        _, width, channels = self.shape
        layers, *_, h = self.weights.blocks.conv.shape
        dtype = self.weights.first.dtype
        image = jnp.zeros((num, p, width, channels), dtype)
        maps = jnp.zeros((layers, num, q, width, h), dtype)
        return Above(image, maps)

    def _nothing_left(self, num: int) -> Left:
        """Return the windows before the first pixel of a row: zeros."""
        p, q = self._lengths
        layers, *_, h = self.weights.blocks.conv.shape
        dtype = self.weights.first.dtype
        image = jnp.zeros((num, p, self.shape[-1]), dtype)
        maps = jnp.zeros((layers, num, q, h), dtype)
        return Left(image, maps)

    def _from_above(
        self,
        above: Above,
        number: Array,
        bias: Array,
    ) -> FromAbove:
        """Return what each layer reads in the rows above row `number`, for all pixels of it."""
        width = self.shape[1]
        blocks = self.weights.blocks
        # All rows of the kernels but the last, which lies on the pixel's own row.
        first = conv_rows(above.image, self.weights.first[:-1])[:, 0] + bias[None]  # [B, W, 2h]
        maps = jax.vmap(conv_rows)(above.maps, blocks.conv[:, :-1])[:, :, 0]  # [L, B, W, h]
        maps = maps + blocks.conv_bias[:, None, None]
        pixel = number * width + jnp.arange(width)
        # The scan over pixels wants them in front.
        return FromAbove(first.swapaxes(0, 1), jnp.moveaxis(maps, 2, 0), pixel)

    def _pixel(
        self,
        left: Left,
        above: FromAbove,
    ) -> tuple[Left, Drawn]:
        """Draw the channels of one pixel in turn, from what lies left of it and above."""
        p, q = self._lengths
        first = self.weights.first[-1]  # [2 p + 1, C, 2h], the taps of the pixel's own row
        conv = self.weights.blocks.conv[:, -1]  # [L, 2 q + 1, h, h]
        channels = self.shape[-1]

        start = above.first + _product(left.image, first[:p])  # [B, 2h]
        beside = above.blocks + jax.vmap(_product)(left.maps, conv[:, :q])  # [L, B, h]
        here = jnp.zeros((len(left.image), channels), first.dtype)
        values = []
        for c in range(channels):
            # Of one channel, mask A hides the pixel itself: nothing is here yet.
            y = start + here @ first[p] if c else start
            outputs, maps = self._outputs(y, conv[:, q], beside)
            params = outputs[:, c * self.num_params : (c + 1) * self.num_params]
            value = self.choose(above.pixel * channels + c, params)
            values.append(value)
            here = here.at[:, c].set(self.normalize(value).astype(here.dtype))
        # The last pass has made all maps as they stay: by mask A the last channel is in none of
        # them, and reaches later pixels through the image alone.
        moved = Left(_push(left.image, here, axis=1), _push(left.maps, maps, axis=2))
        return moved, Drawn(jnp.stack(values, axis=1), here, maps)

    def _outputs(
        self,
        y: Array,
        own: Array,
        beside: Array,
    ) -> tuple[Array, Array]:
        """Return the outputs of one pixel, and what each block's convolution read there.

        Args:
          y: [B, 2h], the first maps.
          own: [L, h, h], the middle taps: the pixel's own.
          beside: [L, B, h], all that the other taps give.

        Returns:
          [B, C P] and [L, B, h].
        """
        read = []
        for number in range(len(own)):
            block = _layer(self.weights.blocks, number)

            def convolve(
                maps: Array,
                number: int = number,
            ) -> Array:
                read.append(maps)
                return jax.nn.relu(maps @ own[number] + beside[number])

            y = masked_resnet.residual(block, y, convolve)
        return masked_resnet.outputs(self.weights, y), jnp.stack(read)


def _layer(blocks: Block, number: int) -> Block:
    """Return the weights of one of the stacked blocks."""
    return Block(*(leaf[number] for leaf in blocks))


def _product(window: Array, kernel: Array) -> Array:
    """Return the response to a window [B, k, I] of a kernel [k, I, O], [B, O]: one product."""
    features = kernel.shape[-1]
    return window.reshape(len(window), -1) @ kernel.reshape(-1, features)


def _push(window: Array, new: Array, axis: int) -> Array:
    """Return the window without its oldest entry along `axis`, and with `new` at the end."""
    kept = jax.lax.slice_in_dim(window, 1, None, axis=axis)
    return jnp.concatenate([kept, jnp.expand_dims(new, axis)], axis)
