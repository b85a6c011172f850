"""The cell of a long short-term memory, on gates that a layer has already summed.

    c' = sigmoid(f) c + sigmoid(i) tanh(g),    h' = sigmoid(o) tanh(c')

Hochreiter & Schmidhuber, 1997, "Long short-term memory"; gates in the order o, f, i, g of van den
Oord et al., 2016 (arXiv 1601.06759).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array


class LSTMState(NamedTuple):
    """The state that an LSTM carries on."""

    h: Float[Array, "... h"]  # the output
    c: Float[Array, "... h"]  # the cell


def lstm(
    gates: Float[Array, "... h4"],
    c: Float[Array, "... h"],
) -> LSTMState:
    """Return the next state from the gates, all their inputs summed, and the cell's last value."""
    o, f, i, g = jnp.split(gates, 4, axis=-1)
    kept = jax.nn.sigmoid(f) * c
    c = kept + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return LSTMState(h, c)


def broadcast_state(
    first: Float[Array, "2 h"],
    shape: tuple[int, ...],
) -> LSTMState:
    """Return the learned initial state (h, c) at every place of `shape`."""
    h, c = first
    everywhere = (*shape, h.size)
    return LSTMState(jnp.broadcast_to(h, everywhere), jnp.broadcast_to(c, everywhere))
