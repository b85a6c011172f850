"""The Diagonal BiLSTM: an image read along its diagonals, from both upper corners.

The state of a pixel comes from the states left of it and above it, so that one direction has read
everything above and to the left, however far:

    gates(r, c) = K_is x(r, c) + K_ss [h(r, c - 1), h(r - 1, c)] + b
    h(r, c), c(r, c) = LSTM(gates(r, c), c(r, c - 1))

All pixels of a diagonal are independent of each other: with row r shifted right by r (`skew`) a
diagonal is a column, and 2n - 1 steps read an image. The second direction is the same from right
to left, on the mirrored image, with weights of its own. At (r, c) it has read the pixels right of
c, which come later; so its map is shifted down by one row before it is added to the first:

    y(r, c) = x(r, c) + U [h1(r, c) + h2(r - 1, c)]

Behind a first layer with mask A, a pixel sees every earlier one but the last of the row above: h2
at (r - 1, c) has read the features there, which do not contain their own pixel.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), section 3.2.

*Differs from the paper:* left of a row is the learned initial state, for every row; the paper does
not say what padding the skewed map brings there. Both directions run in one scan.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.nn import LSTMState, broadcast_state, group_mask, lstm, masked_kernel
from jaxgen.typing import Array


class DiagonalBiLSTM(nn.Module):
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
    def __call__(self) -> "DiagonalWeights":
        """The weights, masked and in `dtype`; those of both directions one beside the other."""
        h, zeros, both = self.features, nn.initializers.zeros, (0,)
        inputs = np.stack([group_mask(2 * h, 4 * h, "B", self.groups, blocks=4)] * 2)
        states = np.ones((2, 2, h, 4 * h), bool)
        context = np.ones((2, self.context_dim, 4 * h), bool)
        return DiagonalWeights(
            inputs=masked_kernel(self, "inputs", inputs, both),
            bias=self.param("bias", zeros, (2, 4 * h)).astype(self.dtype),
            states=masked_kernel(self, "states", states, both),
            first=self.param("first", zeros, (2, 2, h)).astype(self.dtype),
            up=masked_kernel(self, "up", group_mask(h, 2 * h, "B", self.groups)),
            up_bias=self.param("up_bias", zeros, (2 * h,)).astype(self.dtype),
            context=masked_kernel(self, "context", context, both) if self.context_dim else None,
        )

    @staticmethod
    def reach(
        sets: Bool[np.ndarray, "h w g d"], context: Bool[np.ndarray, "h w d"]
    ) -> Bool[np.ndarray, "h w g d"]:
        """The layer on sets, see `RowLSTM.reach`."""
        gates = np.logical_or.accumulate(sets, axis=2) | context[:, :, None]
        states = _corner(gates)
        states[1:] |= _corner(gates[:, ::-1])[:-1, ::-1]
        return sets | np.logical_or.accumulate(states, axis=2)


class DiagonalWeights(NamedTuple):
    """What a Diagonal BiLSTM computes with; the first axis is the direction."""

    inputs: Float[Array, "2 i g"]  # K_is
    bias: Float[Array, "2 g"]
    states: Float[Array, "2 2 h g"]  # K_ss, of h before and of h above
    first: Float[Array, "2 2 h"]  # h and c before a row
    up: Float[Array, "h i"]  # U
    up_bias: Float[Array, " i"]
    context: Float[Array, "2 k g"] | None

    def forward(
        self, x: Float[Array, "b h w i"], context: Float[Array, "... h w k"] | None
    ) -> Float[Array, "b h w i"]:
        """A whole image: H + W - 1 steps of a scan over diagonals, both directions in each."""
        width = x.shape[2]
        ahead, back = (x @ self.inputs[d] + self.local_bias(d, context) for d in (0, 1))
        gates = skew(jnp.stack([ahead, jnp.flip(back, axis=2)]))
        h = unskew(self.diagonals(gates, width), width)
        ahead, back = h[0], jnp.flip(h[1], axis=2)
        return x + (ahead + shift_down(back)) @ self.up + self.up_bias

    def diagonals(self, gates: Float[Array, "2 b h j g"], width: int) -> Float[Array, "2 b h j s"]:
        """The states h of both directions, from skewed gates without K_ss."""
        _, num, height, steps, _ = gates.shape
        weights = jnp.concatenate([self.states[:, 0], self.states[:, 1]], axis=1)
        column = np.arange(steps)[:, None] - np.arange(height)
        inside = (column >= 0) & (column < width)
        first = [broadcast_state(self.first[d], (num, height)) for d in (0, 1)]
        first = jax.tree.map(lambda *leaves: jnp.stack(leaves), *first)

        def diagonal(before, step):
            gates, inside = step
            both = jnp.concatenate([before.h, shift_down(before.h, axis=2)], axis=-1)
            gates += jnp.einsum("dbhs,dsg->dbhg", both, weights)
            state = lstm(gates, before.c)
            # Left of the image the initial state stays; right of it nobody looks.
            state = jax.tree.map(lambda new, old: jnp.where(inside, new, old), state, first)
            return state, state.h

        steps = jnp.moveaxis(gates, 3, 0), jnp.asarray(inside)[:, None, None, :, None]
        _, h = jax.lax.scan(diagonal, first, steps)
        return jnp.moveaxis(h, 0, 3)

    def local_bias(
        self, direction: int, context: Float[Array, "... k"] | None
    ) -> Float[Array, "... g"]:
        """The bias of a direction's gates, with what the context adds to it."""
        bias = self.bias[direction]
        return bias if self.context is None else bias + context @ self.context[direction]

    # Pixel by pixel. Between rows, a layer keeps the last row's h of both directions, [2, W, B, h];
    # in a row, the state of the last pixel in the first direction. The second runs once for each
    # completed row.

    def above(self, num: int, width: int) -> Float[Array, "2 w b h"]:
        """What is kept before the first row: nothing is above it."""
        return jnp.zeros((2, width, num, self.up.shape[0]), self.up.dtype)

    def open_row(
        self, above: Float[Array, "2 w b h"], context: Float[Array, "w #b k"] | None
    ) -> tuple[Float[Array, "w b g"], Float[Array, "w b h"]]:
        """What the row above and the context give to the pixels: gates, and the shifted h2."""
        return above[0] @ self.states[0, 1] + self.local_bias(0, context), above[1]

    def edge(self, num: int) -> LSTMState:
        """What is left of a row."""
        return broadcast_state(self.first[0], (num,))

    def pixel(
        self, x: Float[Array, "b i"], left: LSTMState, column: tuple[Array, Array]
    ) -> tuple[Float[Array, "b i"], LSTMState, tuple[Array, Array]]:
        """One pixel: (y, what the next one needs, what the row keeps of it)."""
        gates, shifted = column
        state = lstm(gates + x @ self.inputs[0] + left.h @ self.states[0, 0], left.c)
        return x + (state.h + shifted) @ self.up + self.up_bias, state, (x, state.h)

    def close_row(
        self,
        above: Float[Array, "2 w b h"],
        row: tuple[Float[Array, "w b i"], Float[Array, "w b h"]],
        context: Float[Array, "w #b k"] | None,
    ) -> Float[Array, "2 w b h"]:
        """What is kept of a completed row: h1 as it came, h2 by a scan from right to left."""
        x, ahead = row
        gates = x @ self.inputs[1] + above[1] @ self.states[1, 1] + self.local_bias(1, context)

        def pixel(right, gates):
            state = lstm(gates + right.h @ self.states[1, 0], right.c)
            return state, state.h

        first = broadcast_state(self.first[1], (x.shape[1],))
        _, back = jax.lax.scan(pixel, first, gates, reverse=True)
        return jnp.stack([ahead, back])


