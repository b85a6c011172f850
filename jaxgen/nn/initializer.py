"""Initialisers of weights by name, so that a network is plain data."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from flax.linen import initializers

from jaxgen.errors import ConfigError

_INITIALIZERS = {  # a function of the scale
    "lecun_normal": lambda scale: initializers.variance_scaling(
        scale, "fan_in", "truncated_normal"
    ),
    "he_normal": lambda scale: initializers.variance_scaling(2 * scale, "fan_in", "normal"),
    "he_uniform": lambda scale: initializers.variance_scaling(2 * scale, "fan_in", "uniform"),
    "normal": initializers.normal,
    "orthogonal": initializers.orthogonal,
}


@dataclass(frozen=True)
class Initializer:
    """How weights begin.

    Attributes:
      name: lecun_normal, he_normal, he_uniform (of variance scale / fan in, and twice that),
        normal (of standard deviation scale) or orthogonal (of gain scale).
      scale: see there.
    """

    name: str = "lecun_normal"
    scale: float = 1.0

    def __post_init__(self):
        if self.name not in _INITIALIZERS:
            names = ", ".join(_INITIALIZERS)
            raise ConfigError(f"initializer: got {self.name!r}, expected one of {names}")

    def __call__(self, *args: object, **kwargs: object) -> jax.Array:
        """As Linen calls it: (key, shape, dtype) -> weights."""
        function: Callable[..., jax.Array] = _INITIALIZERS[self.name](self.scale)
        return function(*args, **kwargs)
