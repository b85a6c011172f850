"""The network of a PixelCNN: masked convolutions in residual blocks.

7x7 with mask A; blocks of ReLU, 1x1 from 2h maps to h, ReLU, 3x3 with mask B, ReLU, 1x1 back to 2h,
added to the block's input; then two hidden 1x1 convolutions. What a convolution reads besides the
pixel is handed in by the caller, so that training on whole images and sampling pixel by pixel run
through the same lines.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.nn import (
    causal_conv,
    coordinates,
    group_mask,
    kernel_mask,
    live_taps,
    masked_kernel,
)
from jaxgen.train import Key
from jaxgen.typing import Array


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
        """All weights, masked and in `dtype`."""
        num, groups, wide, h = self.num_layers, self.shape[-1], self.features, self.features // 2
        head, inputs = [], wide
        for i, outputs in enumerate((self.head, self.head, groups * self.num_params)):
            head.append(self._layer(f"head_{i}", group_mask(inputs, outputs, "B", groups)))
            inputs = outputs
        first, bias = self._layer("first", self._mask(self.first_kernel, groups, wide, "A"))
        if self.coordinates:
            place = masked_kernel(self, "coordinates", np.ones((2, wide), bool))
            bias = bias + coordinates(*self.shape[:2]).astype(self.dtype) @ place
        blocks = Block(
            *self._layer("down", group_mask(wide, h, "B", groups), num),
            *self._layer("conv", self._mask(self.kernel_size, h, h, "B"), num),
            *self._layer("up", group_mask(h, wide, "B", groups), num),
        )
        return Weights(first, bias, blocks, tuple(head))

    def _mask(self, side, inputs, outputs, kind):
        return kernel_mask((side, side), inputs, outputs, kind, self.shape[-1], 1)

    def _layer(self, name, mask, num=0):
        """Kernel and bias of one layer, or of `num` stacked."""
        stack, axes = ((num,), (0,)) if num else ((), ())
        kernel = masked_kernel(self, name, np.broadcast_to(mask, (*stack, *mask.shape)), axes)
        bias = self.param(f"{name}_bias", nn.initializers.zeros, (*stack, mask.shape[-1]))
        return kernel, bias.astype(self.dtype)

    def outputs(
        self, weights: Weights, x: Float[Array, "b h w c"], dropout_key: Key | None = None
    ) -> Float[Array, "b h w o"]:
        """C P numbers for every pixel of whole images, in float32; with a key, under dropout."""
        live = live_taps(weights.first.shape, "A", self.shape[-1])
        y = causal_conv(x.astype(self.dtype), weights.first, live) + weights.first_bias
        live = live_taps(weights.blocks.conv.shape[1:], "B")

        # Scanned: a quarter of the time to compile. What is no product is computed again in the
        # backward pass: memory is what limits such thin maps, and it makes a fifth of the step.
        @partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)
        def layer(y, item):
            block, number = item

            def convolve(maps):
                maps = jax.nn.relu(causal_conv(maps, block.conv, live) + block.conv_bias)
                return self._dropout(maps, dropout_key, number)

            return residual(block, y, convolve), None

        y, _ = jax.lax.scan(layer, y, (weights.blocks, jnp.arange(self.num_layers)))
        return outputs(weights, y)

    def _dropout(self, maps, key, number):
        if key is None:
            return maps
        key = jax.random.fold_in(key, number)
        kept = jax.random.bernoulli(key, 1 - self.dropout, maps.shape)
        return jnp.where(kept, maps / (1 - self.dropout), 0)

    def field(self) -> np.ndarray:
        """Which other pixels a pixel reads, bool [H W, H W]: all channels of theirs.

        Steps of the first layer and the blocks to the left add up, in every row that they reach;
        to the right there are only steps that go up too, so that the field narrows upwards to
        the pixel: the blind spot.
        """
        p, q, num = self.first_kernel // 2, self.kernel_size // 2, self.num_layers
        height, width, _ = self.shape
        row, column = np.divmod(np.arange(height * width), width)
        up, right = row[:, None] - row, column - column[:, None]
        widest = p + q * np.minimum(up - 1, num)
        above = (up >= 1) & (up <= p + q * num) & (right <= widest)
        return (above | ((up == 0) & (right < 0))) & (right >= -(p + q * num))


def residual(
    block: Block, y: Float[Array, "... f"], convolve: Callable[[Array], Array]
) -> Float[Array, "... f"]:
    """A block on maps [..., 2h]; `convolve`, h maps to h, is all that reads other pixels."""
    maps = jax.nn.relu(jax.nn.relu(y) @ block.down + block.down_bias)
    return y + convolve(maps) @ block.up + block.up_bias


def outputs(weights: Weights, y: Float[Array, "... f"]) -> Float[Array, "... o"]:
    """The head: C P numbers for each pixel, in float32."""
    for kernel, bias in weights.head:
        y = jax.nn.relu(y) @ kernel + bias
    return y.astype(jnp.float32)
