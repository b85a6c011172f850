"""The forward process: an example is turned into noise, a little in each of T steps.

    q(x_t | x_{t-1}) = N(sqrt(1 - b_t) x_{t-1}, b_t I),    ab_t = prod_{s<=t} (1 - b_s),
    q(x_t | x_0)     = N(sqrt(ab_t) x_0, (1 - ab_t) I),
    q(x_{t-1} | x_t, x_0) = N(c_t x_0 + d_t x_t, bt_t I),

    c_t = b_t sqrt(ab_{t-1}) / (1 - ab_t),    d_t = sqrt(1 - b_t) (1 - ab_{t-1}) / (1 - ab_t),
    bt_t = b_t (1 - ab_{t-1}) / (1 - ab_t).

Everything is known in closed form but x_0 itself. 'linear' has b_t from 1e-4 to 0.02 over 1000
steps, both ends scaled by 1000 / T for others; 'cosine' has ab_t = f(t/T) / f(0) with
f(u) = cos^2((u + 0.008) / 1.008 pi/2), and b_t at most 0.999.

Ho, Jain & Abbeel, 2020, "Denoising diffusion probabilistic models" (arXiv 2006.11239), section 2;
Nichol & Dhariwal, 2021, "Improved denoising diffusion probabilistic models" (arXiv 2102.09672),
section 3.2, for the cosine.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxgen.arguments import require_within
from jaxgen.errors import ConfigError
from jaxgen.typing import Array

SCHEDULES = ("linear", "cosine")
MOST_STEPS = 100_000
_FIRST, _LAST, _STEPS = 1e-4, 0.02, 1000  # of the linear schedule
_OFFSET = 0.008  # of the cosine: without it the first steps are too small
_LARGEST = 0.999  # of the cosine's b_t
_LARGEST_LINEAR = 0.999  # where T is so small that the scaled end is no variance


class Process(NamedTuple):
    """The coefficients of a process, float64 [T + 1] each; at t = 0 there is no noise yet.

    Attributes:
      beta: b_t, with b_0 = 0.
      signal: sqrt(ab_t).
      noise: sqrt(1 - ab_t).
      of_clean: c_t, of x_0 in the mean of q(x_{t-1} | x_t, x_0).
      of_noisy: d_t, of x_t in it.
      posterior_variance: bt_t; 0 at t = 1, where x_0 is known.
    """

    beta: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    of_clean: np.ndarray
    of_noisy: np.ndarray
    posterior_variance: np.ndarray

    @property
    def num_steps(self) -> int:
        """The number of steps, T."""
        return len(self.beta) - 1


def require_schedule(
    schedule: str,
    num_steps: int,
) -> None:
    """Raise ConfigError unless there is such a process."""
    require_within(1, MOST_STEPS, num_steps=num_steps)
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ConfigError(f"schedule: got {schedule!r}, expected one of {known}")


@lru_cache
def process(
    schedule: str,
    num_steps: int,
) -> Process:
    """Return the coefficients of a process.

    Args:
      schedule: 'linear' or 'cosine'.
      num_steps: T.

    Raises:
      ConfigError: there is no such process.
    """
    require_schedule(schedule, num_steps)
    betas = linear(num_steps) if schedule == "linear" else cosine(num_steps)
    beta = np.concatenate([[0.0], betas])
    kept = np.cumprod(1 - beta)  # ab_t
    before = np.concatenate([[1.0], kept[:-1]])  # ab_{t-1}
    gone = 1 - kept
    # At t = 0 nothing is gone, and nothing is divided by it.
    divisor = np.where(gone > 0, gone, 1.0)
    return Process(
        beta=beta,
        signal=np.sqrt(kept),
        noise=np.sqrt(gone),
        of_clean=beta * np.sqrt(before) / divisor,
        of_noisy=np.sqrt(1 - beta) * (1 - before) / divisor,
        posterior_variance=beta * (1 - before) / divisor,
    )


def linear(num_steps: int) -> np.ndarray:
    """Return b_1 .. b_T of the linear schedule, float64."""
    scale = _STEPS / num_steps
    betas = np.linspace(scale * _FIRST, scale * _LAST, num_steps)
    return np.minimum(betas, _LARGEST_LINEAR)


def cosine(num_steps: int) -> np.ndarray:
    """Return b_1 .. b_T of the cosine schedule, float64."""
    share = np.arange(num_steps + 1) / num_steps
    angle = (share + _OFFSET) / (1 + _OFFSET) * np.pi / 2
    kept = np.cos(angle) ** 2
    return np.minimum(1 - kept[1:] / kept[:-1], _LARGEST)


def reverse_variance(
    found: Process,
    variance: str,
) -> np.ndarray:
    """Return the variance of p(x_{t-1} | x_t) for t = 0 .. T, float64.

    'large' is b_t, right if x_0 ~ N(0, I); 'small' is that of q(x_{t-1} | x_t, x_0), right if there
    is but one x_0. At t = 1 both are bt_2, as in the paper's code: the variance of the decoder.
    """
    chosen = found.beta if variance == "large" else found.posterior_variance
    variances = chosen.copy()
    if found.num_steps > 1:
        variances[1] = found.posterior_variance[2]
    else:
        variances[1] = found.beta[1]
    return variances


def at(
    values: np.ndarray,
    t: Int[Array, "..."],
    like: Float[Array, "..."],
) -> jax.Array:
    """Return a coefficient at times t, [] or [B], in the form that multiplies x [B, ...]."""
    chosen = jnp.asarray(values, like.dtype)[t]
    return chosen.reshape(*chosen.shape, *[1] * (like.ndim - chosen.ndim))


def diffused(
    found: Process,
    clean: Float[Array, "b ..."],
    noise: Float[Array, "b ..."],
    t: Int[Array, " b"],
) -> Float[jax.Array, "b ..."]:
    """Return x_t = sqrt(ab_t) x_0 + sqrt(1 - ab_t) noise, a draw of q(x_t | x_0)."""
    signal = at(found.signal, t, clean)
    spread = at(found.noise, t, clean)
    return signal * clean + spread * noise


def cleaned(
    found: Process,
    noisy: Float[Array, "b ..."],
    noise: Float[Array, "b ..."],
    t: Int[Array, "..."],
) -> Float[jax.Array, "b ..."]:
    """Return the x_0 of which x_t was made with that noise."""
    signal = at(found.signal, t, noisy)
    spread = at(found.noise, t, noisy)
    return jnp.asarray((noisy - spread * noise) / signal)


def posterior_mean(
    found: Process,
    clean: Float[Array, "b ..."],
    noisy: Float[Array, "b ..."],
    t: Int[Array, "..."],
) -> Float[jax.Array, "b ..."]:
    """Return the mean of q(x_{t-1} | x_t, x_0)."""
    of_clean = at(found.of_clean, t, noisy)
    of_noisy = at(found.of_noisy, t, noisy)
    return of_clean * clean + of_noisy * noisy
