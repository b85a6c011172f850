"""The network of a PixelRNN: a masked convolution, recurrent layers, masked 1x1 convolutions.

The module declares the parameters; `Weights` computes with them, whole images at once (`forward`)
or a pixel at a time (`above`, `first`, the layers' own, `outputs`). The model, the references and
what differs from them: `pixel_rnn.py`.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.autoregressive.diagonal_bilstm import DiagonalBiLSTM, DiagonalWeights
from jaxgen.autoregressive.row_lstm import RowLSTM, RowWeights
from jaxgen.nn import causal_conv, conv_rows, group_mask, kernel_mask, live_taps, masked_kernel
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
        """All weights, masked and in `dtype`."""
        size, groups = (self.kernel_size, self.kernel_size), self.channels
        first = 2 * self.layers[0].features
        kernel = masked_kernel(
            self, "kernel", kernel_mask(size, self.channels, first, "A", groups, blocks=1)
        )
        bias = self._bias("bias", first)
        head, inputs = [], first
        for i, outputs in enumerate((self.head, self.head, self.channels * self.num_params)):
            mask = group_mask(inputs, outputs, "B", groups)
            head.append((masked_kernel(self, f"head_{i}", mask), self._bias(f"bias_{i}", outputs)))
            inputs = outputs
        return Weights(kernel, bias, tuple(layer() for layer in self.layers), tuple(head))

    def _bias(self, name, size):
        return self.param(name, nn.initializers.zeros, (size,)).astype(self.dtype)

    def reach(
        self, shape: tuple[int, ...], context: Bool[np.ndarray, "h w d"]
    ) -> Bool[np.ndarray, "h w c d"]:
        """The network on sets: which elements of the image each output reads.

        Args:
          shape: (H, W, C).
          context: which elements of the image the context reads, at each pixel.
        """
        height, width, channels = shape
        image = np.eye(math.prod(shape), dtype=bool).reshape(*shape, -1)
        sets = np.zeros_like(image)
        for r in range(height):
            for c in range(width):
                top, left = (max(0, i - self.kernel_size // 2) for i in (r, c))
                right = c + self.kernel_size // 2 + 1
                sets[r, c] = image[top:r, left:right].any(axis=(0, 1, 2))
                sets[r, c] |= image[r, left:c].any(axis=(0, 1))
                for group in range(1, channels):  # mask A: the groups before its own
                    sets[r, c, group] |= image[r, c, :group].any(axis=0)
        for layer in self.layers:
            sets = layer.reach(sets, context)
        return sets


class Weights(NamedTuple):
    """What a PixelRNN computes with."""

    kernel: Float[Array, "kh kw c i"]  # the last row of taps lies on the pixel's own row
    bias: Float[Array, " i"]
    layers: tuple[RowWeights | DiagonalWeights, ...]
    head: tuple[tuple[Array, Array], ...]  # kernels and biases

    def forward(
        self, x: Float[Array, "b h w c"], context: Float[Array, "... h w k"] | None
    ) -> Float[Array, "b h w o"]:
        """Outputs at every pixel, from normalised images and what the layers see beside them."""
        live = live_taps(self.kernel.shape, "A", x.shape[-1])
        y = causal_conv(x.astype(self.kernel.dtype), self.kernel, live) + self.bias
        for layer in self.layers:
            y = layer.forward(y, context)
        return self.outputs(y)

    def outputs(self, y: Float[Array, "... i"]) -> Float[Array, "... o"]:
        """The head: each of its convolutions behind a ReLU; float32."""
        for kernel, bias in self.head:
            y = nn.relu(y) @ kernel + bias
        return y.astype(jnp.float32)

    def lines(self, num: int, width: int) -> Float[Array, "b k w c"]:
        """The rows above the first one that its convolution sees: zeros."""
        rows, _, channels, _ = self.kernel.shape
        return jnp.zeros((num, rows - 1, width, channels), self.kernel.dtype)

    def window(self, num: int) -> Float[Array, "b k c"]:
        """The pixels left of a row that its convolution sees: zeros."""
        _, columns, channels, _ = self.kernel.shape
        return jnp.zeros((num, columns // 2, channels), self.kernel.dtype)

    def above(self, lines: Float[Array, "b k w c"]) -> Float[Array, "w b i"]:
        """What the rows above give to the first convolution, at each pixel of a row."""
        return jnp.moveaxis(conv_rows(lines, self.kernel[:-1])[:, 0], 1, 0) + self.bias

    def first(
        self, above: Float[Array, "b i"], window: Float[Array, "b k c"]
    ) -> Float[Array, "b i"]:
        """The first convolution at one pixel: `window` ends with the pixel itself."""
        taps = self.kernel[-1, : window.shape[1]]
        return above + window.reshape(len(window), -1) @ taps.reshape(-1, taps.shape[-1])
