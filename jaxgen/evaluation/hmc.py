"""Hamiltonian Monte Carlo, and the path of annealed importance sampling of a decoder that it walks.

A latent z is given a momentum r ~ N(0, I) and moves along the contours of H(z, r) = -log f(z) +
|r|^2 / 2 by leapfrog steps, which are reversible and keep the volume; taken with probability
min(1, exp(H - H')) such a trajectory leaves f as it is. Between a base that can be drawn from, the
prior or q(z | x), and the joint p(x, z) it leaves each

    f_beta(z) = base(z) (p(x, z) / base(z))^beta,    f_0 = base,   integral f_1 = p(x),

as it is, so that `annealed.log_partition` of that path estimates log p(x): E[w] = p(x), and the
logarithm of a mean weight is a stochastic **lower** bound of log p(x).

Neal, 2001, "Annealed importance sampling", and 2011, "MCMC using Hamiltonian dynamics"; Wu et al.,
2017, "On the quantitative analysis of decoder-based generative models" (arXiv 1611.04273).

*Differs from the paper:* step sizes are tuned in a run of their own and then stand still, one for
each temperature: a step that goes by the chain's own past does not leave f_beta as it is. They
begin at 0.1, not 0.01, for paths of hundreds of temperatures, and each trajectory draws between
half of its step size and all of it: with one length, 1000 temperatures were no better than 200 on a
linear-Gaussian model.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions.path import Path
from jaxgen.typing import Array, Key

LogDensity = Callable[[jax.Array], jax.Array]  # z [R, Z] -> [R], up to a constant
TARGET = 0.65  # the acceptance at which a trajectory costs least

_FIRST = 0.1
_FACTOR = 1.02
_SMALLEST = 1e-4
_LARGEST = 0.5
_SHORTEST = 0.5  # of the step size
_KEPT = 0.9  # of the running acceptance


class Target(NamedTuple):
    """A latent's joint density with one example, and the base that the path begins at.

    Attributes:
      start: (key, num) -> draws of the base, [num, Z].
      log_base: z [R, Z] -> log base(z), normalised, [R].
      log_ratio: z [R, Z] -> log p(x, z) - log base(z), [R]; log p(x | z) where the base is p(z).
    """

    start: Callable[[Key, int], jax.Array]
    log_base: LogDensity
    log_ratio: LogDensity


def leapfrog(
    log_density: LogDensity,
    z: Float[Array, "r z"],
    momentum: Float[Array, "r z"],
    step_size: Array | float,
    num: int,
) -> tuple[Float[jax.Array, "r z"], Float[jax.Array, "r z"]]:
    """Return place and momentum after `num` leapfrog steps.

    Args:
      log_density: log f of each place.
      z: where trajectories begin.
      momentum: of each; its negative at the end leads back.
      step_size: the time of a step; the energy's error is of its square.
      num: of steps.
    """
    gradient = jax.grad(_total(log_density))
    half = 0.5 * step_size

    def step(_: Array, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        z, momentum = at
        momentum = momentum + half * gradient(z)
        z = z + step_size * momentum
        momentum = momentum + half * gradient(z)
        return z, momentum

    return jax.lax.fori_loop(0, num, step, (jnp.asarray(z), jnp.asarray(momentum)))


def _total(log_density: LogDensity) -> Callable[[jax.Array], jax.Array]:
    """Return the sum over chains, whose gradient is that of each chain."""

    def total(z: jax.Array) -> jax.Array:
        return log_density(z).sum()

    return total


def move(
    key: Key,
    log_density: LogDensity,
    z: Float[Array, "r z"],
    step_size: Array | float,
    num_leapfrog: int = 10,
) -> tuple[Float[jax.Array, "r z"], Float[jax.Array, " r"]]:
    """Return states after one trajectory each, and the probability with which it was taken.

    Args:
      key: of the momenta and the decisions.
      log_density: log f, which the move leaves as it is.
      z: a state of each chain.
      step_size: the longest of the leapfrog steps; each chain draws its own, half of it or more.
      num_leapfrog: steps of a trajectory.
    """
    momentum_key, size_key, accept_key = jax.random.split(key, 3)
    z = jnp.asarray(z)
    momentum = jax.random.normal(momentum_key, z.shape, z.dtype)
    # A trajectory as long as an orbit would end where it began: lengths are drawn, Neal, 2011.
    part = jax.random.uniform(size_key, (len(z), 1), z.dtype, _SHORTEST, 1.0)
    sizes = part * step_size
    proposed, end = leapfrog(log_density, z, momentum, sizes, num_leapfrog)
    before = log_density(jnp.asarray(z)) - 0.5 * (momentum**2).sum(axis=-1)
    after = log_density(proposed) - 0.5 * (end**2).sum(axis=-1)
    change = jnp.asarray(after - before)
    # A trajectory that diverged is refused: NaN is no reason to take it.
    acceptance = jnp.where(jnp.isnan(change), 0, jnp.exp(jnp.minimum(change, 0)))
    taken = jax.random.uniform(accept_key, acceptance.shape) < acceptance
    return jnp.where(taken[:, None], proposed, z), acceptance


def tuned_steps(
    target: Target,
    key: Key,
    betas: Float[Array, " t"],
    num_runs: int = 16,
    num_leapfrog: int = 10,
) -> Float[jax.Array, " t"]:
    """Return the step size at each temperature, from a run along the path that only tunes.

    Args:
      target: of one example.
      key: of the run.
      betas: inverse temperatures from 0 to 1.
      num_runs: chains, whose mean acceptance is brought to `TARGET`.
      num_leapfrog: steps of a trajectory.
    """
    start_key, key = jax.random.split(key)
    z = target.start(start_key, num_runs)
    betas = jnp.asarray(betas, z.dtype)

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array],
        at: tuple[jax.Array, Key],
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], jax.Array]:
        z, size, running = carry
        beta, key = at
        z, acceptance = move(key, _annealed(target, beta), z, size, num_leapfrog)
        running = _KEPT * running + (1 - _KEPT) * acceptance.mean()
        factor = jnp.where(running > TARGET, _FACTOR, 1 / _FACTOR)
        following = jnp.clip(size * factor, _SMALLEST, _LARGEST)
        return (z, following, running), size

    begun = (z, jnp.asarray(_FIRST, z.dtype), jnp.asarray(TARGET, z.dtype))
    _, sizes = jax.lax.scan(step, begun, (betas, jax.random.split(key, len(betas))))
    return sizes


def path(
    target: Target,
    betas: Float[Array, " t"],
    step_sizes: Float[Array, " t"],
    num_leapfrog: int = 10,
) -> Path:
    """Return the path from the base to p(x, z), for `annealed.log_partition` on the same betas.

    Args:
      target: of one example.
      betas: inverse temperatures from 0 to 1.
      step_sizes: of the moves at each, as `tuned_steps` gives them.
      num_leapfrog: steps of a trajectory.
    """

    def log_density(z: jax.Array, beta: Array) -> jax.Array:
        return _annealed(target, beta)(z)

    def moved(key: Key, z: jax.Array, beta: Array) -> jax.Array:
        size = jnp.interp(jnp.asarray(beta), jnp.asarray(betas), jnp.asarray(step_sizes))
        return move(key, _annealed(target, beta), z, size, num_leapfrog)[0]

    return Path(jnp.zeros(()), target.start, log_density, moved)


def _annealed(target: Target, beta: Array) -> LogDensity:
    """Return log f_beta."""

    def log_density(z: jax.Array) -> jax.Array:
        return target.log_base(z) + beta * target.log_ratio(z)

    return log_density
