"""Langevin chains: a step along the score and a step of noise.

    x' = x + (e^2 / 2) score(x) + e xi,    xi ~ N(0, I),    score = grad log p.

As e -> 0 the chain draws from p. At any other e it draws from something near it: of N(0, s^2) the
variance of the chain is s^2 / (1 - e^2 / (4 s^2)). Where an energy is known, p = exp(-E) / Z, the
step is a proposal that is taken with probability

    min(1, exp(E(x) - E(x')) q(x | x') / q(x' | x)),
    q(x' | x) = N(x + (e^2 / 2) score(x), e^2 I),

or else the chain stays where it is: then p itself is left as it is (the Metropolis-adjusted
Langevin algorithm).

Roberts & Tweedie, 1996, "Exponential convergence of Langevin distributions and their discrete
approximations"; Besag, 1994.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxgen.typing import Array, Key

Field = Callable[[jax.Array], jax.Array]  # x [B, ...] -> the score there, [B, ...]
# x [B, ...] -> E [B] and the score there, [B, ...]
EnergyAndScore = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


def proposal_mean(
    x: Float[Array, "b ..."],
    score: Float[Array, "b ..."],
    step: float,
) -> Float[Array, "b ..."]:
    """Return x + (e^2 / 2) score, the mean of a move."""
    return x + 0.5 * step**2 * score


def log_proposal(
    y: Float[Array, "b ..."],
    mean: Float[Array, "b ..."],
    step: float,
) -> Float[Array, " b"]:
    """Return log N(y; mean, e^2 I) but for its constant, which no ratio has."""
    squares = ((y - mean) / step) ** 2
    return -0.5 * squares.reshape(len(y), -1).sum(axis=1)


def log_acceptance(
    energies: tuple[Float[Array, " b"], Float[Array, " b"]],
    log_proposals: tuple[Float[Array, " b"], Float[Array, " b"]],
) -> Float[jax.Array, " b"]:
    """Return the log of the probability that a proposal is taken.

    Args:
      energies: E(x) and E(x').
      log_proposals: log q(x' | x) and log q(x | x').
    """
    here, there = energies
    forwards, backwards = log_proposals
    return jnp.minimum(here - there + backwards - forwards, 0.0)


def unadjusted(
    field: Field,
    key: Key,
    x: Float[Array, "b ..."],
    step: float,
) -> Float[jax.Array, "b ..."]:
    """Make one move, which is always taken."""
    mean = proposal_mean(x, field(jnp.asarray(x)), step)
    return jnp.asarray(mean + step * jax.random.normal(key, x.shape, x.dtype))


def adjusted(
    energy_and_score: EnergyAndScore,
    key: Key,
    x: Float[Array, "b ..."],
    step: float,
) -> tuple[Float[jax.Array, "b ..."], Bool[jax.Array, " b"]]:
    """Make one move or none; return where the chains are, and which have moved."""
    noise_key, coin_key = jax.random.split(key)
    x = jnp.asarray(x)
    energy, score = energy_and_score(x)
    mean = proposal_mean(x, score, step)
    proposed = jnp.asarray(mean + step * jax.random.normal(noise_key, x.shape, x.dtype))
    energy_there, score_there = energy_and_score(proposed)
    mean_back = proposal_mean(proposed, score_there, step)
    forwards = log_proposal(proposed, mean, step)
    backwards = log_proposal(x, mean_back, step)
    chance = log_acceptance((energy, energy_there), (forwards, backwards))
    coin = jax.random.uniform(coin_key, (len(x),), x.dtype)
    taken = jnp.log(coin) < chance
    mask = taken.reshape(-1, *[1] * (x.ndim - 1))  # [B, 1, ..., 1]
    return jnp.where(mask, proposed, x), taken
