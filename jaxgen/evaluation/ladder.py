"""The ladder of bounds of a decoder's log p(x), from the loosest to the tightest.

On examples that the model made, in expectation,

    ELBO  <=  IWAE-k  ,  AIS  <=  log p(x)  <=  BDMC's upper bound.

IWAE and AIS are both lower bounds; none of the two must be the larger one, but annealing that is
slow enough comes the nearer. The upper bound needs an exact draw of the posterior, which only
simulated examples have: `bidirectional.py`.

Burda et al., 2016 (arXiv 1509.00519); Wu et al., 2017 (arXiv 1611.04273), section 4.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions import log_mean_exp, normal_log_prob
from jaxgen.evaluation import annealed, bidirectional, hmc
from jaxgen.evaluation.likelihood import importance_weights
from jaxgen.evaluation.record import Record, mean_and_error
from jaxgen.typing import Array, Key, Variables

NUM_EXAMPLES = 20

_DIRECTIONS = {  # of the error in expectation
    "elbo": "lower bound",
    "iwae": "lower bound",
    "ais": "stochastic lower bound",
    "bdmc_upper": "stochastic upper bound, in the mean over examples",
    "bdmc_gap": "upper bound less AIS: at least the error of either",
}


@runtime_checkable
class Decoded(Protocol):
    """A model with p(x | z) over a prior N(0, I) and importance weights of an encoder."""

    observation: Any

    def latents(self, key: Key, num: int) -> Any:
        """Return `num` draws from the prior."""
        ...

    def decoder_outputs(self, variables: Variables, z: Any) -> Any:
        """Return the parameters of p(x | z)."""
        ...

    def log_likelihood(self, variables: Variables, x: Any, z: Any) -> Any:
        """Return log p(x | z), [S, B]."""
        ...

    def log_weights(self, variables: Variables, x: Any, key: Key, num_samples: int) -> Any:
        """Return log p(x, z) - log q(z | x) of draws of the encoder, [S, B]."""
        ...


def target(
    model: Any,
    variables: Variables,
    x: Float[Array, "..."],
) -> hmc.Target:
    """Return the joint density of one example and its latent, from the prior N(0, I).

    Args:
      model: as in `climb`.
      variables: of the model.
      x: one example, [*shape].
    """

    def start(key: Key, num: int) -> jax.Array:
        return jnp.asarray(model.latents(key, num))

    def log_prior(z: jax.Array) -> jax.Array:
        return normal_log_prob(z, jnp.zeros(()), jnp.zeros(())).sum(axis=-1)

    def log_likelihood(z: jax.Array) -> jax.Array:
        # [R, Z] -> [R, 1, Z], a batch of one example
        return jnp.asarray(model.log_likelihood(variables, x[None], z[:, None])[:, 0])

    return hmc.Target(start, log_prior, log_likelihood)


def simulate(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
) -> tuple[Float[jax.Array, "b z"], Float[jax.Array, "b ..."]]:
    """Return latents from the prior and the examples drawn from p(x | z) of each."""
    latent_key, pixel_key = jax.random.split(key)
    z = model.latents(latent_key, num)
    outputs = model.decoder_outputs(variables, z)
    return z, model.observation.sample(outputs, pixel_key)


def climb(
    model: Any,
    variables: Variables,
    key: Key,
    *,
    num: int = NUM_EXAMPLES,
    num_samples: int = 500,
    num_temperatures: int = bidirectional.NUM_TEMPERATURES,
    num_runs: int = bidirectional.NUM_RUNS,
) -> dict[str, Float[jax.Array, " b"]]:
    """Return every bound of simulated examples in nats, [num] each, under the names of `records`.

    Args:
      model: a `Decoded` one, such as a `LatentVariableModel`.
      variables: of the model.
      key: of all draws.
      num: examples that the model makes.
      num_samples: importance samples, k.
      num_temperatures: of the annealing.
      num_runs: chains of an example, in either direction.
    """
    make_key, weight_key, chain_key = jax.random.split(key, 3)
    betas = annealed.sigmoid_schedule(num_temperatures)

    @jax.jit
    def bounds(variables: Variables) -> dict[str, jax.Array]:
        z, x = simulate(model, variables, make_key, num)

        def target_of(x: jax.Array) -> hmc.Target:
            return target(model, variables, x)

        weights = importance_weights(model, variables, x, weight_key, num_samples)  # [k, B]
        made = bidirectional.sandwich(target_of, x, z, chain_key, betas, num_runs)
        return {
            "elbo": weights.mean(axis=0),
            "iwae": log_mean_exp(weights, axis=0),
            "ais": made.lower,
            "bdmc_upper": made.upper,
            "bdmc_gap": made.gap,
        }

    return bounds(variables)


def records(
    model: Any,
    variables: Variables,
    *,
    seed: int = 0,
    num_samples: int = 500,
    about: str = "",
) -> list[Record]:
    """Return the ladder as lines of the table of `evaluate`, each with its direction.

    Args:
      model: as in `climb`.
      variables: of the model.
      seed: of all draws.
      num_samples: importance samples, k.
      about: what is known of the variables, for the protocol.
    """
    key = jax.random.fold_in(jax.random.key(seed), 1)  # not the draws of the other measures
    bounds = climb(model, variables, key, num_samples=num_samples)
    lines = []
    for name, direction in _DIRECTIONS.items():
        values = jax.device_get(bounds[name])
        number, error = mean_and_error(values)
        title = f"iwae_{num_samples}" if name == "iwae" else name
        protocol = [
            f"{NUM_EXAMPLES} examples simulated by the model",
            f"{bidirectional.NUM_RUNS} chains of {bidirectional.NUM_TEMPERATURES} temperatures",
            f"seed {seed}",
            direction,
        ]
        how = "; ".join([*protocol, about] if about else protocol)
        lines.append(Record(f"simulated_{title}", number, error, "nats", "-", len(values), how))
    return lines
