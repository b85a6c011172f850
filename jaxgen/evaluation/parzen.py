"""Parzen windows: the negative example among the estimates of log p(x).

A Gaussian of width s around each of K samples of a model makes a density of a model without one,

    log p^(x) = log (1/K) sum_k N(x; s_k, s^2 I).

It is that of the samples blurred, p * N(0, s^2 I), and with few samples is low even of that: in 20
dimensions 100 000 of them miss some 3 nats, so that it ranks models wrongly, and training images
can score above the true distribution. It is here to be compared with what `bidirectional.py` says
and with figures of 2014 to 2016; **no figure of jaxgen's own is by it**.

Breuleux et al., 2011; Theis et al., 2016, "A note on the evaluation of generative models" (arXiv
1511.01844), section 3.2; Wu et al., 2017 (arXiv 1611.04273), table 1.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions import LOG_2PI, log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.typing import Array


def log_prob(
    x: Float[Array, "b ..."],
    samples: Float[Array, "k ..."],
    std: float,
) -> Float[jax.Array, " b"]:
    """Return log p^ of each example in nats, one example at a time, which bounds the memory.

    Args:
      x: examples.
      samples: of the model, in the same shape.
      std: s, the width of the windows.
    """
    if std <= 0:
        raise ConfigError(f"std: got {std}, expected > 0")
    if len(samples) == 0:
        raise ConfigError("samples: got none, expected one or more")
    flat = jnp.asarray(samples).reshape(len(samples), -1)  # [K, *shape] -> [K, D]
    normaliser = flat.shape[1] * (0.5 * LOG_2PI + jnp.log(std))

    def of_one(x: jax.Array) -> jax.Array:
        distance = ((x.reshape(1, -1) - flat) ** 2).sum(axis=-1)  # [K]
        return log_mean_exp(-0.5 * distance / std**2) - normaliser

    return jax.lax.map(of_one, jnp.asarray(x))


def choose_std(
    validation: Float[Array, "b ..."],
    samples: Float[Array, "k ..."],
    candidates: Sequence[float],
) -> float:
    """Return the width under which validation examples are the most probable.

    Args:
      validation: examples that are not those to be measured.
      samples: of the model.
      candidates: widths.
    """
    if not candidates:
        raise ConfigError("candidates: got none, expected one or more widths")
    scores = {std: float(log_prob(validation, samples, std).mean()) for std in candidates}
    return max(scores, key=scores.__getitem__)
