"""Importance sampling of log p(x) = log of the integral of p(x, z) over z, around a code of x.

Half of the draws come from N(0, I), the others from normal distributions by the slope and the
curvature of log p(x, z) at the code (Laplace's approximation), of three widths. The estimate is
below log p(x) on average, and near it where the posterior has its mass around the code.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgen.distributions import log_mean_exp
from jaxgen.typing import Key

_WIDTHS = (0.7, 1.0, 2.0)  # relative to the curvature's
_LEAST_CURVATURE = 1.0  # the prior's own


class Peak(NamedTuple):
    """A normal distribution that looks like p(x, z) around a code.

    Attributes:
      centre: [Z].
      curvature: [Z], along the axes.
      axes: [Z, Z], the columns are orthonormal.
    """

    centre: jax.Array
    curvature: jax.Array
    axes: jax.Array


def log_evidence(
    log_joint: Callable[[jax.Array], jax.Array],
    code: jax.Array,
    key: Key,
    num: int,
) -> jax.Array:
    """Return an estimate of log p(x), [].

    Args:
      log_joint: z [Z] -> log p(x, z) + Z / 2 log(2 pi), [].
      code: where the posterior is, [Z].
      key: of the draws.
      num: of them.
    """
    peak = peak_at(log_joint, code)
    z = _draws(peak, key, num)
    joint = jax.vmap(log_joint)(z)
    return jnp.asarray(log_mean_exp(joint - _log_proposal(peak, z)))


def peak_at(
    log_joint: Callable[[jax.Array], jax.Array],
    code: jax.Array,
) -> Peak:
    """Return the peak one Newton step from the code."""
    slope = jax.grad(log_joint)(code)
    curvature, axes = jnp.linalg.eigh(-jax.hessian(log_joint)(code))
    curvature = jnp.maximum(curvature, _LEAST_CURVATURE)
    along_axes = (axes.T @ slope) / curvature
    return Peak(code + axes @ along_axes, curvature, axes)


def _draws(
    peak: Peak,
    key: Key,
    num: int,
) -> jax.Array:
    """Return draws from the mixture, [num, Z]."""
    which_key, noise_key, half_key = jax.random.split(key, 3)
    noise = jax.random.normal(noise_key, (num, len(peak.centre)))
    which = jax.random.randint(which_key, (num, 1), 0, len(_WIDTHS))
    width = jnp.asarray(_WIDTHS)[which]
    scaled = width * noise / jnp.sqrt(peak.curvature)[None]
    around = peak.centre[None] + scaled @ peak.axes.T
    from_prior = jax.random.bernoulli(half_key, 0.5, (num, 1))
    return jnp.where(from_prior, noise, around)


def _log_proposal(
    peak: Peak,
    z: jax.Array,
) -> jax.Array:
    """Return the log-density of the mixture at z, [num], plus Z / 2 log(2 pi)."""
    dim = len(peak.centre)
    along_axes = (z - peak.centre[None]) @ peak.axes
    squares = (jnp.square(along_axes) * peak.curvature[None]).sum(axis=-1)
    log_det = jnp.log(peak.curvature).sum() / 2
    of_widths = []
    for width in _WIDTHS:
        exponent = squares / (2 * width**2)
        of_widths.append(log_det - dim * jnp.log(width) - exponent)
    around = log_mean_exp(jnp.stack(of_widths))
    of_prior = -jnp.square(z).sum(axis=-1) / 2
    return jnp.logaddexp(around, of_prior) - jnp.log(2)
