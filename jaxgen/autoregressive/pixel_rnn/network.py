"""The network of a PixelRNN: a masked convolution, recurrent layers, masked 1x1 convolutions.

    x [C] -> first, 7x7 with mask A [2h] -> L layers, each with a residual [2h] -> head [C P]

The module declares the parameters; `Weights` computes with them, whole images at once (`forward`)
or a pixel at a time. A pixel's first convolution is then cut in two, for 7x7 and C channels

    lines, 3 rows above     #######         `above`: for a whole row at once
                            #######
                            #######
    window, 3 to the left   ###o            `first`: from the window and the pixel's own channels

and the layers' own methods, and `outputs`, follow. The model, the references and what differs from
them: `model.py`.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.autoregressive.pixel_rnn.diagonal_bilstm import DiagonalBiLSTM, DiagonalWeights
from jaxgen.autoregressive.pixel_rnn.row_lstm import RowLSTM, RowWeights
from jaxgen.nn import (
    add_bias,
    causal_conv,
    conv_rows,
    group_mask,
    kernel_mask,
    live_taps,
    masked_kernel,
)
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array


class PixelRNNNetwork(nn.Module):
    """The parameters of a PixelRNN; images [B, H, W, C] -> outputs [B, H, W, C * P].

    Attributes:
      layers: RowLSTMs or DiagonalBiLSTMs, all of one kind and width.
      channels: C.
      num_params: P, outputs for each channel.
      head: maps of the two hidden 1x1 convolutions.
      kernel_size: of the first convolution, odd.
      dtype: what to compute in.
    """

    layers: tuple[RowLSTM | DiagonalBiLSTM, ...]
    channels: int
    num_params: int
    head: int = 32
    kernel_size: int = 7
    dtype: str = "float32"

    @nn.compact
    def __call__(self) -> "Weights":
        """Return all weights, masked and in `dtype`."""
        size = (self.kernel_size, self.kernel_size)
        features = 2 * self.layers[0].features
        mask = kernel_mask(size, self.channels, features, "A", self.channels, blocks=1)
        # Flax numbers the parameters as they are asked for and draws each from its number: the
        # order of these calls decides what a key gives.
        kernel = masked_kernel(self, "kernel", mask)
        bias = self._bias("bias", features)
        head = self._head(features)
        layers = tuple(layer() for layer in self.layers)
        return Weights(kernel, bias, layers, head)

    def _head(self, inputs: int) -> tuple[tuple[Array, Array], ...]:
        """Return the kernels and biases of the three 1x1 convolutions at the end."""
        sizes = (self.head, self.head, self.channels * self.num_params)
        head = []
        for i, outputs in enumerate(sizes):
            mask = group_mask(inputs, outputs, "B", self.channels)
            kernel = masked_kernel(self, f"head_{i}", mask)
            head.append((kernel, self._bias(f"bias_{i}", outputs)))
            inputs = outputs
        return tuple(head)

    def _bias(self, name: str, size: int) -> Array:
        """Return a bias, zero at first."""
        return self.param(name, nn.initializers.zeros, (size,)).astype(self.dtype)

    def reach(
        self,
        shape: tuple[int, ...],
        context: Bool[np.ndarray, "h w d"],
    ) -> Bool[np.ndarray, "h w c d"]:
        """Return which elements of the image each output reads.

        Args:
          shape: (H, W, C).
          context: which elements of the image the context reads, at each pixel.
        """
        sets = self._reach_of_first(shape)
        for layer in self.layers:
            sets = layer.reach(sets, context)
        return sets

    def _reach_of_first(self, shape: tuple[int, ...]) -> Bool[np.ndarray, "h w c d"]:
        """Return which elements of the image the first convolution reads."""
        height, width, channels = shape
        side = self.kernel_size // 2
        image = np.eye(math.prod(shape), dtype=bool).reshape(*shape, -1)  # [H, W, C, D]
        sets = np.zeros_like(image)
        for r in range(height):
            for c in range(width):
                top = max(0, r - side)
                left = max(0, c - side)
                right = c + side + 1
                sets[r, c] = image[top:r, left:right].any(axis=(0, 1, 2))
                sets[r, c] |= image[r, left:c].any(axis=(0, 1))
                for group in range(1, channels):  # mask A: the groups before its own
                    sets[r, c, group] |= image[r, c, :group].any(axis=0)
        return sets


class Weights(NamedTuple):
    """The arrays that a PixelRNN computes with."""

    kernel: Float[Array, "kh kw c i"]  # the last row of taps lies on the pixel's own row
    bias: Float[Array, " i"]
    layers: tuple[RowWeights | DiagonalWeights, ...]
    head: tuple[tuple[Array, Array], ...]  # kernels and biases

    def forward(
        self,
        x: Float[Array, "b h w c"],
        context: Float[Array, "... h w k"] | None,
    ) -> Float[Array, "b h w o"]:
        """Return the outputs at every pixel.

        Args:
          x: images, normalised.
          context: what the layers see beside them.
        """
        live = live_taps(self.kernel.shape, "A", x.shape[-1])
        y = causal_conv(x.astype(self.kernel.dtype), self.kernel, live)
        y = add_bias(y, self.bias)
        for layer in self.layers:
            y = layer.forward(y, context)
        return self.outputs(y)

    def outputs(self, y: Float[Array, "... i"]) -> Float[Array, "... o"]:
        """Return the head, each of its convolutions behind a ReLU; float32."""
        for kernel, bias in self.head:
            y = add_bias(nn.relu(y) @ kernel, bias)
        return at_least_float32(y)

    def lines(
        self,
        num: int,
        width: int,
    ) -> Float[Array, "b k w c"]:
        """Return the rows above the first one that its convolution sees: zeros."""
        rows, _, channels, _ = self.kernel.shape
        return jnp.zeros((num, rows - 1, width, channels), self.kernel.dtype)

    def window(self, num: int) -> Float[Array, "b k c"]:
        """Return the pixels left of a row that its convolution sees: zeros."""
        _, columns, channels, _ = self.kernel.shape
        return jnp.zeros((num, columns // 2, channels), self.kernel.dtype)

    def above(self, lines: Float[Array, "b k w c"]) -> Float[Array, "w b i"]:
        """Return what the rows above give to the first convolution, at each pixel of a row."""
        row = conv_rows(lines, self.kernel[:-1])  # [B, 1, W, I]
        return add_bias(jnp.moveaxis(row[:, 0], 1, 0), self.bias)

    def first(
        self,
        above: Float[Array, "b i"],
        window: Float[Array, "b k c"],
    ) -> Float[Array, "b i"]:
        """Return the first convolution at one pixel: `window` ends with the pixel itself."""
        taps = self.kernel[-1, : window.shape[1]]  # [k, C, I]
        inputs = window.reshape(len(window), -1)  # [B, k C]
        return above + inputs @ taps.reshape(-1, taps.shape[-1])
