"""Mixtures of Gaussians or of Laplace distributions for each element of an example.

    p(x) = sum_k a_k f((x - m_k) / s_k) / s_k,   a = softmax(l),   s = exp(r) + floor,

from 3K outputs (l_1..K, m_1..K, r_1..K). Without a floor under the scale the likelihood of data
with repeated values has no bound: a component shrinks onto a value. Bishop, 1994, "Mixture density
networks".
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.distributions.functions import normal_log_prob
from jaxgen.errors import ConfigError
from jaxgen.typing import Array

__all__ = ["Mixture", "MixtureOfGaussians", "MixtureOfLaplaces"]

_LOG_SCALE_LIMIT = 30.0  # beyond it draws leave float32
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


class Mixture(ABC):
    """A mixture for each element of real-valued examples; subclasses are frozen dataclasses."""

    num_components: int
    floor: float
    values: ClassVar[int | None] = None
    range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))
    reach: ClassVar[int]  # scales from a mean beyond which a component has no weight

    def __post_init__(self) -> None:
        if self.num_components < 1:
            raise ConfigError(
                f"observation.num_components: got {self.num_components}, expected >= 1"
            )
        if not self.floor > 0:
            raise ConfigError(f"observation.floor: got {self.floor}, expected > 0")

    @abstractmethod
    def log_joint(self, log_weight: Array, x: Array, mean: Array, log_scale: Array) -> Array:
        """Return log a_k f((x - m_k) / s_k) / s_k for each component, [..., K]."""

    @abstractmethod
    def noise(self, key: jax.Array, mean: Array) -> jax.Array:
        """Return draws from f, one for each of the means."""

    @property
    def num_params(self) -> int:
        """The number of parameters, 3K: logits, means, logs of the scales above the floor."""
        return 3 * self.num_components

    def log_prob(
        self,
        params: Float[Array, "... p"],
        x: Float[Array, "..."],
    ) -> jax.Array:
        """Return the log density per element, [...]."""
        log_weight, mean, log_scale = components(params, self.floor)
        terms = self.log_joint(log_weight, x[..., None], mean, log_scale)
        return jax.nn.logsumexp(terms, axis=-1)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return the mean of the mixture, [...]."""
        log_weight, mean, _ = components(params, self.floor)
        return (jnp.exp(log_weight) * mean).sum(axis=-1)

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> Array:
        """Return a draw, [...]: of a component, then from it."""
        component_key, noise_key = jax.random.split(key)
        mean, scale = chosen(component_key, params, self.floor)
        return mean + scale * self.noise(noise_key, mean)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: unchanged."""
        return x

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return Gauss-Legendre points and weights, [V, ...], over `reach` scales."""
        return quadrature(params, self.floor, self.reach)


@final
@dataclass(frozen=True)
class MixtureOfGaussians(Mixture):
    """A mixture of Gaussians for each element; real-valued examples.

    Attributes:
      num_components: K.
      floor: the smallest standard deviation, in units of the data.
    """

    num_components: int
    floor: float = 1e-3
    reach: ClassVar[int] = 9

    def log_joint(self, log_weight: Array, x: Array, mean: Array, log_scale: Array) -> Array:
        """Return the log of each component's weight times its Gaussian density, [..., K]."""
        return log_weight + normal_log_prob(x, mean, log_scale)

    def noise(self, key: jax.Array, mean: Array) -> jax.Array:
        """Return draws from N(0, 1), one for each of the means."""
        return jax.random.normal(key, mean.shape, mean.dtype)


@final
@dataclass(frozen=True)
class MixtureOfLaplaces(Mixture):
    """A mixture of Laplace distributions exp(-|x - m| / s) / 2s for each element.

    Attributes:
      num_components: K.
      floor: the smallest scale s, in units of the data.
    """

    num_components: int
    floor: float = 1e-3
    reach: ClassVar[int] = 16

    def log_joint(self, log_weight: Array, x: Array, mean: Array, log_scale: Array) -> Array:
        """Return the log of each component's weight times its Laplace density, [..., K]."""
        distance = jnp.abs(x - mean) * jnp.exp(-log_scale)
        return log_weight - distance - log_scale - math.log(2)

    def noise(self, key: jax.Array, mean: Array) -> jax.Array:
        """Return draws from the Laplace distribution of scale 1, one for each of the means."""
        return jax.random.laplace(key, mean.shape, mean.dtype)


def components(
    params: Float[Array, "... p"],
    floor: float,
) -> tuple[Array, Array, Array]:
    """Return log weights, means and log scales from 3K parameters, [..., K] each.

    log(exp(r) + floor) is finite for any r; it is cut at 30, where draws would leave float32.
    """
    logits, mean, raw = jnp.split(params, 3, axis=-1)
    log_scale = jnp.logaddexp(raw, math.log(floor))
    log_scale = jnp.minimum(log_scale, _LOG_SCALE_LIMIT)
    log_weight = jax.nn.log_softmax(logits)
    return log_weight, mean, log_scale


def chosen(
    key: jax.Array,
    params: Float[Array, "... p"],
    floor: float,
) -> tuple[Array, Array]:
    """Return the mean and the scale of a component drawn for each element, [...] each."""
    log_weight, mean, log_scale = components(params, floor)
    index = jax.random.categorical(key, log_weight)[..., None]  # [..., 1]
    mean = jnp.take_along_axis(mean, index, axis=-1)[..., 0]
    log_scale = jnp.take_along_axis(log_scale, index, axis=-1)[..., 0]
    return mean, jnp.exp(log_scale)


def quadrature(
    params: Float[Array, "... p"],
    floor: float,
    reach: int,
) -> tuple[Array, Array]:
    """Return points and weights [V, ...] that integrate a mixture of whatever scales.

    The line is cut at every component's mean and at 1, 2, ..., `reach` scales from it, and 4
    Gauss-Legendre points are laid between any two neighbouring cuts: a piece is nowhere longer
    than the scale of a component that has weight there, and a kink lies on a cut.
    """
    _, mean, log_scale = components(params, floor)
    steps = jnp.arange(-reach, reach + 1.0)
    scale = jnp.exp(log_scale)
    steps = jax.lax.broadcast_to_rank(steps, mean.ndim + 1)  # [S] -> [1, ..., S]
    cuts = mean[..., None] + scale[..., None] * steps  # [..., K, S]
    cuts = cuts.reshape(*mean.shape[:-1], -1)  # [..., K*S]
    cuts = jnp.sort(jnp.moveaxis(cuts, -1, 0), axis=0)  # [K*S, ...]

    left = cuts[:-1]
    width = jnp.diff(cuts, axis=0)
    # Nodes in [-1, 1] to points of each piece: 4 x [K*S - 1, ...] -> [V, ...]
    each = (-1, *[1] * width.ndim)
    points = left[None] + width[None] * (0.5 + 0.5 * _NODES.reshape(each))
    weights = width[None] * (0.5 * _WEIGHTS.reshape(each))
    flat = (-1, *width.shape[1:])
    points = points.reshape(flat).astype(params.dtype)
    weights = weights.reshape(flat).astype(params.dtype)
    return points, weights
