"""The common part of this folder's tables: their variables, and the reading of a table.

Between whole numbers, where no data lie, a table is read by linear interpolation, so that it has a
Jacobian like every other model.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.distributions.observation import Bernoulli, Categorical
from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Variables

LARGEST_TABLE = 2**24  # numbers in a table: 64 MB
INITIAL_STD = 0.01  # of the logits


def table_variables(logits: Array) -> Variables:
    """Return the variables of a table of these logits."""
    return {"table": {"params": {"logits": jnp.asarray(logits, jnp.result_type(float))}}}


def observation_of(levels: int) -> Bernoulli | Categorical:
    """Return the distribution of an element with that many values."""
    return Bernoulli() if levels == 2 else Categorical(levels)


def interpolation(x: jax.Array, levels: int) -> jax.Array:
    """Return weights [B, n, m] of the levels: one-hot at whole numbers, linear between them."""
    values = jax.lax.broadcast_to_rank(jnp.arange(levels), x.ndim + 1)  # [1, ..., m]
    distance = jnp.abs(x[..., None] - values)
    return jax.nn.relu(1 - distance)


def read_table(
    table: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    """Return the rows of tables [..., m^t, q] for prefixes given by weights: [B, ..., q].

    The weights are [B, ..., t, m]. A prefix of two binary elements, 1 then 0, in rows 00 .. 11:

        00 01 10 11  ->  the half of first element 1:  10 11  ->  of second element 0:  10
    """
    batch = weights.shape[:-2]
    num_levels = weights.shape[-1]
    num_logits = table.shape[-1]
    rows = jnp.broadcast_to(table, (*batch, *table.shape[-2:]))
    for s in range(weights.shape[-2]):
        rows = rows.reshape(*batch, num_levels, -1, num_logits)  # [B, ..., m, m^(t-s-1), q]
        rows = jnp.einsum("...m,...mrq->...rq", weights[..., s, :], rows)
    return rows.reshape(*batch, num_logits)


def parameters_from(logits: jax.Array, levels: int) -> jax.Array:
    """Return the observation's parameters from logits against the value 0."""
    if levels == 2:
        return logits
    return jnp.concatenate([jnp.zeros_like(logits[..., :1]), logits], axis=-1)


def place_values(levels: int, num: int) -> np.ndarray:
    """Return what each of `num` digits in base `levels` counts, the first the most: [num]."""
    return levels ** np.arange(num)[::-1]


def require_size(num: int) -> None:
    """Raise ConfigError for a table of more numbers than can be stored."""
    if num > LARGEST_TABLE:
        raise ConfigError(f"table of {num} numbers: expected at most {LARGEST_TABLE}")
