"""Priors of a flow: independent elements, all of one standard distribution.

    normal      log p(z) = -z^2 / 2 - log(2 pi) / 2
    logistic    log p(z) = -softplus(z) - softplus(-z)
    laplace     log p(z) = -|z| - log 2

An element's scale is the flow's own: it is part of the change of variables.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.distributions.functions import LOG_2PI
from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Key


class Prior(NamedTuple):
    """A distribution of one element.

    Attributes:
      log_prob: z [...] -> its log density in nats, [...].
      sample: (key, shape) -> draws of that shape.
    """

    log_prob: Callable[[Array], jax.Array]
    sample: Callable[[Key, tuple[int, ...]], jax.Array]


def _normal(z: Array) -> jax.Array:
    """Return the log density of N(0, 1)."""
    return -0.5 * (jnp.square(z) + LOG_2PI)


def _logistic(z: Array) -> jax.Array:
    """Return the log density of the logistic distribution."""
    return -jax.nn.softplus(z) - jax.nn.softplus(-z)


def _laplace(z: Array) -> jax.Array:
    """Return the log density of the Laplace distribution."""
    return -jnp.abs(z) - math.log(2)


_PRIORS = {
    "normal": Prior(_normal, jax.random.normal),
    "logistic": Prior(_logistic, jax.random.logistic),
    "laplace": Prior(_laplace, jax.random.laplace),
}


def prior(name: str) -> Prior:
    """Return the prior of that name.

    Raises:
      ConfigError: there is none; the message names the choices.
    """
    if name not in _PRIORS:
        raise ConfigError(f"prior: got {name!r}, expected one of {', '.join(_PRIORS)}")
    return _PRIORS[name]
