"""Bijections of vectors: parts of a flow, each with an inverse and a log-determinant.

    y = f(x),    x = f^-1(y),    log |det df/dx| = sum_k log |det df_k/dx_k| of a composition.

A bijection holds no parameters: it makes fresh ones and is given them again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array, Key

Params = Mapping[str, Any]


class Bijection(ABC):
    """An invertible function of vectors [B, D], abstract. Subclasses are frozen dataclasses."""

    @abstractmethod
    def init(self, key: Key) -> Params:
        """Return fresh parameters."""

    @abstractmethod
    def forward(
        self,
        params: Params,
        x: Float[Array, "b d"],
    ) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
        """Return y and log |det dy/dx|."""

    @abstractmethod
    def inverse(
        self,
        params: Params,
        y: Float[Array, "b d"],
    ) -> Float[jax.Array, "b d"]:
        """Return x."""


def init_all(
    bijections: Mapping[str, Bijection],
    key: Key,
) -> dict[str, Params]:
    """Return fresh parameters of each, {name: parameters}."""
    keys = jax.random.split(key, len(bijections))
    named = zip(bijections.items(), keys, strict=True)
    return {name: bijection.init(own) for (name, bijection), own in named}


def forward_all(
    bijections: Mapping[str, Bijection],
    params: Mapping[str, Params],
    x: Float[Array, "b d"],
) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
    """Apply them from the first to the last: their output, and the sum of log-determinants."""
    y = jnp.asarray(x)
    log_det = jnp.zeros(len(y), y.dtype)
    for name, bijection in bijections.items():
        y, added = bijection.forward(params[name], y)
        log_det = log_det + added
    return y, log_det


def inverse_all(
    bijections: Mapping[str, Bijection],
    params: Mapping[str, Params],
    y: Float[Array, "b d"],
) -> Float[jax.Array, "b d"]:
    """Apply the inverses from the last to the first."""
    x = jnp.asarray(y)
    for name, bijection in reversed(list(bijections.items())):
        x = bijection.inverse(params[name], x)
    return x
