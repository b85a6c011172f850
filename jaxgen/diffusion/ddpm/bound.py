"""The terms of a diffusion model's bound, in nats per example.

    -log p(x_0) <= L_T + sum_{t=2}^T L_{t-1} + L_0,

    L_T     = KL(q(x_T | x_0) || N(0, I)),
    L_{t-1} = KL(N(m(x_0), bt_t) || N(m(r), s_t^2))
            = (m(x_0) - m(r))^2 / (2 s_t^2) + (bt_t / s_t^2 - 1 - log(bt_t / s_t^2)) / 2,
    L_0     = -log p(x_0 | x_1),

summed over elements, where m(x_0) = c_t x_0 + d_t x_t is the mean of q(x_{t-1} | x_t, x_0) and r
the guess of x_0 that takes its place.

Ho, Jain & Abbeel, 2020 (arXiv 2006.11239), equation 5.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxgen.diffusion.ddpm.decoder import decoder_log_prob
from jaxgen.diffusion.process import Process, at, posterior_mean, reverse_variance
from jaxgen.typing import Array


def prior_term(
    found: Process,
    y: Float[Array, "b ..."],
) -> Float[jax.Array, " b"]:
    """Return L_T of examples as the chain sees them."""
    variance = found.noise[-1] ** 2
    constant = 0.5 * (variance - 1 - np.log(variance))
    mean = found.signal[-1] * jnp.asarray(y)
    return summed(0.5 * jnp.square(mean) + constant)


def step_term(
    found: Process,
    variance: str,
    levels: int | None,
    y: Float[Array, "b ..."],
    noisy: Float[Array, "b ..."],
    clean: Float[Array, "b ..."],
    t: Int[Array, " b"],
) -> Float[jax.Array, " b"]:
    """Return L_{t-1} by one draw of x_t; at t = 1 it is L_0.

    Args:
      found: the process.
      variance: 'large' or 'small', of p(x_{t-1} | x_t).
      levels: of the examples, or None.
      y: x_0 as the chain sees it.
      noisy: x_t.
      clean: the guess of x_0.
      t: in 1 .. T.
    """
    weight, constant = divergence_coefficients(found, variance)
    guessed = posterior_mean(found, clean, noisy, t)
    exact = posterior_mean(found, y, noisy, t)
    squares = jnp.square(guessed - exact)
    divergence = at(weight, t, y) * squares + at(constant, t, y)
    std = float(np.sqrt(reverse_variance(found, variance)[1]))
    likelihood = decoder_log_prob(y, guessed, std, levels)
    is_first = (t == 1).reshape(-1, *[1] * (y.ndim - 1))  # [B, 1, ..., 1]
    return summed(jnp.where(is_first, -likelihood, divergence))


def divergence_coefficients(
    found: Process,
    variance: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 / (2 s_t^2) and what the variances alone cost an element, float64 [T + 1] each.

    At t = 0 and 1, where there is no divergence, both are 0.
    """
    weight = np.zeros(found.num_steps + 1)
    constant = np.zeros(found.num_steps + 1)
    assumed = reverse_variance(found, variance)[2:]
    ratio = found.posterior_variance[2:] / assumed
    weight[2:] = 0.5 / assumed
    constant[2:] = 0.5 * (ratio - 1 - np.log(ratio))
    return weight, constant


def summed(of_elements: Float[Array, "b ..."]) -> Float[jax.Array, " b"]:
    """Return sums over the elements of each example."""
    return jnp.asarray(of_elements).reshape(len(of_elements), -1).sum(axis=1)
