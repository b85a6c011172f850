"""Mixtures of discretised logistics: for one element, and coupled over the channels of a pixel.

One mixture with K components, shared by the channels of a pixel:

    P(x_1 .. x_C) = sum_k pi_k prod_c P_k(x_c | x_<c),
    P_k(x_c | x_<c) = F((x_c + h - mu) / s) - F((x_c - h - mu) / s),
    mu = mu_kc + sum_c'<c a_kcc' x_c',

with F the sigmoid, values scaled to [-1, 1], h half a bin and the outermost bins open. By the chain
rule each channel is a mixture again, whose components are weighted by how well they told the
channels before:

    P(x_c | x_<c) = sum_k w_kc P_k(x_c | x_<c),    w_kc ~ pi_k prod_c'<c P_k(x_c' | x_<c').

Salimans, Karpathy, Chen & Kingma, 2017, "PixelCNN++" (arXiv 1701.05517), sections 2.1 and 2.2.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions.observation import DiscretizedLogistic
from jaxgen.errors import ConfigError
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array

LEAST_LOG_SCALE = -7.0  # of the authors' code, for 256 levels


@dataclass(frozen=True)
class MixtureOfLogistics:
    """A mixture over whole levels 0 .. levels - 1, from K logits, K means and K log scales.

    Means and scales are in units of half the range, so that their natural size is 1.

    Attributes:
      levels: how many there are: 256 for bytes.
      num_components: K.
      least_log_scale: components are no narrower, in `sub_pixels`. None: as narrow, in levels, as
        -7 is among the 256 of the authors' code, 0.12 of a level. Records of formats 1 to 3 have
        -7, whatever their levels.
    """

    levels: int
    num_components: int = 10
    least_log_scale: float | None = None

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ConfigError(f"observation.levels: got {self.levels}, expected >= 2")
        if self.num_components < 1:
            raise ConfigError(
                f"observation.num_components: got {self.num_components}, expected >= 1"
            )

    @property
    def component(self) -> DiscretizedLogistic:
        """The distribution of one component."""
        return DiscretizedLogistic(self.levels)

    @property
    def least(self) -> float:
        """The smallest log scale of a component, in units of half the range."""
        if self.least_log_scale is not None:
            return self.least_log_scale
        return LEAST_LOG_SCALE + math.log(255 / (self.levels - 1))

    @property
    def num_params(self) -> int:
        """The number of parameters, 3 K."""
        return 3 * self.num_components

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
        logits, components = self._split(params)
        log_weight = jax.nn.log_softmax(logits)
        terms = log_weight + self.component.log_prob(components, x[..., None])
        return jax.nn.logsumexp(terms, axis=-1)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """Return the weighted mean of the components' means, each clipped to the levels, [...]."""
        logits, components = self._split(params)
        return (jax.nn.softmax(logits) * self.component.mean(components)).sum(axis=-1)

    def sample(
        self,
        params: Float[Array, "... p"],
        key: jax.Array,
    ) -> jax.Array:
        """Draw whole levels, [...]."""
        component_key, key = jax.random.split(key)
        logits, components = self._split(params)
        k = jax.random.categorical(component_key, logits)[..., None, None]  # [..., 1, 1]
        chosen = jnp.take_along_axis(components, k, axis=-2)[..., 0, :]  # [..., 2]
        return self.component.sample(chosen, key)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Return examples as a network sees them: scaled to [-1, 1]."""
        return self.component.normalize(x)

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """Return all levels, of width 1."""
        return self.component.grid(params)

    def num_outputs(self, channels: int) -> int:
        """Return how many numbers `sub_pixels` wants for one pixel: 10 K for three channels."""
        num_pairs = channels * (channels - 1) // 2
        return self.num_components * (1 + 2 * channels + num_pairs)

    def sub_pixels(
        self,
        outputs: Float[Array, "... o"],
        x: Float[Array, "... c"],
    ) -> Float[jax.Array, "... c p"]:
        """Return the parameters of every p(x_c | x_<c) of a pixel, in at least float32.

        Args:
          outputs: K logits, then for each channel K means and K log scales, then K coefficients
            (before the tanh) for each pair c' < c, in the order 10, 20, 21.
          x: the pixel's levels; channel c reads those before it.
        """
        channels = x.shape[-1]
        outputs = at_least_float32(outputs)
        # [..., (1 + 2C + pairs) * K] -> rows of K: logits, then a mean and a log scale for each
        # channel, then the coefficients of the pairs. For three channels:
        #     0       1    2    3    4    5    6    7     8     9
        #     logits  m_0  r_0  m_1  r_1  m_2  r_2  a_10  a_20  a_21
        rows = outputs.reshape(*outputs.shape[:-1], -1, self.num_components)
        log_weights = rows[..., 0, :]
        coefficients = jnp.tanh(rows[..., 1 + 2 * channels :, :])
        next_coefficients = iter(jnp.moveaxis(coefficients, -2, 0))  # pairs x [..., K]
        seen = self.normalize(x)[..., None]  # [..., C, 1]
        params = []
        for c in range(channels):
            mean = rows[..., 1 + 2 * c, :]
            for earlier in range(c):
                mean = mean + next(next_coefficients) * seen[..., earlier, :]
            log_scale = jnp.maximum(rows[..., 2 + 2 * c, :], self.least)
            params.append(jnp.concatenate([log_weights, mean, log_scale], axis=-1))
            # Components that told this channel well weigh more for the next.
            component = jnp.stack([mean, log_scale], axis=-1)  # [..., K, 2]
            log_weights = log_weights + self.component.log_prob(component, x[..., c, None])
        return jnp.stack(params, axis=-2)

    def _split(self, params: Array) -> tuple[Array, Array]:
        """Return the logits [..., K], and mean and log scale of each component [..., K, 2]."""
        logits, means, log_scales = jnp.split(params, 3, axis=-1)
        return logits, jnp.stack([means, log_scales], axis=-1)
