"""Annealed importance sampling: log Z of a distribution that is known up to it.

On a path f_0, ..., f_1 of unnormalised distributions, f_0 one that can be drawn from and summed,
each of R runs goes from x_0 ~ f_0 through a transition T_k that leaves f_{beta_k} as it is:

    log w = sum_k log f_{beta_k}(x_{k-1}) - log f_{beta_{k-1}}(x_{k-1}),    x_k ~ T_k(x_{k-1}),
    log Z = log Z_0 + log (1/R) sum_r w_r.

E[w] = Z / Z_0 whatever the path, so that the estimate of Z has no bias, and by Jensen's inequality
that of log Z errs low on average: a log p(x) = -E(x) - log Z made of it errs **high**. How far is
unknown; the standard error, of the weights that were drawn, tells of the rest alone.

Neal, 2001, "Annealed importance sampling"; for restricted Boltzmann machines Salakhutdinov &
Murray, 2008, "On the quantitative analysis of deep belief networks".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.distributions import log_mean_exp
from jaxgen.distributions.path import Path
from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Key

TEMPERATURES = 1000
BIAS = "it errs low on average, and log p(x) high"

_PUBLISHED = (  # (end, width of a step): 500, 4000 and 10 000 distributions
    (0.5, 1e-3),
    (0.9, 1e-4),
    (1.0, 1e-5),
)
_PSEUDO_COUNT = 5  # of either value of a pixel


class Estimated(NamedTuple):
    """An estimate of log Z.

    Attributes:
      value: in nats, [].
      standard_error: by the spread of the weights, to first order, [].
      log_weights: of each run, log w + log Z_0, [R].
    """

    value: jax.Array
    standard_error: jax.Array
    log_weights: jax.Array

    def interval(self, width: float = 3.0) -> tuple[jax.Array, jax.Array]:
        """Return log(Z - width s) and log(Z + width s); the lower one is -inf where Z < width s."""
        relative = width * self.standard_error
        low = self.value + jnp.log(jnp.maximum(1 - relative, 0))
        return low, self.value + jnp.log1p(relative)


def linear_schedule(num: int = TEMPERATURES) -> np.ndarray:
    """Return num + 1 equidistant inverse temperatures from 0 to 1."""
    if num < 1:
        raise ConfigError(f"temperatures: got {num}, expected >= 1")
    return np.linspace(0.0, 1.0, num + 1)


def sigmoid_schedule(num: int = TEMPERATURES, width: float = 4.0) -> np.ndarray:
    """Return num + 1 inverse temperatures from 0 to 1, dense at both ends.

    sigmoid(width (2 t / num - 1)), rescaled: Wu et al., 2017, "On the quantitative analysis of
    decoder-based generative models" (arXiv 1611.04273).
    """
    at = width * (2 * linear_schedule(num) - 1)
    curve = 1 / (1 + np.exp(-at))
    betas = (curve - curve[0]) / (curve[-1] - curve[0])
    betas[-1] = 1.0
    return betas


def published_schedule() -> np.ndarray:
    """Return the 14 501 inverse temperatures of Salakhutdinov & Murray, denser towards 1."""
    betas = [0.0]
    for end, width in _PUBLISHED:
        num = round((end - betas[-1]) / width)
        betas += list(np.linspace(betas[-1], end, num + 1)[1:])
    return np.asarray(betas)


def base_rates(x: Float[Array, "n ..."]) -> np.ndarray:
    """Return the logits of the smoothed means of binary examples, flat [D].

    With them the path begins at independent pixels. *Differs from the paper:* (count + 5) /
    (N + 10), and not (count + 5) / (N + 5), which is 1 for a pixel that is always 1.
    """
    count = np.asarray(x, np.float64).reshape(len(x), -1).sum(axis=0)
    return np.log(count + _PSEUDO_COUNT) - np.log(len(x) - count + _PSEUDO_COUNT)


def log_weights(
    path: Path,
    key: Key,
    betas: Float[Array, " t"],
    num_runs: int,
) -> Float[jax.Array, " r"]:
    """Return log w + log Z_0 of each run, as one scan over the temperatures.

    Args:
      path: the distributions.
      key: of the draws.
      betas: inverse temperatures, 0 first and 1 last.
      num_runs: R.
    """
    start_key, key = jax.random.split(key)
    x = path.start(start_key, num_runs)
    betas = jnp.asarray(betas, x.dtype)

    def step(
        carry: tuple[jax.Array, jax.Array],
        at: tuple[jax.Array, jax.Array, Key],
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
        x, log_w = carry
        before, beta, key = at
        log_w = log_w + path.log_density(x, beta) - path.log_density(x, before)
        return (path.move(key, x, beta), log_w), None

    keys = jax.random.split(key, len(betas) - 1)
    begun = (x, jnp.zeros(num_runs, betas.dtype))
    (_, log_w), _ = jax.lax.scan(step, begun, (betas[:-1], betas[1:], keys))
    return log_w + path.log_base


def log_partition(
    path: Path,
    key: Key,
    betas: Float[Array, " t"] | None = None,
    num_runs: int = 100,
) -> Estimated:
    """Estimate log Z of the end of a path; compile it, for it is one scan.

    Args:
      path: the distributions, such as `model.annealing(variables, base)`.
      key: of the draws.
      betas: inverse temperatures from 0 to 1; `linear_schedule()` by default.
      num_runs: R, independent runs; the standard error is of them.
    """
    schedule = linear_schedule() if betas is None else betas
    return estimated(log_weights(path, key, schedule, num_runs))


def estimated(log_w: Float[Array, " r"]) -> Estimated:
    """Return the estimate that the log-weights [R] of independent runs make."""
    value = log_mean_exp(log_w)
    relative = jnp.exp(log_w - value)  # weights over their mean
    deviation = relative.std(ddof=1) if len(log_w) > 1 else jnp.full_like(value, jnp.nan)
    return Estimated(value, deviation / np.sqrt(len(log_w)), jnp.asarray(log_w))
