"""Networks that guess the noise in x_t, told the time t.

The time is sines and cosines of many frequencies, through two layers, added in every layer of the
rest. The last layer begins at zero, so that a fresh network guesses that there is no noise.

Ho, Jain & Abbeel, 2020 (arXiv 2006.11239), appendix B; Vaswani et al., 2017, "Attention is all you
need" (arXiv 1706.03762), section 3.5, for the embedding.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn import activation
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array

_LONGEST = 10_000.0  # period of the slowest wave, over 2 pi
TIMES = 1000.0  # of t, whatever the number of steps


def embedded(
    time: Float[Array, " b"],
    dim: int,
) -> Float[jax.Array, "b e"]:
    """Return sines and cosines of a time, from the fastest to the slowest wave.

    Args:
      time: t in 0 .. 1000, [B].
      dim: E, of which one half are sines.
    """
    half = dim // 2
    slowness = math.log(_LONGEST) / max(half - 1, 1)
    frequency = jnp.exp(-slowness * jnp.arange(half, dtype=time.dtype))  # [E / 2]
    angle = time[:, None] * frequency[None]
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)


class TimeEmbedding(nn.Module):
    """Two layers over the waves of a time, [B] -> [B, features].

    Attributes:
      features: of the result.
      waves: E, of the embedding.
      dtype: what to compute in.
    """

    features: int
    waves: int = 64
    dtype: str = "float32"

    @nn.compact
    def __call__(self, time: Float[Array, " b"]) -> Float[Array, "b f"]:
        """Return the features of times in 0 .. 1000."""
        waves = embedded(time, self.waves)
        hidden = jax.nn.silu(nn.Dense(self.features, dtype=self.dtype)(waves))
        return jax.nn.silu(nn.Dense(self.features, dtype=self.dtype)(hidden))


class MLPDenoiser(nn.Module):
    """Dense layers, each of which is told the time: (x_t [B, *shape], time [B]) -> [B, *shape].

    Attributes:
      hidden: widths of the hidden layers.
      waves: of the embedding of the time.
      frequencies: K; x is given with sines and cosines of 2^k pi x / 4, k = 0 .. K - 1, too, which
        lets a small network tell near points apart.
      activation: of the hidden layers.
      dtype: what to compute in.
    """

    hidden: tuple[int, ...]
    waves: int = 64
    frequencies: int = 0
    activation: str = "silu"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b ..."],
        time: Float[Array, " b"],
    ) -> Float[Array, "b ..."]:
        """Return the noise that x seems to have."""
        flat = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        told = TimeEmbedding(self.hidden[0], self.waves, self.dtype)(time)
        h = self._with_waves(flat)
        for width in self.hidden:
            of_time = nn.Dense(width, dtype=self.dtype)(told)
            h = nn.Dense(width, dtype=self.dtype)(h) + of_time
            h = activation(self.activation)(h)
        last = nn.Dense(flat.shape[1], dtype=self.dtype, kernel_init=nn.initializers.zeros)
        return at_least_float32(last(h)).reshape(x.shape)

    def _with_waves(self, x: Float[Array, "b d"]) -> Float[Array, "b i"]:
        """Return the elements with their sines and cosines."""
        parts = [x]
        for k in range(self.frequencies):
            angle = (2**k * math.pi / 4) * x
            parts += [jnp.sin(angle), jnp.cos(angle)]
        return jnp.concatenate(parts, axis=1)
