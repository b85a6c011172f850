"""Distributions as functions: log-densities, samples and divergences, per element, in nats.

Nothing is summed: callers sum over what one example is. The formulas are the stable ones:
`softplus` in place of `log(sigmoid)`, differences of CDFs in log space.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array

LOG_2PI = 1.8378770664093453
_LOG_SCALE_RANGE = (-10.0, 30.0)  # beyond it exp(-log_scale) leaves float32


def bernoulli_log_prob(
    x: Float[Array, "..."],
    logits: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Return log P(x) for x in {0, 1} with P(1) = sigmoid(logits): x l - softplus(l)."""
    return x * logits - jax.nn.softplus(logits)


def categorical_log_prob(
    x: Float[Array, "..."],
    logits: Float[Array, "... v"],
) -> Float[jax.Array, "..."]:
    """Return log P(x) for whole x in 0 .. V - 1 with P(k) = softmax(logits)_k."""
    index = jnp.asarray(x).astype(jnp.int32)[..., None]  # [..., 1]
    shape = jnp.broadcast_shapes(index.shape[:-1], logits.shape[:-1])
    index = jnp.broadcast_to(index, (*shape, 1))
    logits = jnp.broadcast_to(logits, (*shape, logits.shape[-1]))  # [..., V]
    log_prob = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_prob, index, axis=-1)[..., 0]


def normal_log_prob(
    x: Float[Array, "..."],
    mean: Float[Array, "..."],
    log_std: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Return log N(x; mean, exp(log_std)^2)."""
    standardized = (x - mean) * jnp.exp(-log_std)
    return -0.5 * (standardized**2 + LOG_2PI) - log_std


def normal_kl(
    mean: Float[Array, "..."],
    log_std: Float[Array, "..."],
) -> Float[jax.Array, "..."]:
    """Return KL(N(mean, exp(log_std)^2) || N(0, 1)) = (s^2 + m^2 - 1) / 2 - log s."""
    variance = jnp.exp(2 * log_std)
    return 0.5 * (variance + mean**2 - 1) - log_std


def discretized_logistic_log_prob(
    x: Float[Array, "..."],
    mean: Float[Array, "..."],
    log_scale: Float[Array, "..."],
    levels: int,
) -> Float[jax.Array, "..."]:
    """Return log P(x) of a logistic variable rounded to the levels 0 .. levels - 1.

    P(x) = F(x + 1/2) - F(x - 1/2), the two outer levels taking the tails, so that the sum over
    the levels is 1. Kingma et al., 2016, "Improved variational inference with inverse
    autoregressive flow" (arXiv 1606.04934), appendix; Salimans et al., 2017 (arXiv 1701.05517).

    Args:
      x: levels, as whole numbers.
      mean: in units of levels.
      log_scale: log of the logistic's scale, in units of levels; clipped to [-10, 30].
      levels: how many there are.

    With a = (x + 1/2 - m)/s > b = (x - 1/2 - m)/s the difference of sigmoids is
    sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and b - a = -1/s exactly: no cancellation.
    """
    inverse_scale = jnp.exp(-jnp.clip(log_scale, *_LOG_SCALE_RANGE))
    upper = (x + 0.5 - mean) * inverse_scale
    lower = (x - 0.5 - mean) * inverse_scale
    log_below = jax.nn.log_sigmoid(upper)
    log_above = jax.nn.log_sigmoid(-lower)
    width = jnp.log(-jnp.expm1(-inverse_scale))
    inner = log_below + log_above + width
    # The outermost levels take the tails.
    inner = jnp.where(x < 0.5, log_below, inner)
    return jnp.where(x > levels - 1.5, log_above, inner)


def sample_discretized_logistic(
    key: jax.Array,
    mean: Float[Array, "..."],
    log_scale: Float[Array, "..."],
    levels: int,
) -> Float[jax.Array, "..."]:
    """Draw from `discretized_logistic_log_prob`: round a logistic draw, clip to the levels."""
    scale = jnp.exp(jnp.clip(log_scale, *_LOG_SCALE_RANGE))
    draw = mean + scale * jax.random.logistic(key, mean.shape, mean.dtype)
    return jnp.clip(jnp.round(draw), 0, levels - 1)


def log_mean_exp(
    x: Float[Array, "..."],
    axis: int = 0,
) -> Float[jax.Array, "..."]:
    """Return the log of the mean of exp(x) along `axis`."""
    return jax.nn.logsumexp(x, axis=axis) - jnp.log(x.shape[axis])
