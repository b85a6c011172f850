"""The Row LSTM: an image read row by row, all columns of a row at once.

The state of a pixel comes from the three states above it and, by a convolution along the row with
mask B, from the features of the pixel itself and of its left neighbour:

    gates(r, c) = K_is * x (r, c - 1 .. c) + K_ss * h(r - 1, c - 1 .. c + 1) + b
    h(r, c), c(r, c) = LSTM(gates(r, c), c(r - 1, c)),      y = x + U h

A layer sees a triangle above the pixel whose sides have a slope of 45 degrees, however many layers
there are; each layer widens it by one column on the left.

Whole images go through in a scan over rows. Pixel by pixel, in the sampler, a row r is

    open_row     for all columns at once: K_ss on the states of row r - 1, the cells of row r - 1
                     h(r - 1)   . h h h .       three taps about each column
    pixel        x(r, c - 1), x(r, c) and what the row was opened with -> y(r, c), and the state
    close_row    the states of row r take the place of those of row r - 1

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

from jaxgen.nn import LSTMState, add_bias, broadcast_state, group_mask, lstm, masked_kernel
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
        """Return the weights, masked and in `dtype`."""
        h = self.features
        # The left neighbour lies before all groups of the pixel, the pixel itself does not.
        own_mask = group_mask(2 * h, 4 * h, "B", self.groups, blocks=4)
        left_mask = np.ones_like(own_mask)
        states_mask = np.ones((3, h, 4 * h), bool)
        up_mask = group_mask(h, 2 * h, "B", self.groups)

        inputs = masked_kernel(self, "inputs", np.stack([left_mask, own_mask]))
        bias = self._zeros("bias", (4 * h,))
        states = masked_kernel(self, "states", states_mask)
        return RowWeights(
            inputs=inputs,
            bias=bias,
            states=states.reshape(3 * h, -1),  # [3, h, 4h] -> [3h, 4h], for one product
            first=self._zeros("first", (2, h)),
            up=masked_kernel(self, "up", up_mask),
            up_bias=self._zeros("up_bias", (2 * h,)),
            context=self._context(),
        )

    def _zeros(
        self,
        name: str,
        shape: tuple[int, ...],
    ) -> Array:
        """Return a parameter that is zero at first."""
        return self.param(name, nn.initializers.zeros, shape).astype(self.dtype)

    def _context(self) -> Array | None:
        """Return the kernel for the context, without a mask; None without a context."""
        if not self.context_dim:
            return None
        mask = np.ones((self.context_dim, 4 * self.features), bool)
        return masked_kernel(self, "context", mask)

    @staticmethod
    def reach(
        sets: Bool[np.ndarray, "h w g d"],
        context: Bool[np.ndarray, "h w d"],
    ) -> Bool[np.ndarray, "h w g d"]:
        """Return what each feature reads, from what those of the layer below read.

        Args:
          sets: at each pixel and group the elements that are read, as a row of D booleans.
          context: what the context reads at each pixel.
        """
        # Mask B: a group sees itself and those before it.
        gates = np.logical_or.accumulate(sets, axis=2) | context[:, :, None]
        gates[:, 1:] |= sets[:, :-1].any(axis=2, keepdims=True)
        for above, row in itertools.pairwise(gates):  # [W, g, D] each
            states = above.any(axis=1, keepdims=True)  # K_ss mixes all groups
            row |= states
            row[1:] |= states[:-1]
            row[:-1] |= states[1:]
        return sets | np.logical_or.accumulate(gates, axis=2)


class RowWeights(NamedTuple):
    """The arrays that a Row LSTM computes with."""

    inputs: Float[Array, "2 i g"]  # K_is, the taps left and own: the right one is masked
    bias: Float[Array, " g"]
    states: Float[Array, "s g"]  # K_ss, three taps of h
    first: Float[Array, "2 h"]  # h and c above the image
    up: Float[Array, "h i"]  # U
    up_bias: Float[Array, " i"]
    context: Float[Array, "k g"] | None

    def forward(
        self,
        x: Float[Array, "b h w i"],
        context: Float[Array, "... h w k"] | None,
    ) -> Float[Array, "b h w i"]:
        """Return the layer on whole images: n steps of a scan over rows."""
        num, _, width, _ = x.shape
        one_right = jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))  # [B, H, W + 1, I]
        left = one_right[:, :, :-1]
        gates = left @ self.inputs[0] + x @ self.inputs[1]
        gates = add_bias(gates, self.local_bias(context))

        def row(
            above: LSTMState,
            gates: Array,
        ) -> tuple[LSTMState, Array]:
            gates = gates + _taps(above.h) @ self.states  # [B, W, 4h]
            state = lstm(gates, above.c)
            return state, state.h

        start = broadcast_state(self.first, (num, width))
        rows = jnp.moveaxis(gates, 1, 0)  # [B, H, W, 4h] -> [H, B, W, 4h]
        _, h = jax.lax.scan(row, start, rows)
        h = jnp.moveaxis(h, 0, 1)  # [H, B, W, h] -> [B, H, W, h]
        return add_bias(x + h @ self.up, self.up_bias)

    def local_bias(self, context: Float[Array, "... k"] | None) -> Float[Array, "... g"]:
        """Return the bias of the gates, with what the context adds to it."""
        if self.context is None:
            return self.bias
        assert context is not None  # the model refuses variables that expect one without one
        return add_bias(context @ self.context, self.bias)

    # Pixel by pixel. Between rows, a layer keeps the states of the last one, [W, B, h] each; in a
    # row, the features of the last pixel.

    def above(self, num: int, width: int) -> LSTMState:
        """Return what is kept before the first row."""
        return broadcast_state(self.first, (width, num))

    def open_row(
        self,
        above: LSTMState,
        context: Float[Array, "w #b k"] | None,
    ) -> tuple[Float[Array, "w b g"], Float[Array, "w b h"]]:
        """Return all that the row above and the context give to a row: gates and cells."""
        neighbours = _taps(jnp.moveaxis(above.h, 0, 1))  # [W, B, h] -> [B, W, 3h]
        states = jnp.moveaxis(neighbours, 1, 0)  # [W, B, 3h]
        gates = add_bias(states @ self.states, self.local_bias(context))
        return gates, above.c

    def edge(self, num: int) -> Float[Array, "b i"]:
        """Return what is left of a row: features 0."""
        return jnp.zeros((num, self.up.shape[1]), self.up.dtype)

    def pixel(
        self,
        x: Float[Array, "b i"],
        left: Float[Array, "b i"],
        column: tuple[Array, Array],
    ) -> tuple[Float[Array, "b i"], Float[Array, "b i"], LSTMState]:
        """Return one pixel: (y, what the next one needs, what the row keeps of it)."""
        gates, cell = column  # of this pixel, from `open_row`
        gates = gates + left @ self.inputs[0] + x @ self.inputs[1]
        state = lstm(gates, cell)
        y = add_bias(x + state.h @ self.up, self.up_bias)
        return y, x, state

    def close_row(
        self,
        above: LSTMState,
        row: LSTMState,
        context: Float[Array, "w #b k"] | None,
    ) -> LSTMState:
        """Return what is kept of a completed row: its states."""
        del above, context
        return row


def _taps(h: Float[Array, "b w h"]) -> Float[Array, "b w h3"]:
    """Return the neighbours left, own and right, one beside the other.

    With a matrix it makes the convolution K_ss: the kernel gradient of `lax.conv` inside a scan is
    far slower on CPU.
    """
    bordered = jnp.pad(h, ((0, 0), (1, 1), (0, 0)))  # [B, W + 2, h]
    left = bordered[:, :-2]
    right = bordered[:, 2:]
    return jnp.concatenate([left, h, right], axis=-1)
