"""What a network's outputs mean: each element's distribution, Bernoulli, Gaussian, categorical, ...

An observation model turns outputs `[..., *shape, num_params]` into a distribution over each element
of examples `[..., *shape]`: p(x_i | z) of a decoder, p(x_i | x_<i) of an autoregressive model. Its
`grid` gives the points [V, ...] and the width of a cell [...] or [V, ...] over which exp(log_prob)
sums to 1. `values` is how many values an element takes, None for real numbers: what the data must
be for a likelihood to be one.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen import distributions
from jaxgen.errors import ConfigError
from jaxgen.typing import Array

__all__ = ["Bernoulli", "Categorical", "DiscretizedLogistic", "Gaussian", "Observation"]


@dataclass(frozen=True)
class Bernoulli:
    """Binary examples, x in {0, 1}; the parameter is a logit."""

    num_params: ClassVar[int] = 1
    values: ClassVar[int | None] = 2
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log P(x) per element, [...]."""
        return distributions.bernoulli_log_prob(x, params[..., 0])

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """P(x = 1), [...]."""
        return jax.nn.sigmoid(params[..., 0])

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw in {0., 1.}, [...]."""
        return jax.random.bernoulli(key, self.mean(params)).astype(jnp.float32)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Both values, of width 1."""
        return _levels(2, params)


@dataclass(frozen=True)
class Gaussian:
    """Real-valued examples; the parameters are a mean and, unless `std` is given, a log std.

    Attributes:
      std: a fixed standard deviation, or None to learn it. A squared-error reconstruction loss is
        the choice std = sqrt(1/2), which hides the weight of the KL term.
    """

    std: float | None = None
    values: ClassVar[int | None] = None
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    def __post_init__(self):
        if self.std is not None and not self.std > 0:
            raise ConfigError(f"observation.std: got {self.std}, expected > 0")

    @property
    def num_params(self) -> int:
        """1 with a fixed standard deviation, else 2."""
        return 1 if self.std is not None else 2

    def log_std(self, params: Float[Array, "... p"]) -> Array:
        """Log standard deviation per element, [...]."""
        if self.std is None:
            return params[..., 1]
        return jnp.full(params.shape[:-1], jnp.log(self.std))

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log density per element, [...]."""
        return distributions.normal_log_prob(x, params[..., 0], self.log_std(params))

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The mean, [...]."""
        return params[..., 0]

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw, [...]."""
        noise = jax.random.normal(key, params.shape[:-1])
        return params[..., 0] + jnp.exp(self.log_std(params)) * noise

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """401 points over 10 standard deviations on both sides of the mean."""
        std = jnp.exp(self.log_std(params))
        steps = jnp.linspace(-10, 10, 401).reshape(-1, *[1] * std.ndim)
        return params[..., 0] + steps * std, std / 20


@dataclass(frozen=True)
class DiscretizedLogistic:
    """Whole levels 0 .. levels - 1; the parameters are a mean and a log scale.

    The network's outputs are in units of half the range, so that their natural size is 1.

    Attributes:
      levels: how many there are: 256 for bytes.
    """

    levels: int
    num_params: ClassVar[int] = 2

    def __post_init__(self):
        if self.levels < 2:
            raise ConfigError(f"observation.levels: got {self.levels}, expected >= 2")

    @property
    def values(self) -> int:
        """How many values an element takes."""
        return self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest level."""
        return (0.0, self.levels - 1.0)

    @property
    def _half(self):
        return (self.levels - 1) / 2

    def _mean_and_log_scale(self, params):
        return self._half * (1 + params[..., 0]), params[..., 1] + jnp.log(self._half)

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log P(x) per element, [...]."""
        mean, log_scale = self._mean_and_log_scale(params)
        return distributions.discretized_logistic_log_prob(x, mean, log_scale, self.levels)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The logistic's mean, clipped to the levels, [...]."""
        return jnp.clip(self._mean_and_log_scale(params)[0], 0, self.levels - 1)

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw of whole levels, [...]."""
        mean, log_scale = self._mean_and_log_scale(params)
        return distributions.sample_discretized_logistic(key, mean, log_scale, self.levels)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: scaled to [-1, 1]."""
        return x / self._half - 1

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """All levels, of width 1."""
        return _levels(self.levels, params)


@dataclass(frozen=True)
class Categorical:
    """Whole levels 0 .. levels - 1; the parameters are their logits.

    Attributes:
      levels: how many there are: 256 for bytes.
    """

    levels: int

    def __post_init__(self):
        if self.levels < 2:
            raise ConfigError(f"observation.levels: got {self.levels}, expected >= 2")

    @property
    def num_params(self) -> int:
        """A logit for each level."""
        return self.levels

    @property
    def values(self) -> int:
        """How many values an element takes."""
        return self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest level."""
        return (0.0, self.levels - 1.0)

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log P(x) per element, [...]."""
        return distributions.categorical_log_prob(x, params)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The mean level, [...]."""
        return jax.nn.softmax(params) @ jnp.arange(self.levels, dtype=params.dtype)

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw of whole levels, [...]."""
        return jax.random.categorical(key, params).astype(jnp.float32)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: scaled to [-1, 1]."""
        return 2 * x / (self.levels - 1) - 1

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """All levels, of width 1."""
        return _levels(self.levels, params)


def _levels(num, params):
    points = jnp.arange(num, dtype=jnp.float32).reshape(-1, *[1] * (params.ndim - 1))
    return jnp.broadcast_to(points, (num, *params.shape[:-1])), jnp.ones(params.shape[:-1])


Observation = Bernoulli | Gaussian | DiscretizedLogistic | Categorical
