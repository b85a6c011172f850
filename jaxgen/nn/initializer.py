"""Initialisers of weights by name, so that a network is plain data."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from flax.linen import initializers

from jaxgen.errors import ConfigError


def _lecun_normal(scale: float) -> Callable[..., jax.Array]:
    return initializers.variance_scaling(scale, "fan_in", "truncated_normal")


def _he_normal(scale: float) -> Callable[..., jax.Array]:
    return initializers.variance_scaling(2 * scale, "fan_in", "normal")


def _he_uniform(scale: float) -> Callable[..., jax.Array]:
    return initializers.variance_scaling(2 * scale, "fan_in", "uniform")


# name -> (scale -> Linen's initialiser)
_INITIALIZERS: dict[str, Callable[[float], Callable[..., jax.Array]]] = {
    "lecun_normal": _lecun_normal,
    "he_normal": _he_normal,
    "he_uniform": _he_uniform,
    "normal": initializers.normal,
    "orthogonal": initializers.orthogonal,
}


@dataclass(frozen=True)
class Initializer:
    """A distribution of weights before training.

    Attributes:
      name: lecun_normal, he_normal, he_uniform (of variance scale / fan in, and twice that),
        normal (of standard deviation scale) or orthogonal (of gain scale).
      scale: see there.
    """

    name: str = "lecun_normal"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in _INITIALIZERS:
            names = ", ".join(_INITIALIZERS)
            raise ConfigError(f"initializer: got {self.name!r}, expected one of {names}")

    def __call__(self, *args: object, **kwargs: object) -> jax.Array:
        """Return fresh weights; Linen calls it with (key, shape, dtype)."""
        initialize = _INITIALIZERS[self.name](self.scale)
        return initialize(*args, **kwargs)
