"""Bidirectional Monte Carlo: log p(x) between a lower and an upper bound.

An example that the model itself made, z* ~ p(z), x ~ p(x | z*), comes with an exact draw z* of its
posterior. A path of annealed importance sampling can then be walked from its end to its beginning:
the weights v of that run have the mean 1 / p(x), so that by Jensen's inequality

    E log mean w  <=  log p(x)  <=  E [-log mean v],

and the gap between both is at least the error of either. Only simulated examples have a z*, and the
chains of one example share it: the upper bound holds **in the mean over examples**, not for each of
them, and says nothing of real ones, but that the same path is as good there if they are alike.

Grosse et al., 2015, "Sandwiching the marginal likelihood using bidirectional Monte Carlo" (arXiv
1511.02543); Wu et al., 2017 (arXiv 1611.04273), for decoders.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.distributions import log_mean_exp
from jaxgen.distributions.path import Path
from jaxgen.evaluation import annealed, hmc
from jaxgen.typing import Array, Key

NUM_RUNS = 16
NUM_TEMPERATURES = 200

TargetOf = Callable[[jax.Array], hmc.Target]  # one example, without a batch axis


class Sandwich(NamedTuple):
    """Bounds of log p(x) of simulated examples, in nats.

    Attributes:
      lower: by annealed importance sampling, [B]; errs low in the mean.
      upper: by the same path walked backwards, [B]; errs high in the mean over examples.
    """

    lower: Float[jax.Array, " b"]
    upper: Float[jax.Array, " b"]

    @property
    def gap(self) -> Float[jax.Array, " b"]:
        """The upper bound minus the lower one, which is at least 0 in the mean."""
        return self.upper - self.lower


def log_marginal(
    target_of: TargetOf,
    x: Float[Array, "b ..."],
    key: Key,
    betas: np.ndarray | None = None,
    num_runs: int = NUM_RUNS,
    num_leapfrog: int = 10,
) -> Float[jax.Array, " b"]:
    """Estimate log p(x) of each example by annealed importance sampling: a lower bound.

    Args:
      target_of: an example -> the joint density with its latent, and the base.
      x: examples.
      key: of the draws.
      betas: inverse temperatures; `annealed.sigmoid_schedule(NUM_TEMPERATURES)` by default.
      num_runs: chains of an example.
      num_leapfrog: steps of a trajectory.
    """
    schedule = _schedule(betas)

    def of_one(x: jax.Array, key: Key) -> jax.Array:
        path, key = _tuned(target_of(x), key, schedule, num_runs, num_leapfrog)
        return log_mean_exp(annealed.log_weights(path, key, schedule, num_runs))

    return jax.vmap(of_one)(jnp.asarray(x), jax.random.split(key, len(x)))


def sandwich(
    target_of: TargetOf,
    x: Float[Array, "b ..."],
    z: Float[Array, "b z"],
    key: Key,
    betas: np.ndarray | None = None,
    num_runs: int = NUM_RUNS,
    num_leapfrog: int = 10,
) -> Sandwich:
    """Bound log p(x) of simulated examples from both sides, with one path and its step sizes.

    Args:
      target_of: as in `log_marginal`.
      x: examples drawn from p(x | z).
      z: the latents that they were drawn from, themselves draws of the prior.
      key: of the draws.
      betas: as in `log_marginal`.
      num_runs: chains of an example, in either direction.
      num_leapfrog: steps of a trajectory.
    """
    schedule = _schedule(betas)

    def of_one(x: jax.Array, z: jax.Array, key: Key) -> Sandwich:
        path, key = _tuned(target_of(x), key, schedule, num_runs, num_leapfrog)
        forward_key, backward_key = jax.random.split(key)
        forward = annealed.log_weights(path, forward_key, schedule, num_runs)
        back = backwards(path, z)
        backward = annealed.log_weights(back, backward_key, schedule[::-1], num_runs)
        upper = path.log_base - log_mean_exp(backward)
        return Sandwich(log_mean_exp(forward), jnp.asarray(upper))

    keys = jax.random.split(key, len(x))
    return jax.vmap(of_one)(jnp.asarray(x), jnp.asarray(z), keys)


def backwards(path: Path, z: Float[Array, " z"]) -> Path:
    """Return the path that begins at an exact draw of its end; walk it from beta = 1 to 0."""

    def start(key: Key, num: int) -> jax.Array:
        del key  # all chains begin at the one draw that there is
        return jnp.broadcast_to(jnp.asarray(z), (num, *jnp.shape(z)))

    return path._replace(start=start, log_base=jnp.zeros(()))


def _schedule(betas: np.ndarray | None) -> np.ndarray:
    """Return the inverse temperatures, or the usual ones."""
    return annealed.sigmoid_schedule(NUM_TEMPERATURES) if betas is None else betas


def _tuned(
    target: hmc.Target,
    key: Key,
    betas: np.ndarray,
    num_runs: int,
    num_leapfrog: int,
) -> tuple[Path, Key]:
    """Return the path with step sizes tuned for one example, and a key for its runs."""
    tune_key, key = jax.random.split(key)
    sizes = hmc.tuned_steps(target, tune_key, betas, num_runs, num_leapfrog)
    return hmc.path(target, betas, sizes, num_leapfrog), key
