"""Likelihoods and their bounds, per example and in nats.

For a model with latent variables one set of importance weights w_i = p(x, z_i) / q(z_i | x) gives

    ELBO = E mean_i log w_i  <=  IWAE-k = E log mean_i w_i  <=  log p(x),

the first inequality for every draw (Jensen), the second in expectation. A unit is active if its
posterior mean varies over the data: Var_x(E_q[z_j]) > 0.01 (Burda et al., 2016, section 5.2).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.distributions import log_mean_exp
from jaxgen.typing import Array, Key, Variables

_CHUNK = 50  # importance samples decoded at once, which bounds the memory


def importance_weights(
    model: Any,
    variables: Variables,
    x: Array,
    key: Key,
    num_samples: int,
    **conditions: Array,
) -> jax.Array:
    """Return `model.log_weights`, [num_samples, B], computed in chunks that bound the memory."""
    chunk = max(size for size in range(1, _CHUNK + 1) if num_samples % size == 0)
    keys = jax.random.split(key, num_samples // chunk)

    def log_weights(key: Key) -> jax.Array:
        return model.log_weights(variables, x, key, chunk, **conditions)

    weights = jax.lax.map(log_weights, keys)  # [num_samples / chunk, chunk, B]
    return weights.reshape(num_samples, x.shape[0])


def log_prob_by_class(
    model: Any,
    variables: Variables,
    x: Array,
    label: Array,
    **conditions: Array,
) -> dict[str, Array]:
    """Return what p(x | y) of all classes y says of each example, [B] each.

    Returns:
      `log_prob`, the marginal under equally probable classes; `log_prob_given_label`; and
      `bayes_accuracy`, 1 where the class with the largest p(x | y) is the label. The last two say
      nothing of an example whose label is unknown (-1).
    """
    label = jnp.asarray(label).astype(int)
    log_prob = model.log_prob_per_class(variables, x, label=label, **conditions)  # [K, B]
    found = log_prob.argmax(axis=0) == label
    known = jnp.maximum(label, 0)  # -1 would be the last class
    return {
        "log_prob": log_mean_exp(log_prob),
        "log_prob_given_label": jnp.take_along_axis(log_prob, known[None], axis=0)[0],
        "bayes_accuracy": found.astype(jnp.float32),
    }


def active_units(code: np.ndarray, threshold: float = 1e-2) -> int:
    """Count the latent dimensions of `code` [N, Z] that vary over the data."""
    return int((code.var(axis=0) > threshold).sum())