def skew(x: Float[Array, "... h w c"]) -> Float[Array, "... h j c"]:
    """Row r shifted right by r: [H, W, C] -> [H, H + W - 1, C], zeros elsewhere.

    Rows of W + H cells laid end to end and cut again into rows of one cell less.
    """
    *batch, height, width, channels = x.shape
    x = jnp.pad(x, (*[(0, 0)] * (len(batch) + 1), (0, height), (0, 0)))
    x = x.reshape(*batch, height * (width + height), channels)[..., :-height, :]
    return x.reshape(*batch, height, width + height - 1, channels)


def unskew(x: Float[Array, "... h j c"], width: int) -> Float[Array, "... h w c"]:
    """The inverse of `skew`: row r from column r on."""
    *batch, height, steps, channels = x.shape
    x = x.reshape(*batch, height * steps, channels)
    x = jnp.pad(x, (*[(0, 0)] * len(batch), (0, height), (0, 0)))
    return x.reshape(*batch, height, steps + 1, channels)[..., :width, :]


def shift_down(x: Float[Array, "b h ..."], axis: int = 1) -> Float[Array, "b h ..."]:
    """Each row in the place of the next, zeros in the first."""
    wide = jnp.pad(x, [(1, 0) if i == axis else (0, 0) for i in range(x.ndim)])
    return jax.lax.slice_in_dim(wide, 0, x.shape[axis], axis=axis)


def _corner(gates):
    """What the states of one direction read: gates above and to the left."""
    states = gates.copy()
    height, width = states.shape[:2]
    for r in range(height):
        for c in range(width):
            if r:
                states[r, c] |= states[r - 1, c].any(axis=0)
            if c:
                states[r, c] |= states[r, c - 1].any(axis=0)
    return states
