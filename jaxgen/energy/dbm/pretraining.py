"""Greedy pre-training of a deep Boltzmann machine: a stage for each layer, the lowest first.

A layer is trained by contrastive divergence on draws of the layer below, with weights that stand in
for those that it will have above and below:

    bottom:        p(h | x) = sigmoid(c + 2 x W),    p(x | h) = sigmoid(b + h W^T),
    intermediate:  p(h | x) = sigmoid(c + 2 x W),    p(x | h) = sigmoid(b + 2 h W^T),
    top:           p(h | x) = sigmoid(c + x W),      p(x | h) = sigmoid(b + 2 h W^T).

In the machine the input of a layer comes half from below and half from above; the doubling is in
the place of the missing half. An intermediate layer so doubled is a machine of weights 2 W, halved
when it is put between its neighbours. The machine takes over W and c by name. The bias b of a layer
that is hidden itself (`input`) stays behind: its bias is the c of the stage before.

Salakhutdinov & Hinton, 2009, "Deep Boltzmann machines", section 3.
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import COUNT, require_within
from jaxgen.distributions.observation import Bernoulli
from jaxgen.energy.base import flat
from jaxgen.energy.dbm.model import DBM, fresh_layers, layer_name, up_factor
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@final
@dataclass(frozen=True)
class DBMLayer:
    """A layer of a deep Boltzmann machine in its own stage; those below it stand still.

    Attributes:
      machine: that it is a layer of.
      number: of the layer, the lowest hidden one being 1.
      steps: k, Gibbs sweeps from the data.
    """

    machine: DBM
    number: int
    steps: int = 1

    def __post_init__(self) -> None:
        require_within(1, len(self.machine.hidden), number=self.number)
        require_within(1, COUNT, steps=self.steps)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.machine.shape

    @property
    def observation(self) -> Bernoulli:
        """The kind of the units: binary."""
        return self.machine.observation

    @property
    def frozen(self) -> tuple[str, ...]:
        """The layers below."""
        return tuple(layer_name(number) for number in range(1, self.number))

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'layer_1', ...} up to this layer, with the biases `input`."""
        sizes = self.machine.sizes[: self.number + 1]
        variables = fresh_layers(key, sizes)
        for number in range(2, self.number + 1):
            params = variables[layer_name(number)]["params"]
            params["input"] = jnp.zeros(sizes[number - 1])
        return variables

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("layer", (layer_name(self.number),), self.layer_loss, tx),)

    def layer_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the energy of data less that of the ends of the chains, [].

        It is no likelihood: only its gradient, of the statistics of both, means something.
        """
        data_key, chain_key = jax.random.split(key)
        x = self.inputs(variables, data_key, batch["image"])
        drawn = self.negative(variables, chain_key, x)
        energies = [self._energy(variables, rows).mean() for rows in (x, drawn)]
        return energies[0] - energies[1], ({}, {})

    def inputs(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b l"]:
        """Return what this layer is trained on: draws of the layer below, given examples."""
        below = flat(x)
        for number in range(1, self.number):
            key, draw_key = jax.random.split(key)
            below = _draw(draw_key, self._up(variables, number, below))
        return below

    def negative(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b l"],
    ) -> Float[jax.Array, "b l"]:
        """Return the ends of Gibbs chains from the layer's inputs; constants to the gradient."""

        def sweep(
            x: jax.Array,
            key: Key,
        ) -> tuple[jax.Array, None]:
            up_key, down_key = jax.random.split(key)
            h = _draw(up_key, self._up(variables, self.number, x))
            return _draw(down_key, self._down(variables, self.number, h)), None

        drawn, _ = jax.lax.scan(sweep, jnp.asarray(x), jax.random.split(key, self.steps))
        return jax.lax.stop_gradient(drawn)

    def _energy(
        self,
        variables: Variables,
        x: Float[Array, "b l"],
    ) -> Float[jax.Array, " b"]:
        """Return -b . x - c . h - x W h at the means h of the hidden units, held constant."""
        h = jax.nn.sigmoid(self._up(variables, self.number, x))
        h = jax.lax.stop_gradient(h)
        params = variables[layer_name(self.number)]["params"]
        pairs = ((x @ params["weight"]) * h).sum(axis=-1)
        return -(x @ self._bias_below(params)) - h @ params["hidden"] - pairs

    def _up(
        self,
        variables: Variables,
        number: int,
        x: Array,
    ) -> jax.Array:
        """Return the logits of layer `number` given the one below."""
        params = variables[layer_name(number)]["params"]
        times = up_factor(number, len(self.machine.hidden))
        return jnp.asarray(times * (x @ params["weight"]) + params["hidden"][None])

    def _down(
        self,
        variables: Variables,
        number: int,
        h: Array,
    ) -> jax.Array:
        """Return the logits of the layer below layer `number`."""
        params = variables[layer_name(number)]["params"]
        times = 1 if number == 1 else 2
        return jnp.asarray(times * (h @ params["weight"].T) + self._bias_below(params)[None])

    def _bias_below(self, params: Variables) -> jax.Array:
        """Return the bias of a layer's inputs."""
        return jnp.asarray(params["visible"] if "visible" in params else params["input"])

    def encode(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b h"]:
        """Return the means of this layer in a pass upwards."""
        mean = flat(x)
        for number in range(1, self.number + 1):
            mean = jax.nn.sigmoid(self._up(variables, number, mean))
        return mean

    def decode(
        self,
        variables: Variables,
        z: Float[Array, "... h"],
    ) -> Float[jax.Array, "..."]:
        """Return means of examples in a pass downwards from this layer, [..., *shape]."""
        mean = jnp.asarray(z).reshape(-1, z.shape[-1])
        for number in range(self.number, 0, -1):
            mean = jax.nn.sigmoid(self._down(variables, number, mean))
        return mean.reshape(*z.shape[:-1], *self.shape)

    def reconstruct(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[Array, "b ..."]:
        """Return what a pass up to this layer and down again makes of x."""
        return self.decode(variables, self.encode(variables, x))

    def squared_error(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return the squared error of the reconstruction per example."""
        difference = flat(x) - flat(self.reconstruct(variables, x))
        return jnp.square(difference).sum(axis=-1)


def layers(
    machine: DBM,
    *,
    steps: int = 1,
) -> tuple[DBMLayer, ...]:
    """Return the models of the stages that go before a machine's own, the lowest layer first.

    Args:
      machine: to be pre-trained.
      steps: Gibbs sweeps from the data.
    """
    numbers = range(1, len(machine.hidden) + 1)
    return tuple(DBMLayer(machine, number, steps) for number in numbers)


def _draw(
    key: Key,
    logits: jax.Array,
) -> jax.Array:
    """Return draws of binary units."""
    return Bernoulli().sample(logits[..., None], key)
