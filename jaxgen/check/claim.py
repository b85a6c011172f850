"""The claim of a model: what it says of its data, larger for better."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.distributions import log_mean_exp
from jaxgen.typing import (
    Batch,
    Bounded,
    BoundedBySteps,
    Denoises,
    Density,
    Energy,
    Key,
    MeanField,
    Partition,
    Reconstructor,
    Variables,
)

Claim = Callable[[Variables, Key], jax.Array]  # -> nats of each example, [B]


def claim(
    model: Any,
    x: jax.Array,
    given: Batch,
    num_samples: int = 16,
) -> Claim | None:
    """Return what the model says of the examples, larger for better; None if it says nothing."""
    if isinstance(model, Bounded | BoundedBySteps):
        if _drawn(model) > 1:
            return partial(_importance_bound, model, x, given)
        return partial(_bound, model, x, given, num_samples)
    if isinstance(model, Density):
        return partial(_density, model, x, given)
    if isinstance(model, Energy | MeanField):
        return partial(_normalised, model, x, given) if is_normalised(model) else None
    if isinstance(model, Reconstructor):
        return partial(_closeness, model, x, given)
    if isinstance(model, Denoises):
        return partial(_restoration, model, x, given)
    return None


def _bound(
    model: Any,
    x: jax.Array,
    given: Batch,
    num_samples: int,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return the lower bound of each example, [B]."""
    return jnp.asarray(model.elbo(variables, x, key, num_samples, **given))


def _density(
    model: Any,
    x: jax.Array,
    given: Batch,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return log p(x) of each example, [B]."""
    del key
    return jnp.asarray(model.log_prob(variables, x, **given))


def _closeness(
    model: Any,
    x: jax.Array,
    given: Batch,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return minus the squared error of each reconstruction, [B]."""
    del key
    difference = jnp.asarray(model.reconstruct(variables, x, **given)) - x
    return -jnp.square(difference).reshape(len(x), -1).sum(axis=-1)


def _restoration(
    model: Any,
    x: jax.Array,
    given: Batch,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return minus the error of what is made of corrupted examples, [B]."""
    return -jnp.asarray(model.denoising_error(variables, x, key, **given))


def _normalised(
    model: Any,
    x: jax.Array,
    given: Batch,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return log p(x) = -E(x) - log Z where that can be summed, or the bound of it, [B]."""
    del key
    log_z = model.log_partition(variables)
    if isinstance(model, MeanField):
        log_density = model.mean_field_bound(variables, x, **given)
    else:
        log_density = -model.energy(variables, x, **given)
    return jnp.asarray(log_density - log_z)


def is_normalised(model: Any) -> bool:
    """Return whether the log Z of an energy can be summed."""
    return isinstance(model, Partition) and model.is_tractable


def _drawn(model: Any) -> int:
    """Return k where the model says that its loss is L_k, of k importance samples; else 1."""
    return int(getattr(model, "num_samples", 1))


def _importance_bound(
    model: Any,
    x: jax.Array,
    given: Batch,
    variables: Variables,
    key: Key,
) -> jax.Array:
    """Return the model's L_k of each example, with its own k, [B]."""
    weights = model.log_weights(variables, x, key, _drawn(model), **given)  # [k, B]
    return jnp.asarray(log_mean_exp(weights))
