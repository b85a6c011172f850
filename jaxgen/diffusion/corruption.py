"""Salt and pepper: the corruption of binary examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array, Key


def corrupted(
    key: Key,
    x: Float[Array, "..."],
    share: float,
) -> Float[jax.Array, "..."]:
    """Replace a share of the elements by fair coins; nothing flows through."""
    where_key, coin_key = jax.random.split(key)
    replaced = jax.random.bernoulli(where_key, share, x.shape)
    coins = jax.random.bernoulli(coin_key, 0.5, x.shape).astype(x.dtype)
    return jax.lax.stop_gradient(jnp.where(replaced, coins, x))
