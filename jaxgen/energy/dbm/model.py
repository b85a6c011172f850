"""The deep Boltzmann machine: hidden layers that see one another from both sides.

    E(v, h1, h2) = -b . v - c1 . h1 - c2 . h2 - v W1 h1 - h1 W2 h2,

and so on for more layers. Layers are independent given their neighbours, so that v, h2, ... are the
left side of a bipartite machine and h1, h3, ... the right. The hidden units that explain an x are
not independent; their mean field mu, the fixed point of

    mu1 = sigmoid(c1 + x W1 + mu2 W2^T),    mu2 = sigmoid(c2 + mu1 W2),

gives a bound,  log p(x) >= -E(x, mu) + H(mu) - log Z,  which each update raises. The gradient is

    W1:  -E_data[x mu1^T] + E_chains[v h1^T],    W2:  -E_data[mu1 mu2^T] + E_chains[h1 h2^T],

with persistent chains, whose right layers are summed out. From noise this starts badly: a stage for
each layer goes before (`pretraining.py`).

Salakhutdinov & Hinton, 2009, "Deep Boltzmann machines".

*Differs from the paper:* the mean field takes a fixed number of updates and no tolerance; there is
no sparsity target and no bound on the norm of weights. log Z is estimated on a path from the rates
of the pixels.
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import entr
from jaxtyping import Float

from jaxgen.arguments import COUNT, require_positive, require_within
from jaxgen.distributions.observation import Bernoulli
from jaxgen.energy.base import INITIAL_STD, BoltzmannMachine, flat
from jaxgen.energy.bipartite import Bipartite, free_energy
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

Means = tuple[jax.Array, ...]  # of the hidden layers, [B, H_l] each


@final
@dataclass(frozen=True)
class DBM(BoltzmannMachine):
    """A deep Boltzmann machine of binary units.

    Attributes:
      shape: of one example; D visible units.
      hidden: units of the hidden layers, two layers or more, the lowest first.
      mean_field: updates of all layers' means.
      steps: Gibbs sweeps of the chains an update.
      num_chains: persistent chains; they are part of the state of a run.
      sweeps: Gibbs sweeps of a fresh chain before it is a sample.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...]
    mean_field: int = 20
    steps: int = 1
    num_chains: int = 100
    sweeps: int = 1000

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden, num_chains=self.num_chains)
        require_within(1, COUNT, mean_field=self.mean_field, steps=self.steps, sweeps=self.sweeps)
        if len(self.hidden) < 2:
            raise ConfigError(f"hidden: got {list(self.hidden)}, expected two layers\nTry: RBM")

    @property
    def observation(self) -> Bernoulli:
        """The kind of the units: binary."""
        return Bernoulli()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The units of all layers, the visible one first."""
        return (self.dim, *self.hidden)

    @property
    def sides(self) -> tuple[int, int]:
        """The units of layers v, h2, ... and of h1, h3, ..."""
        return sum(self.sizes[0::2]), sum(self.sizes[1::2])

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'layer_1', 'layer_2', ..., 'chains'}.

        Layer l has W_l [H_(l-1), H_l] ~ N(0, 0.01^2) and c_l = 0; the first has b = 0 besides.
        """
        chain_key, key = jax.random.split(key)
        variables = fresh_layers(key, self.sizes)
        chains = self.fresh_chains(chain_key, self.num_chains)
        return {**variables, "chains": {"state": {"left": chains}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player; nobody owns the chains."""
        owned = tuple(layer_name(number) for number in range(1, len(self.sizes)))
        return (Player("dbm", owned, self.dbm_loss, tx),)

    def joint(self, variables: Variables) -> Bipartite:
        """Return the parameters as those of one bipartite machine, zero between far layers."""
        params = self._params(variables)
        biases = [params[0]["visible"], *(layer["hidden"] for layer in params)]
        rows = []
        for below in range(0, len(self.sizes), 2):
            row = []
            for above in range(1, len(self.sizes), 2):
                row.append(self._between(params, below, above))
            rows.append(row)
        left = jnp.concatenate(biases[0::2])
        return Bipartite(jnp.block(rows), left, jnp.concatenate(biases[1::2]))

    def _between(
        self,
        params: list[Variables],
        left: int,
        right: int,
    ) -> jax.Array:
        """Return the weights between two layers, [left, right]: zeros unless they touch."""
        if right == left + 1:
            return jnp.asarray(params[left]["weight"])
        if right == left - 1:
            return jnp.asarray(params[right]["weight"].T)
        size = (self.sizes[left], self.sizes[right])
        return jnp.zeros(size, params[0]["weight"].dtype)

    def _params(self, variables: Variables) -> list[Variables]:
        """Return the parameters of each layer, the lowest first."""
        numbers = range(1, len(self.sizes))
        return [variables[layer_name(number)]["params"] for number in numbers]

    def dbm_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the mean energy of data and their means less that of the chains, [].

        It is no likelihood: only its gradient means something.
        """
        x = flat(batch["image"])
        means = jax.lax.stop_gradient(self.means(variables, x))
        positive = self.layered_energy(variables, x, means).mean()
        chains = self.negative(variables, key)
        negative = free_energy(self.joint(variables), self.observation, chains).mean()
        return positive - negative, ({}, {"chains": {"state": {"left": chains}}})

    def negative(
        self,
        variables: Variables,
        key: Key,
    ) -> Float[jax.Array, "c l"]:
        """Return the left units of the chains, moved on; constants to the gradient."""
        chains = variables["chains"]["state"]["left"]
        return jax.lax.stop_gradient(self.swept(variables, key, chains, self.steps))

    def layered_energy(
        self,
        variables: Variables,
        x: Float[Array, "b d"],
        means: Means,
    ) -> Float[jax.Array, " b"]:
        """Return E(x, h1, h2, ...) at hidden units or at their means, for it is linear in each."""
        params = self._params(variables)
        energy = -(x @ params[0]["visible"])
        below = jnp.asarray(x)
        for layer, above in zip(params, means, strict=True):
            inputs = below @ layer["weight"] + layer["hidden"][None]
            energy = energy - (inputs * above).sum(axis=-1)
            below = above
        return jnp.asarray(energy)

    def means(
        self,
        variables: Variables,
        x: Float[Array, "b d"],
    ) -> Means:
        """Return the mean field of the hidden layers, [B, H_l] each, from a pass upwards.

        In that pass the input from below counts twice, in the place of the one from above.
        """
        params = self._params(variables)
        below = jnp.asarray(x)
        begun = []
        for number, layer in enumerate(params, start=1):
            times = up_factor(number, len(params))
            below = jax.nn.sigmoid(times * (below @ layer["weight"]) + layer["hidden"][None])
            begun.append(below)

        def update(means: Means, _: None) -> tuple[Means, None]:
            return self.updated(variables, x, means), None

        means, _ = jax.lax.scan(update, tuple(begun), None, length=self.mean_field)
        return means

    def updated(
        self,
        variables: Variables,
        x: Float[Array, "b d"],
        means: Means,
    ) -> Means:
        """Return the means after an update of each layer in turn; none lowers the bound."""
        params = self._params(variables)
        found = list(means)
        for number, layer in enumerate(params):
            below = found[number - 1] if number else jnp.asarray(x)
            inputs = below @ layer["weight"] + layer["hidden"][None]
            if number + 1 < len(params):
                inputs = inputs + found[number + 1] @ params[number + 1]["weight"].T
            found[number] = jax.nn.sigmoid(inputs)
        return tuple(found)

    def mean_field_bound(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return -E(x, mu) + H(mu) in nats: log p(x) is at least that, less log Z."""
        rows = flat(x)
        return self.bound_at(variables, rows, self.means(variables, rows))

    def bound_at(
        self,
        variables: Variables,
        x: Float[Array, "b d"],
        means: Means,
    ) -> Float[jax.Array, " b"]:
        """Return -E(x, mu) + H(mu) at any means of the hidden layers."""
        bound = -self.layered_energy(variables, x, means)
        for mean in means:
            bound = bound + (entr(mean) + entr(1 - mean)).sum(axis=-1)
        return bound

    def encode(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b h"]:
        """Return the mean field of all hidden units, the features of x."""
        return jnp.concatenate(self.means(variables, flat(x)), axis=-1)

    def decode(
        self,
        variables: Variables,
        z: Float[Array, "... h"],
    ) -> Float[jax.Array, "..."]:
        """Return the mean of p(x | h1), [..., *shape], of codes as `encode` makes them."""
        layer = self._params(variables)[0]
        first = z.reshape(-1, z.shape[-1])[:, : self.hidden[0]]
        means = jax.nn.sigmoid(first @ layer["weight"].T + layer["visible"][None])
        return means.reshape(*z.shape[:-1], *self.shape)

    def reconstruct(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[Array, "b ..."]:
        """Return the mean of p(x | h1) at the mean field of x."""
        return self.decode(variables, self.encode(variables, x))


def layer_name(number: int) -> str:
    """Return the name of the network of hidden layer `number`, the lowest of which is 1."""
    return f"layer_{number}"


def up_factor(number: int, num_layers: int) -> int:
    """Return how often the input from below counts where there is none from above yet."""
    return 1 if number == num_layers else 2


def fresh_layers(
    key: Key,
    sizes: tuple[int, ...],
) -> dict[str, Variables]:
    """Return fresh variables of the layers above `sizes[0]` visible units."""
    found: dict[str, Variables] = {}
    for number, layer_key in enumerate(jax.random.split(key, len(sizes) - 1), start=1):
        size = sizes[number - 1 : number + 1]
        weight = INITIAL_STD * jax.random.normal(layer_key, size)
        params = {"weight": weight, "hidden": jnp.zeros(size[1])}
        if number == 1:
            params["visible"] = jnp.zeros(size[0])
        found[layer_name(number)] = {"params": params}
    return found
