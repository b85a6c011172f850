"""Activations by name, so that a network is plain data."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

_ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "softplus": jax.nn.softplus,
}


def activation(name: str) -> Callable[[Array], jax.Array]:
    """Return the function of that name.

    Raises:
      ConfigError: there is none; the message names the choices.
    """
    if name not in _ACTIVATIONS:
        raise ConfigError(f"activation: got {name!r}, expected one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]
