"""The network of a PixelCNN: masked convolutions in residual blocks.

    7x7, mask A     C -> 2h
    L blocks        y + up(relu(conv(relu(down(relu(y))))))
                        down 1x1, 2h -> h;  conv 3x3 with mask B, h -> h;  up 1x1, h -> 2h
    head            two hidden 1x1 convolutions and one to the C P outputs, a ReLU before each

What a convolution reads besides the pixel is handed in by the caller, so that training on whole
images and sampling pixel by pixel run through the same lines (`residual`, `outputs`).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.nn import (
    add_bias,
    causal_conv,
    coordinates,
    group_mask,
    kernel_mask,
    live_taps,
    masked_kernel,
)
from jaxgen.nn.masked import MaskKind
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array, Key


class Block(NamedTuple):
    """Kernels, masked, and biases of a residual block, or of L of them stacked, [L, ...]."""

    down: Array  # [2h, h]
    down_bias: Array
    conv: Array  # [q + 1, 2 q + 1, h, h]
    conv_bias: Array
    up: Array  # [h, 2h]
    up_bias: Array


class Weights(NamedTuple):
    """Kernels, masked, and biases of all layers."""

    first: Array  # [p + 1, 2 p + 1, C, 2h]
    first_bias: Array  # [2h], or [H, W, 2h] with coordinates
    blocks: Block  # stacked
    head: tuple[tuple[Array, Array], ...]


class MaskedResNet(nn.Module):
    """The parameters of a PixelCNN.

    Attributes:
      shape: of an image, [H, W, C]; its channels are the groups of the masks.
      num_params: outputs for each element.
      num_layers: residual blocks.
      features: maps between the blocks, the paper's 2h.
      head: maps of the two hidden 1x1 convolutions.
      first_kernel: side of the first convolution, 2 p + 1.
      kernel_size: side of those in the blocks, 2 q + 1.
      coordinates: let every pixel know its row and column.
      dropout: part of a block's maps left out in training.
      dtype: what to compute in.
    """

    shape: tuple[int, ...]
    num_params: int
    num_layers: int
    features: int
    head: int
    first_kernel: int = 7
    kernel_size: int = 3
    coordinates: bool = False
    dropout: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self) -> Weights:
        """Return all weights, masked and in `dtype`."""
        # Flax numbers the parameters as they are asked for and draws each from its number: the
        # order of these calls decides what a key gives.
        head = self._head()
        first, first_bias = self._first()
        return Weights(first, first_bias, self._blocks(), head)

    def _head(self) -> tuple[tuple[Array, Array], ...]:
        """Return the kernels and biases of the three 1x1 convolutions at the end."""
        groups = self.shape[-1]
        sizes = (self.head, self.head, groups * self.num_params)
        layers = []
        inputs = self.features
        for i, outputs in enumerate(sizes):
            mask = group_mask(inputs, outputs, "B", groups)
            layers.append(self._layer(f"head_{i}", mask))
            inputs = outputs
        return tuple(layers)

    def _first(self) -> tuple[Array, Array]:
        """Return the kernel with mask A, and its bias, which may depend on the place."""
        height, width, channels = self.shape
        mask = self._mask(self.first_kernel, channels, self.features, "A")
        kernel, bias = self._layer("first", mask)
        if self.coordinates:
            # A 1x1 convolution of row and column is the same in all images: it joins the bias.
            everything = np.ones((2, self.features), bool)
            place_kernel = masked_kernel(self, "coordinates", everything)  # [2, 2h]
            places = coordinates(height, width).astype(self.dtype)  # [H, W, 2]
            bias = add_bias(places @ place_kernel, bias)  # [H, W, 2h]
        return kernel, bias

    def _blocks(self) -> Block:
        """Return the weights of all residual blocks, stacked."""
        groups = self.shape[-1]
        wide = self.features
        h = self.features // 2
        num = self.num_layers
        down, down_bias = self._layer("down", group_mask(wide, h, "B", groups), num)
        conv, conv_bias = self._layer("conv", self._mask(self.kernel_size, h, h, "B"), num)
        up, up_bias = self._layer("up", group_mask(h, wide, "B", groups), num)
        return Block(down, down_bias, conv, conv_bias, up, up_bias)

    def _mask(
        self,
        side: int,
        inputs: int,
        outputs: int,
        kind: MaskKind,
    ) -> np.ndarray:
        """Return the taps of a square kernel that a pixel may see, bool [kh, kw, I, O]."""
        return kernel_mask((side, side), inputs, outputs, kind, self.shape[-1], 1)

    def _layer(
        self,
        name: str,
        mask: np.ndarray,
        num: int = 0,
    ) -> tuple[Array, Array]:
        """Return kernel and bias of one layer, or of `num` stacked, [num, ...]."""
        stack = (num,) if num else ()
        batch_axis = (0,) if num else ()
        masks = np.broadcast_to(mask, (*stack, *mask.shape))
        kernel = masked_kernel(self, name, masks, batch_axis)
        bias = self.param(f"{name}_bias", nn.initializers.zeros, (*stack, mask.shape[-1]))
        return kernel, bias.astype(self.dtype)

    def outputs(
        self,
        weights: Weights,
        x: Float[Array, "b h w c"],
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w o"]:
        """Return C P numbers for every pixel of whole images, in float32.

        Args:
          weights: what the module returns.
          x: images, normalised.
          dropout_key: of the maps that are left out; None to keep all.
        """
        live = live_taps(weights.first.shape, "A", self.shape[-1])
        y = causal_conv(x.astype(self.dtype), weights.first, live)
        y = add_bias(y, weights.first_bias)
        # conv is stacked, [L, q + 1, 2 q + 1, h, h]
        live = live_taps(weights.blocks.conv.shape[1:], "B")

        # Scanned: a quarter of the time to compile. What is no product is computed again in the
        # backward pass: memory is what limits such thin maps, and it makes a fifth of the step.
        @partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)
        def layer(
            y: Array,
            item: tuple[Block, Array],
        ) -> tuple[Array, None]:
            block, number = item

            def convolve(maps: Array) -> Array:
                maps = add_bias(causal_conv(maps, block.conv, live), block.conv_bias)
                maps = jax.nn.relu(maps)
                return self._dropped(maps, dropout_key, number)

            return residual(block, y, convolve), None

        y, _ = jax.lax.scan(layer, y, (weights.blocks, jnp.arange(self.num_layers)))
        return outputs(weights, y)

    def _dropped(
        self,
        maps: Array,
        key: Key | None,
        number: Array,
    ) -> Array:
        """Return the maps under dropout, each block with a key of its own."""
        if key is None:
            return maps
        key = jax.random.fold_in(key, number)
        kept = jax.random.bernoulli(key, 1 - self.dropout, maps.shape)
        return jnp.where(kept, maps / (1 - self.dropout), 0)

    def field(self) -> Bool[np.ndarray, "p p"]:
        """Return which other pixels a pixel reads, bool [H W, H W]: all channels of theirs.

        Steps of the first layer and the blocks to the left add up, in every row that they reach;
        to the right there are only steps that go up too, so that the field narrows upwards to
        the pixel: the blind spot.

            . . . . . . . . b      row r - 2, to column c + p + q
            . . . . . . . b b      row r - 1, to column c + p
            . . . o                row r of the pixel o; . is read, b is blind (p = 3, q = 1)
        """
        p = self.first_kernel // 2
        q = self.kernel_size // 2
        reach = p + q * self.num_layers
        height, width, _ = self.shape
        row, column = np.divmod(np.arange(height * width), width)
        # At [i, j], from pixel i to pixel j:
        rows_up = row[:, None] - row
        columns_right = column - column[:, None]
        # The first layer goes up to p right, in its first row up; each block q more, in one more.
        widest = p + q * np.minimum(rows_up - 1, self.num_layers)
        above = (rows_up >= 1) & (rows_up <= reach) & (columns_right <= widest)
        left = (rows_up == 0) & (columns_right < 0)
        return (above | left) & (columns_right >= -reach)


def residual(
    block: Block,
    y: Float[Array, "... f"],
    convolve: Callable[[Array], Array],
) -> Float[Array, "... f"]:
    """Return a block's result on maps [..., 2h].

    `convolve` takes h maps to h maps, and is all that reads other pixels.
    """
    down = add_bias(jax.nn.relu(y) @ block.down, block.down_bias)
    maps = convolve(jax.nn.relu(down))
    return add_bias(y + maps @ block.up, block.up_bias)


def outputs(
    weights: Weights,
    y: Float[Array, "... f"],
) -> Float[Array, "... o"]:
    """Return the head's C P numbers for each pixel, in float32."""
    for kernel, bias in weights.head:
        y = add_bias(jax.nn.relu(y) @ kernel, bias)
    return at_least_float32(y)
