"""The last step of a chain, p(x_0 | x_1): where real numbers become data again.

Whole levels 0 .. L - 1 are seen as y = 2 x / (L - 1) - 1 in [-1, 1]; the probability of a level is
what N(mean, std^2) has of its cell, of width 2 / (L - 1), the two outer ones open:

    P(x) = Phi((y + d - mean) / std) - Phi((y - d - mean) / std),    d = 1 / (L - 1),

so that they sum to 1 and the bound is one of a probability. Real numbers are as they are, and p is
the density of that Gaussian.

Ho, Jain & Abbeel, 2020 (arXiv 2006.11239), section 3.3.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Float

from jaxgen.distributions.functions import normal_log_prob
from jaxgen.typing import Array

_LEAST_DIFFERENCE = -1e-7  # of logarithms: two equal ones have none to take


def normalize(
    x: Float[Array, "..."],
    levels: int | None,
) -> Float[jax.Array, "..."]:
    """Return examples as a chain sees them: levels in [-1, 1], real numbers as they are."""
    x = jnp.asarray(x)
    return x if levels is None else 2 * x / (levels - 1) - 1


def denormalize(
    y: Float[Array, "..."],
    levels: int | None,
) -> Float[jax.Array, "..."]:
    """Return a state of a chain on the scale of the data, not rounded."""
    y = jnp.asarray(y)
    return y if levels is None else (y + 1) * (levels - 1) / 2


def rounded(
    y: Float[Array, "..."],
    levels: int | None,
) -> Float[jax.Array, "..."]:
    """Return the most probable examples under means y."""
    x = denormalize(y, levels)
    return x if levels is None else jnp.clip(jnp.round(x), 0, levels - 1)


def decoder_log_prob(
    y: Float[Array, "..."],
    mean: Float[Array, "..."],
    std: float,
    levels: int | None,
) -> Float[jax.Array, "..."]:
    """Return log p(x | mean) per element, of x as the chain sees it.

    Args:
      y: examples, normalised.
      mean: of the Gaussian, on the same scale.
      std: of it.
      levels: how many there are; None for real numbers.
    """
    if levels is None:
        log_std = jnp.full((1,) * y.ndim, math.log(std), y.dtype)
        return jnp.asarray(normal_log_prob(y, mean, log_std))
    half = 1 / (levels - 1)
    # Mirrored so that y is above the mean: the tail that is left is small, and not 1 less it.
    distance = jnp.abs(y - mean)
    far = -(distance - half) / std
    near = -(distance + half) / std
    log_far = log_ndtr(far)  # log of what lies beyond the nearer edge
    log_near = log_ndtr(near)  # and beyond the farther one
    difference = jnp.minimum(log_near - log_far, _LEAST_DIFFERENCE)
    inner = log_far + jnp.log(-jnp.expm1(difference))
    above = log_ndtr((y + half - mean) / std)
    below = log_ndtr(-(y - half - mean) / std)
    edge = 1 - 0.5 * half  # between the outermost levels and the next
    found = jnp.where(y < -edge, above, inner)
    return jnp.where(y > edge, below, found)
