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

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.observation import DiscretizedLogistic
from jaxgen.typing import Array

LEAST_LOG_SCALE = -7.0


@dataclass(frozen=True)
class MixtureOfLogistics:
    """Whole levels 0 .. levels - 1; the parameters are K logits, K means, K log scales.

    Means and scales are in units of half the range, so that their natural size is 1.

    Attributes:
      levels: how many there are: 256 for bytes.
      num_components: K.
    """

    levels: int
    num_components: int = 10

    def __post_init__(self):
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
    def num_params(self) -> int:
        """3 K."""
        return 3 * self.num_components

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
        logits, components = self._split(params)
        terms = jax.nn.log_softmax(logits) + self.component.log_prob(components, x[..., None])
        return jax.nn.logsumexp(terms, axis=-1)

    def mean(self, params: Float[Array, "... p"]) -> Array:
        """The components' means, each clipped to the levels, weighted, [...]."""
        logits, components = self._split(params)
        return (jax.nn.softmax(logits) * self.component.mean(components)).sum(axis=-1)

    def sample(self, params: Float[Array, "... p"], key: jax.Array) -> Array:
        """A draw of whole levels, [...]."""
        component_key, key = jax.random.split(key)
        logits, components = self._split(params)
        k = jax.random.categorical(component_key, logits)[..., None, None]
        chosen = jnp.take_along_axis(components, k, axis=-2)[..., 0, :]
        return self.component.sample(chosen, key)

    def normalize(self, x: Float[Array, "..."]) -> Array:
        """Examples as a network sees them: scaled to [-1, 1]."""
        return self.component.normalize(x)

    def grid(self, params: Float[Array, "... p"]) -> tuple[Array, Array]:
        """All levels, of width 1."""
        return self.component.grid(params)

    def num_outputs(self, channels: int) -> int:
        """Numbers that `sub_pixels` wants for one pixel: 10 K for three channels."""
        return self.num_components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def sub_pixels(
        self, outputs: Float[Array, "... o"], x: Float[Array, "... c"]
    ) -> Float[Array, "... c p"]:
        """Parameters of every p(x_c | x_<c) of a pixel, in float32.

        Args:
          outputs: K logits, then for each channel K means and K log scales, then K coefficients
            (before the tanh) for each pair c' < c, in the order 10, 20, 21.
          x: the pixel's levels; channel c reads those before it.
        """
        outputs, channels = outputs.astype(jnp.float32), x.shape[-1]
        rows = outputs.reshape(*outputs.shape[:-1], -1, self.num_components)
        log_weights = rows[..., 0, :]
        coefficients = iter(jnp.moveaxis(jnp.tanh(rows[..., 1 + 2 * channels :, :]), -2, 0))
        seen, params = self.normalize(x)[..., None], []
        for c in range(channels):
            mean, log_scale = rows[..., 1 + 2 * c, :], rows[..., 2 + 2 * c, :]
            for earlier in range(c):
                mean = mean + next(coefficients) * seen[..., earlier, :]
            log_scale = jnp.maximum(log_scale, LEAST_LOG_SCALE)
            params.append(jnp.concatenate([log_weights, mean, log_scale], axis=-1))
            told = jnp.stack([mean, log_scale], axis=-1)
            log_weights = log_weights + self.component.log_prob(told, x[..., c, None])
        return jnp.stack(params, axis=-2)

    def _split(self, params):
        """Logits [..., K]; mean and log scale [..., K, 2]."""
        logits, means, log_scales = jnp.split(params, 3, axis=-1)
        return logits, jnp.stack([means, log_scales], axis=-1)
