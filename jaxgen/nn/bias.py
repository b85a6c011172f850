"""Biases: the sum of maps and of numbers that are the same at all of their first axes.

JAX can be told to refuse a sum of arrays of different ranks, in which `[B]` and `[B, 1]` make
`[B, B]` without a word (`jax_numpy_rank_promotion`); the tests do. What is meant is said here.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array


def add_bias(
    maps: Float[Array, "..."],
    bias: Float[Array, "..."],
) -> Float[jax.Array, "..."]:
    """Return maps [..., *S] plus a bias [*S], the same at all leading axes."""
    return jnp.add(maps, jax.lax.broadcast_to_rank(bias, maps.ndim))
