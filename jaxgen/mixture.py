"""Mixtures of Gaussians or Laplace distributions as what a network's outputs mean, per element.

    p(x) = sum_k a_k f((x - m_k) / s_k) / s_k,   a = softmax(l),   s = exp(r) + floor,

from 3K outputs (l_1..K, m_1..K, r_1..K). Without a floor under the scale the likelihood of data
with repeated values has no bound: a component shrinks onto a value. Bishop, 1994, "Mixture density
networks".
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.distributions import normal_log_prob
from jaxgen.errors import ConfigError
from jaxgen.typing import Array

__all__ = ["MixtureOfGaussians", "MixtureOfLaplaces"]

_LOG_SCALE_LIMIT = 30.0  # beyond it draws leave float32
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class MixtureOfGaussians:
    """A mixture of Gaussians for each element; real-valued examples.

    Attributes:
      num_components: K.
      floor: the smallest standard deviation, in units of the data.
    """

    num_components: int
    floor: float = 1e-3
    values: ClassVar[int | None] = None
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    def __post_init__(self):
        _require_sizes(self.num_components, self.floor)

    @property
    def num_params(self) -> int:
        """3K: logits, means, logs of the scales above the floor."""
        return 3 * self.num_components

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log density per element, [...]."""
        log_weight, mean, log_std = components(params, self.floor)
        return jax.nn.logsumexp(log_weight + normal_log_prob(x[..., None], mean, log_std), axis=-1)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The mean of the mixture, [...]."""
        log_weight, mean, _ = components(params, self.floor)
        return (jnp.exp(log_weight) * mean).sum(axis=-1)

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw, [...]: of a component, then of its Gaussian."""
        component_key, noise_key = jax.random.split(key)
        mean, std = chosen(component_key, params, self.floor)
        return mean + std * jax.random.normal(noise_key, mean.shape, mean.dtype)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Gauss-Legendre points and weights, [V, ...], over 9 standard deviations."""
        return quadrature(params, self.floor, reach=9)


@dataclass(frozen=True)
class MixtureOfLaplaces:
    """A mixture of Laplace distributions exp(-|x - m| / s) / 2s for each element.

    Attributes:
      num_components: K.
      floor: the smallest scale s, in units of the data.
    """

    num_components: int
    floor: float = 1e-3
    values: ClassVar[int | None] = None
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))

    def __post_init__(self):
        _require_sizes(self.num_components, self.floor)

    @property
    def num_params(self) -> int:
        """3K: logits, means, logs of the scales above the floor."""
        return 3 * self.num_components

    def log_prob(self, params: Float[Array, "... p"], x: Float[Array, "..."]) -> Array:
        """log density per element, [...]."""
        log_weight, mean, log_scale = components(params, self.floor)
        distance = jnp.abs(x[..., None] - mean) * jnp.exp(-log_scale)
        return jax.nn.logsumexp(log_weight - distance - log_scale - math.log(2), axis=-1)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The mean of the mixture, [...]."""
        log_weight, mean, _ = components(params, self.floor)
        return (jnp.exp(log_weight) * mean).sum(axis=-1)

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw, [...]: of a component, then of its Laplace distribution."""
        component_key, noise_key = jax.random.split(key)
        mean, scale = chosen(component_key, params, self.floor)
        return mean + scale * jax.random.laplace(noise_key, mean.shape, mean.dtype)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Gauss-Legendre points and weights, [V, ...], over 16 scales."""
        return quadrature(params, self.floor, reach=16)


def components(params: Float[Array, "... p"], floor: float) -> tuple[Array, Array, Array]:
    """log weights, means and log scales from 3K parameters, [..., K] each.

    log(exp(r) + floor) is finite for any r; it is cut at 30, where draws would leave float32.
    """
    logits, mean, raw = jnp.split(params, 3, axis=-1)
    log_scale = jnp.minimum(jnp.logaddexp(raw, math.log(floor)), _LOG_SCALE_LIMIT)
    return jax.nn.log_softmax(logits), mean, log_scale


def chosen(key: jax.Array, params: Float[Array, "... p"], floor: float) -> tuple[Array, Array]:
    """The mean and the scale of a component drawn for each element, [...] each."""
    log_weight, mean, log_scale = components(params, floor)
    index = jax.random.categorical(key, log_weight)[..., None]
    mean, log_scale = (jnp.take_along_axis(v, index, axis=-1)[..., 0] for v in (mean, log_scale))
    return mean, jnp.exp(log_scale)


def quadrature(params: Float[Array, "... p"], floor: float, reach: int) -> tuple[Array, Array]:
    """Points and weights [V, ...] that integrate a mixture of components of whatever scales.

    The line is cut at every component's mean and at 1, 2, ..., `reach` scales from it, and 4
    Gauss-Legendre points are laid between any two neighbouring cuts: a piece is nowhere longer
    than the scale of a component that has weight there, and a kink lies on a cut.
    """
    _, mean, log_scale = components(params, floor)
    steps = jnp.arange(-reach, reach + 1.0)
    cuts = mean[..., None] + jnp.exp(log_scale)[..., None] * steps
    cuts = jnp.sort(jnp.moveaxis(cuts.reshape(*mean.shape[:-1], -1), -1, 0), axis=0)
    left, width = cuts[:-1], jnp.diff(cuts, axis=0)
    points = left + width * (0.5 + 0.5 * _NODES.reshape(-1, *[1] * width.ndim))
    weights = width * (0.5 * _WEIGHTS.reshape(-1, *[1] * width.ndim))
    flat = (-1, *width.shape[1:])
    return points.reshape(flat).astype(params.dtype), weights.reshape(flat).astype(params.dtype)


def _require_sizes(num_components, floor):
    if num_components < 1:
        raise ConfigError(f"observation.num_components: got {num_components}, expected >= 1")
    if not floor > 0:
        raise ConfigError(f"observation.floor: got {floor}, expected > 0")
