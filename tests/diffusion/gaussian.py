"""Diffusion of data N(0, s^2), whose best denoiser is known.

e(x, t) = sqrt(1 - ab_t) x / (ab_t s^2 + 1 - ab_t).
"""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from jaxgen.diffusion.ddpm.networks import TIMES
from jaxgen.diffusion.process import process


class BestNoise(nn.Module):
    """The expected noise in x_t."""

    std: float
    schedule: str = "linear"
    num_steps: int = 1000

    @nn.compact
    def __call__(self, x, time):
        """Look the time up among the steps."""
        found = process(self.schedule, self.num_steps)
        t = jnp.rint(time * self.num_steps / TIMES).astype(int)
        gain = found.noise / (found.signal**2 * self.std**2 + found.noise**2)
        one = self.param("one", nn.initializers.ones, ())
        factor = jnp.asarray(gain, x.dtype)[t].reshape(-1, *[1] * (x.ndim - 1))
        return one * factor * x


@dataclass(frozen=True)
class Recursion:
    """The standard deviation of a chain of linear moves, by the moves themselves."""

    std: float
    schedule: str = "linear"
    num_steps: int = 1000

    def of(self, moves):
        """The exact one, begun at N(0, 1)."""
        found = process(self.schedule, self.num_steps)
        kept = found.signal**2 * self.std**2
        guess = found.signal * self.std**2 / (kept + found.noise**2)
        variance = 1.0
        for t, of_clean, of_noisy, std in zip(*moves, strict=True):
            variance = (of_clean * guess[t] + of_noisy) ** 2 * variance + std**2
        return variance**0.5
