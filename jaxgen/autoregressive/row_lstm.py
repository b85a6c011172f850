"""The Row LSTM: an image read row by row, all columns of a row at once.

The state of a pixel comes from the three states above it and, by a convolution along the row with
mask B, from the features of the pixel itself and of its left neighbour:

    gates(r, c) = K_is * x (r, c - 1 .. c) + K_ss * h(r - 1, c - 1 .. c + 1) + b
    h(r, c), c(r, c) = LSTM(gates(r, c), c(r - 1, c)),      y = x + U h

A layer sees a triangle above the pixel whose sides have a slope of 45 degrees, however many layers
there are; each layer widens it by one column on the left.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), section 3.1.

*Differs from the paper:* in nothing that is known to us. Of the learned initial state, of which the
paper does not say more, there is one for all columns.
"""

import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.nn import LSTMState, broadcast_state, group_mask, lstm, masked_kernel
from jaxgen.typing import Array


class RowLSTM(nn.Module):
    """The parameters of one residual layer, [B, H, W, 2h] -> [B, H, W, 2h].

    Attributes:
      features: h.
      groups: 1, or the channels of the image, each of which sees those before it.
      context_dim: channels of a map that every gate sees unmasked; 0 for none.
      dtype: what to compute in.
    """

    features: int
    groups: int = 1
    context_dim: int = 0
    dtype: str = "float32"

    @nn.compact
    def __call__(self) -> "RowWeights":
        """The weights, masked and in `dtype`."""
        h, zeros = self.features, nn.initializers.zeros
        own = group_mask(2 * h, 4 * h, "B", self.groups, blocks=4)
        context = np.ones((self.context_dim, 4 * h), bool)
        return RowWeights(
            inputs=masked_kernel(self, "inputs", np.stack([np.ones_like(own), own])),
            bias=self.param("bias", zeros, (4 * h,)).astype(self.dtype),
            states=masked_kernel(self, "states", np.ones((3, h, 4 * h), bool)).reshape(3 * h, -1),
            first=self.param("first", zeros, (2, h)).astype(self.dtype),
            up=masked_kernel(self, "up", group_mask(h, 2 * h, "B", self.groups)),
            up_bias=self.param("up_bias", zeros, (2 * h,)).astype(self.dtype),
            context=masked_kernel(self, "context", context) if self.context_dim else None,
        )

    @staticmethod
    def reach(
        sets: Bool[np.ndarray, "h w g d"], context: Bool[np.ndarray, "h w d"]
    ) -> Bool[np.ndarray, "h w g d"]:
        """The layer on sets: what each feature reads, from what those of the layer below read.

        Args:
          sets: at each pixel and group.
          context: what the context reads at each pixel.
        """
        gates = np.logical_or.accumulate(sets, axis=2) | context[:, :, None]
        gates[:, 1:] |= sets[:, :-1].any(axis=2, keepdims=True)
        for above, row in itertools.pairwise(gates):
            whole = above.any(axis=1, keepdims=True)  # states of all groups
            row |= whole
            row[1:] |= whole[:-1]
            row[:-1] |= whole[1:]
        return sets | np.logical_or.accumulate(gates, axis=2)


class RowWeights(NamedTuple):
    """What a Row LSTM computes with."""

    inputs: Float[Array, "2 i g"]  # K_is, the taps left and own: the right one is masked
    bias: Float[Array, " g"]
    states: Float[Array, "s g"]  # K_ss, three taps of h
    first: Float[Array, "2 h"]  # h and c above the image
    up: Float[Array, "h i"]  # U
    up_bias: Float[Array, " i"]
    context: Float[Array, "k g"] | None

    def forward(
        self, x: Float[Array, "b h w i"], context: Float[Array, "... h w k"] | None
    ) -> Float[Array, "b h w i"]:
        """A whole image: n steps of a scan over rows."""
        left = jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
        gates = left @ self.inputs[0] + x @ self.inputs[1] + self.local_bias(context)

        def row(above, gates):
            state = lstm(gates + _taps(above.h) @ self.states, above.c)
            return state, state.h

        start = broadcast_state(self.first, (x.shape[0], x.shape[2]))
        _, h = jax.lax.scan(row, start, jnp.moveaxis(gates, 1, 0))
        return x + jnp.moveaxis(h, 0, 1) @ self.up + self.up_bias

    def local_bias(self, context: Float[Array, "... k"] | None) -> Float[Array, "... g"]:
        """The bias of the gates, with what the context adds to it."""
        return self.bias if self.context is None else self.bias + context @ self.context

    # Pixel by pixel. Between rows, a layer keeps the states of the last one, [W, B, h] each; in a
    # row, the features of the last pixel.

    def above(self, num: int, width: int) -> LSTMState:
        """What is kept before the first row."""
        return broadcast_state(self.first, (width, num))

    def open_row(
        self, above: LSTMState, context: Float[Array, "w #b k"] | None
    ) -> tuple[Float[Array, "w b g"], Float[Array, "w b h"]]:
        """All that the row above and the context give to the pixels of a row: gates and cells."""
        states = jnp.moveaxis(_taps(jnp.moveaxis(above.h, 0, 1)), 1, 0)
        return states @ self.states + self.local_bias(context), above.c

    def edge(self, num: int) -> Float[Array, "b i"]:
        """What is left of a row: features 0."""
        return jnp.zeros((num, self.up.shape[1]), self.up.dtype)

    def pixel(
        self, x: Float[Array, "b i"], left: Float[Array, "b i"], column: tuple[Array, Array]
    ) -> tuple[Float[Array, "b i"], Float[Array, "b i"], LSTMState]:
        """One pixel: (y, what the next one needs, what the row keeps of it)."""
        gates, cell = column
        state = lstm(gates + left @ self.inputs[0] + x @ self.inputs[1], cell)
        return x + state.h @ self.up + self.up_bias, x, state

    def close_row(
        self, above: LSTMState, row: LSTMState, context: Float[Array, "w #b k"] | None
    ) -> LSTMState:
        """What is kept of a completed row: its states."""
        del above, context
        return row


def _taps(h: Float[Array, "b w h"]) -> Float[Array, "b w h3"]:
    """The neighbours left, own and right, one beside the other.

    With a matrix it makes the convolution K_ss: the kernel gradient of `lax.conv` inside a scan is
    far slower on CPU.
    """
    wide = jnp.pad(h, ((0, 0), (1, 1), (0, 0)))
    return jnp.concatenate([wide[:, :-2], h, wide[:, 2:]], axis=-1)
