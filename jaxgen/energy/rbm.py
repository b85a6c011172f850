"""The restricted Boltzmann machine: one layer of hidden units over what is seen.

    E(v, h) = -b . v - c . h - v W h,    F(v) = -b . v - sum_j softplus(c + v W)_j,
    p(h_j = 1 | v) = sigmoid(c + v W)_j,    p(v_i = 1 | h) = sigmoid(b + W h)_i,

and for real v of standard deviation s, E = |v - b|^2 / (2 s^2) - c . h - (v / s^2) W h, so that
p(v | h) = N(b + W h, s^2 I). The gradient of -log p(v), as that of a difference of free energies,

    grad ( F(data) - F(negative) ),    W:  -E_data[v p(h|v)^T] + E_negative[v p(h|v)^T],

needs draws from the machine. They are the ends of k Gibbs sweeps from the data (contrastive
divergence, 'cd'), or of chains that go on from one update to the next (persistent, 'pcd'); 'exact'
sums over all states instead, for small machines, and then the loss is -log p(v) itself. The loss of
the other two is no likelihood: only its gradient means something. D H + D + H parameters.

Smolensky, 1986; Hinton, 2002, "Training products of experts by minimizing contrastive divergence";
Tieleman, 2008, "Training restricted Boltzmann machines using approximations to the likelihood
gradient"; Welling et al., 2004, "Exponential family harmoniums" (real units).

*Differs from the papers:* s is a setting and not learnt; weight decay, momentum and the decay of
the rate are settings of the optimiser.
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import COUNT, require_positive, require_within
from jaxgen.distributions.observation import Bernoulli, Gaussian
from jaxgen.energy.base import INITIAL_STD, BoltzmannMachine, flat
from jaxgen.energy.bipartite import (
    Bipartite,
    Units,
    free_energy,
    left_params,
    log_partition,
    right_logits,
)
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

RULES = ("cd", "pcd", "exact")


@final
@dataclass(frozen=True)
class RBM(BoltzmannMachine):
    """A restricted Boltzmann machine.

    Attributes:
      shape: of one example; D visible units.
      hidden: H, the number of hidden units.
      observation: Bernoulli() for binary examples, Gaussian(s) for real ones.
      learning: where the negative phase comes from: 'cd', 'pcd' or 'exact'.
      steps: k, Gibbs sweeps an update.
      num_chains: persistent chains of 'pcd'; they are part of the state of a run.
      sweeps: Gibbs sweeps of a fresh chain before it is a sample.
    """

    shape: tuple[int, ...]
    hidden: int
    observation: Units = Bernoulli()  # noqa: RUF009 (frozen)
    learning: str = "pcd"
    steps: int = 1
    num_chains: int = 100
    sweeps: int = 1000

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden, num_chains=self.num_chains)
        require_within(1, COUNT, steps=self.steps, sweeps=self.sweeps)
        if self.learning not in RULES:
            known = ", ".join(RULES)
            raise ConfigError(f"learning: got {self.learning!r}, expected one of {known}")
        if isinstance(self.observation, Gaussian) and self.observation.std is None:
            raise ConfigError("observation.std: got None, expected a number: it is not learnt here")
        if self.learning == "exact" and not self.is_tractable:
            raise ConfigError(
                f"learning: got 'exact', but neither {self.dim} visible nor {self.hidden} hidden "
                "units are few enough to sum over\nTry: 'pcd'"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """The numbers of visible and of hidden units."""
        return self.dim, self.hidden

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'rbm'}, and {'chains'} where they persist.

        W [D, H] ~ N(0, 0.01^2), b [D] = c [H] = 0; chains [C, D] of noise.
        """
        weight_key, chain_key = jax.random.split(key)
        params = {
            "weight": INITIAL_STD * jax.random.normal(weight_key, self.sides),
            "visible": jnp.zeros(self.dim),
            "hidden": jnp.zeros(self.hidden),
        }
        variables: dict[str, Variables] = {"rbm": {"params": params}}
        if self.learning == "pcd":
            chains = self.fresh_chains(chain_key, self.num_chains)
            variables["chains"] = {"state": {"visible": chains}}
        return variables

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player; nobody owns the chains."""
        return (Player("rbm", ("rbm",), self.rbm_loss, tx),)

    def joint(self, variables: Variables) -> Bipartite:
        """Return W, b and c."""
        params = variables["rbm"]["params"]
        return Bipartite(params["weight"], params["visible"], params["hidden"])

    def rbm_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the mean free energy of the data less that of the negative phase, [].

        With 'exact' it is the mean of -log p(v), in nats.
        """
        x = flat(batch["image"])
        machine = self.joint(variables)
        positive = free_energy(machine, self.observation, x).mean()
        if self.learning == "exact":
            return positive + log_partition(machine, self.observation), ({}, {})
        drawn = self.negative(variables, key, x)
        negative = free_energy(machine, self.observation, drawn).mean()
        mutated = {"chains": {"state": {"visible": drawn}}} if self.learning == "pcd" else {}
        return positive - negative, ({}, mutated)

    def negative(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b d"],
    ) -> Float[jax.Array, "c d"]:
        """Return the draws of the negative phase, constants to the gradient.

        Args:
          variables: of the model.
          key: of the draws.
          x: the data, flat, from which chains begin that do not persist.
        """
        start = variables["chains"]["state"]["visible"] if self.learning == "pcd" else x
        return jax.lax.stop_gradient(self.swept(variables, key, start, self.steps))

    def energy(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return the free energy F(x) in nats: log p(x) = -F(x) - log Z."""
        return free_energy(self.joint(variables), self.observation, flat(x))

    def encode(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b h"]:
        """Return p(h = 1 | x), the features of x."""
        logits = right_logits(self.joint(variables), self.observation, flat(x))
        return jax.nn.sigmoid(logits)

    def decode(
        self,
        variables: Variables,
        z: Float[Array, "... h"],
    ) -> Float[jax.Array, "..."]:
        """Return the mean of p(x | h) at hidden units or their probabilities, [..., *shape]."""
        rows = z.reshape(-1, self.hidden)
        params = left_params(self.joint(variables), rows)
        means = jnp.asarray(self.observation.mean(params[..., None]))
        return means.reshape(*z.shape[:-1], *self.shape)

    def reconstruct(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[Array, "b ..."]:
        """Return the mean of p(x | h) at h = p(h = 1 | x).

        Its error may fall while the likelihood falls.
        """
        return self.decode(variables, self.encode(variables, x))
