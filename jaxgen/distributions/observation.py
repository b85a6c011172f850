"""Observation models: the meaning of a network's outputs, element by element.

An observation model turns outputs `[..., *shape, num_params]` into a distribution over each element
of examples `[..., *shape]`: p(x_i | z) of a decoder, p(x_i | x_<i) of an autoregressive model. Its
`grid` gives the points [V, ...] and the width of a cell, [1, ...] or [V, ...], over which
exp(log_prob) sums to 1. `values` is how many values an element takes, None for real numbers: what
the data must be for a likelihood to be one.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions.functions import (
    bernoulli_log_prob,
    categorical_log_prob,
    discretized_logistic_log_prob,
    normal_log_prob,
    sample_discretized_logistic,
)
from jaxgen.errors import ConfigError
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array

__all__ = ["Bernoulli", "Categorical", "DiscretizedLogistic", "Gaussian", "Observation"]


@dataclass(frozen=True)
class Bernoulli:
    """A coin for each element, x in {0, 1}; the parameter is a logit."""

    num_params: ClassVar[int] = 1
    values: ClassVar[int | None] = 2
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def log_prob(
        self,
        params: Float[Array, "... p"],
        x: Float[Array, "..."],
    ) -> Array:
        """Return log P(x) per element, [...]."""
        return bernoulli_log_prob(x, params[..., 0])

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return P(x = 1), [...]."""
        return jax.nn.sigmoid(params[..., 0])

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> jax.Array:
        """Draw from {0., 1.}, [...]."""
        mean = at_least_float32(self.mean(params))
        return jax.random.bernoulli(key, mean).astype(mean.dtype)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return both values, of width 1."""
        return _levels(2, params)


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian for each element; the parameters are a mean and, unless `std` is given, a log std.

    Attributes:
      std: a fixed standard deviation, or None to learn it. A squared-error reconstruction loss is
        the choice std = sqrt(1/2), which hides the weight of the KL term.
    """

    std: float | None = None
    values: ClassVar[int | None] = None
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    def __post_init__(self) -> None:
        if self.std is not None and not self.std > 0:
            raise ConfigError(f"observation.std: got {self.std}, expected > 0")

    @property
    def num_params(self) -> int:
        """The number of parameters: 1 with a fixed standard deviation, else 2."""
        return 1 if self.std is not None else 2

    def log_std(self, params: Float[Array, "... p"]) -> Array:
        """Return the log standard deviation per element, [...]."""
        if self.std is None:
            return params[..., 1]
        return jnp.full(params.shape[:-1], jnp.log(jnp.asarray(self.std, params.dtype)))

    def log_prob(
        self,
        params: Float[Array, "... p"],
        x: Float[Array, "..."],
    ) -> Array:
        """Return the log density per element, [...]."""
        return normal_log_prob(x, params[..., 0], self.log_std(params))

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return the mean, [...]."""
        return params[..., 0]

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> Array:
        """Draw real numbers, [...]."""
        noise = jax.random.normal(key, params.shape[:-1], params.dtype)
        std = jnp.exp(self.log_std(params))
        return params[..., 0] + std * noise

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return 401 points over 10 standard deviations on both sides of the mean."""
        std = jnp.exp(self.log_std(params))
        steps = jnp.linspace(-10, 10, 401, dtype=params.dtype).reshape(
            -1, *[1] * std.ndim
        )  # [V, 1, ...]
        points = params[None, ..., 0] + steps * std[None]
        return points, std[None] / 20


@dataclass(frozen=True)
class DiscretizedLogistic:
    """A logistic rounded to whole levels 0 .. levels - 1, from a mean and a log scale.

    The network's outputs are in units of half the range, so that their natural size is 1.

    Attributes:
      levels: how many there are: 256 for bytes.
    """

    levels: int
    num_params: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ConfigError(f"observation.levels: got {self.levels}, expected >= 2")

    @property
    def values(self) -> int:
        """The number of values that an element takes."""
        return self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest level."""
        return (0.0, self.levels - 1.0)

    @property
    def _half(self) -> float:
        """Half the range: the unit of the network's outputs."""
        return (self.levels - 1) / 2

    def _mean_and_log_scale(self, params: Array) -> tuple[Array, Array]:
        """Return both parameters in units of levels, [...] each."""
        mean = self._half * (1 + params[..., 0])
        log_scale = params[..., 1] + jnp.log(jnp.asarray(self._half, params.dtype))
        return mean, log_scale

    def log_prob(
        self,
        params: Float[Array, "... p"],
        x: Float[Array, "..."],
    ) -> jax.Array:
        """Return log P(x) per element, [...]."""
        mean, log_scale = self._mean_and_log_scale(params)
        return discretized_logistic_log_prob(x, mean, log_scale, self.levels)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return the logistic's mean, clipped to the levels, [...]."""
        mean, _ = self._mean_and_log_scale(params)
        return jnp.clip(mean, 0, self.levels - 1)

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> jax.Array:
        """Draw whole levels, [...]."""
        mean, log_scale = self._mean_and_log_scale(params)
        return sample_discretized_logistic(key, mean, log_scale, self.levels)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: scaled to [-1, 1]."""
        return x / self._half - 1

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return all levels, of width 1."""
        return _levels(self.levels, params)


@dataclass(frozen=True)
class Categorical:
    """Any distribution over whole levels 0 .. levels - 1; the parameters are their logits.

    Attributes:
      levels: how many there are: 256 for bytes.
    """

    levels: int

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ConfigError(f"observation.levels: got {self.levels}, expected >= 2")

    @property
    def num_params(self) -> int:
        """The number of parameters: a logit for each level."""
        return self.levels

    @property
    def values(self) -> int:
        """The number of values that an element takes."""
        return self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest level."""
        return (0.0, self.levels - 1.0)

    def log_prob(
        self,
        params: Float[Array, "... p"],
        x: Float[Array, "..."],
    ) -> jax.Array:
        """Return log P(x) per element, [...]."""
        return categorical_log_prob(x, params)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return the mean level, [...]."""
        levels = jnp.arange(self.levels, dtype=params.dtype)
        return jax.nn.softmax(params) @ levels

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> jax.Array:
        """Draw whole levels, [...]."""
        logits = at_least_float32(params)
        return jax.random.categorical(key, logits).astype(logits.dtype)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: scaled to [-1, 1]."""
        return 2 * x / (self.levels - 1) - 1

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return all levels, of width 1."""
        return _levels(self.levels, params)


def _levels(num: int, params: Array) -> tuple[Array, Array]:
    """Return the levels 0 .. num - 1 for each element, [V, ...], and their width 1, [1, ...]."""
    shape = params.shape[:-1]
    levels = jnp.arange(num, dtype=at_least_float32(params).dtype)
    points = levels.reshape(-1, *[1] * len(shape))  # [V, 1, ...]
    return jnp.broadcast_to(points, (num, *shape)), jnp.ones((1, *shape), points.dtype)


Observation = Bernoulli | Gaussian | DiscretizedLogistic | Categorical
