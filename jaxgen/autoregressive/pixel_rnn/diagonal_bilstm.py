"""The Diagonal BiLSTM: an image read along its diagonals, from both upper corners.

The state of a pixel comes from the states left of it and above it, so that one direction has read
everything above and to the left, however far:

    gates(r, c) = K_is x(r, c) + K_ss [h(r, c - 1), h(r - 1, c)] + b
    h(r, c), c(r, c) = LSTM(gates(r, c), c(r, c - 1))

All pixels of a diagonal are independent of each other: with row r shifted right by r (`skew`) a
diagonal is a column, and 2n - 1 steps read an image:

    a b c        a b c . .      step 0: a    1: b d    2: c e g    3: f h    4: i
    d e f   ->   . d e f .      at step 2, e reads d, the state before in its own row, and b, the
    g h i        . . g h i      state before one row up

The second direction is the same from right
to left, on the mirrored image, with weights of its own. At (r, c) it has read the pixels right of
c, which come later; so its map is shifted down by one row before it is added to the first:

    y(r, c) = x(r, c) + U [h1(r, c) + h2(r - 1, c)]

Behind a first layer with mask A, a pixel sees every earlier one but the last of the row above: h2
at (r - 1, c) has read the features there, which do not contain their own pixel.

In the sampler the first direction runs pixel by pixel, and the second, which reads a row from its
right end, when the row is complete. Row r with h1, h2 of row r - 1 kept:

    open_row     for all columns at once: K_ss on h1(r - 1), and h2(r - 1) as it is added to y
    pixel        x(r, c), the state of (r, c - 1) and what the row was opened with -> y(r, c), h1
    close_row    h1(r) as it came; h2(r) from right to left, on x(r) and h2(r - 1)

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

from jaxgen.autoregressive.pixel_rnn.skew import shift_down, skew, unskew
from jaxgen.nn import LSTMState, add_bias, broadcast_state, group_mask, lstm, masked_kernel
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
        """Return the weights, masked and in `dtype`; those of both directions side by side."""
        h = self.features
        input_mask = group_mask(2 * h, 4 * h, "B", self.groups, blocks=4)
        both_input_masks = np.stack([input_mask, input_mask])
        states_mask = np.ones((2, 2, h, 4 * h), bool)
        up_mask = group_mask(h, 2 * h, "B", self.groups)

        return DiagonalWeights(
            inputs=masked_kernel(self, "inputs", both_input_masks, batch_axis=(0,)),
            bias=self._zeros("bias", (2, 4 * h)),
            states=masked_kernel(self, "states", states_mask, batch_axis=(0,)),
            first=self._zeros("first", (2, 2, h)),
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
        """Return the kernels for the context, without a mask; None without a context."""
        if not self.context_dim:
            return None
        mask = np.ones((2, self.context_dim, 4 * self.features), bool)
        return masked_kernel(self, "context", mask, batch_axis=(0,))

    @staticmethod
    def reach(
        sets: Bool[np.ndarray, "h w g d"],
        context: Bool[np.ndarray, "h w d"],
    ) -> Bool[np.ndarray, "h w g d"]:
        """Return what each feature reads, from what those below read, see `RowLSTM.reach`."""
        gates = np.logical_or.accumulate(sets, axis=2) | context[:, :, None]
        states = _corner(gates)
        # The second direction: on the mirrored image, one row down.
        mirrored = _corner(gates[:, ::-1])
        states[1:] |= mirrored[:-1, ::-1]
        return sets | np.logical_or.accumulate(states, axis=2)


class DiagonalWeights(NamedTuple):
    """The arrays that a Diagonal BiLSTM computes with; the first axis is the direction."""

    inputs: Float[Array, "2 i g"]  # K_is
    bias: Float[Array, "2 g"]
    states: Float[Array, "2 2 h g"]  # K_ss, of h before and of h above
    first: Float[Array, "2 2 h"]  # h and c before a row
    up: Float[Array, "h i"]  # U
    up_bias: Float[Array, " i"]
    context: Float[Array, "2 k g"] | None

    def forward(
        self,
        x: Float[Array, "b h w i"],
        context: Float[Array, "... h w k"] | None,
    ) -> Float[Array, "b h w i"]:
        """Return the layer on whole images, both directions in each step.

        A scan over the diagonals has H + W - 1 steps.
        """
        width = x.shape[2]
        ahead = add_bias(x @ self.inputs[0], self.local_bias(0, context))
        back = add_bias(x @ self.inputs[1], self.local_bias(1, context))
        mirrored = jnp.flip(back, axis=2)
        gates = skew(jnp.stack([ahead, mirrored]))  # [2, B, H, H + W - 1, 4h]
        h = unskew(self.diagonals(gates, width), width)  # [2, B, H, W, h]
        h1 = h[0]
        h2 = jnp.flip(h[1], axis=2)
        return add_bias(x + (h1 + shift_down(h2)) @ self.up, self.up_bias)

    def diagonals(
        self,
        gates: Float[Array, "2 b h j g"],
        width: int,
    ) -> Float[Array, "2 b h j s"]:
        """Return the states h of both directions, from skewed gates without K_ss."""
        _, num, height, steps, _ = gates.shape
        # [2, 2, h, 4h] -> [2, 2h, 4h]: the state before and the one above share a product.
        weights = jnp.concatenate([self.states[:, 0], self.states[:, 1]], axis=1)
        column = np.arange(steps)[:, None] - np.arange(height)
        inside = (column >= 0) & (column < width)  # [H + W - 1, H]
        first = _both_first(self.first, (num, height))

        def diagonal(
            before: LSTMState,
            step: tuple[Array, Array],
        ) -> tuple[LSTMState, Array]:
            gates, inside = step  # [2, B, H, 4h] and [1, 1, H, 1]
            # In the skewed image the pixel above lies one row up in the step before.
            above = shift_down(before.h, axis=2)
            both = jnp.concatenate([before.h, above], axis=-1)  # [2, B, H, 2h]
            gates += jnp.einsum("dbhs,dsg->dbhg", both, weights)
            state = lstm(gates, before.c)

            def or_first(new: Array, old: Array) -> Array:
                return jnp.where(inside, new, old)

            # Left of the image the initial state stays; right of it nobody looks.
            state = jax.tree.map(or_first, state, first)
            return state, state.h

        gates_of_steps = jnp.moveaxis(gates, 3, 0)  # [H + W - 1, 2, B, H, 4h]
        inside_of_steps = jnp.asarray(inside)[:, None, None, :, None]
        _, h = jax.lax.scan(diagonal, first, (gates_of_steps, inside_of_steps))
        return jnp.moveaxis(h, 0, 3)  # [H + W - 1, 2, B, H, h] -> [2, B, H, H + W - 1, h]

    def local_bias(
        self,
        direction: int,
        context: Float[Array, "... k"] | None,
    ) -> Float[Array, "... g"]:
        """Return the bias of a direction's gates, with what the context adds to it."""
        bias = self.bias[direction]
        if self.context is None:
            return bias
        assert context is not None  # the model refuses variables that expect one without one
        return add_bias(context @ self.context[direction], bias)

    # Pixel by pixel. Between rows, a layer keeps the last row's h of both directions, [2, W, B, h];
    # in a row, the state of the last pixel in the first direction.

    def above(
        self,
        num: int,
        width: int,
    ) -> Float[Array, "2 w b h"]:
        """Return what is kept before the first row: nothing is above it."""
        return jnp.zeros((2, width, num, self.up.shape[0]), self.up.dtype)

    def open_row(
        self,
        above: Float[Array, "2 w b h"],
        context: Float[Array, "w #b k"] | None,
    ) -> tuple[Float[Array, "w b g"], Float[Array, "w b h"]]:
        """Return what the row above and the context give to the pixels: gates, and h2 above."""
        gates = add_bias(above[0] @ self.states[0, 1], self.local_bias(0, context))
        return gates, above[1]

    def edge(self, num: int) -> LSTMState:
        """Return what is left of a row."""
        return broadcast_state(self.first[0], (num,))

    def pixel(
        self,
        x: Float[Array, "b i"],
        left: LSTMState,
        column: tuple[Array, Array],
    ) -> tuple[Float[Array, "b i"], LSTMState, tuple[Array, Array]]:
        """Return one pixel: (y, what the next one needs, what the row keeps of it)."""
        gates, h2_above = column  # of this pixel, from `open_row`
        gates = gates + x @ self.inputs[0] + left.h @ self.states[0, 0]
        state = lstm(gates, left.c)
        y = add_bias(x + (state.h + h2_above) @ self.up, self.up_bias)
        return y, state, (x, state.h)

    def close_row(
        self,
        above: Float[Array, "2 w b h"],
        row: tuple[Float[Array, "w b i"], Float[Array, "w b h"]],
        context: Float[Array, "w #b k"] | None,
    ) -> Float[Array, "2 w b h"]:
        """Return what is kept of a completed row: h1 as it came, h2 from right to left."""
        x, h1 = row
        num = x.shape[1]
        gates = x @ self.inputs[1] + above[1] @ self.states[1, 1]
        gates = add_bias(gates, self.local_bias(1, context))

        def pixel(
            right: LSTMState,
            gates: Array,
        ) -> tuple[LSTMState, Array]:
            state = lstm(gates + right.h @ self.states[1, 0], right.c)
            return state, state.h

        first = broadcast_state(self.first[1], (num,))
        _, h2 = jax.lax.scan(pixel, first, gates, reverse=True)
        return jnp.stack([h1, h2])


def _both_first(
    first: Float[Array, "2 2 h"],
    shape: tuple[int, ...],
) -> LSTMState:
    """Return the initial states of both directions at every place, [2, *shape, h] each."""
    ahead = broadcast_state(first[0], shape)
    back = broadcast_state(first[1], shape)
    return LSTMState(jnp.stack([ahead.h, back.h]), jnp.stack([ahead.c, back.c]))


def _corner(gates: Bool[np.ndarray, "h w g d"]) -> Bool[np.ndarray, "h w g d"]:
    """Return what the states of one direction read: gates above and to the left."""
    states = gates.copy()
    height, width = states.shape[:2]
    for r in range(height):
        for c in range(width):
            # K_ss mixes all groups of a neighbour.
            if r:
                states[r, c] |= states[r - 1, c].any(axis=0)
            if c:
                states[r, c] |= states[r, c - 1].any(axis=0)
    return states
