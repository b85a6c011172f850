"""The generative stochastic network: a Markov chain that was trained to undo its own noise.

A chain corrupts an example, x~ ~ C(x~ | x), and draws another one from what a network thinks it
was, x' ~ P(x | x~). If P is the true posterior and the chain can reach everything, it draws from
the data in the end, whatever C is. So only P is learnt, which is nearly a factorised distribution
where C changes little; hidden layers h of the chain remember the rest. Layers 0 (visible), 1, 2,
... have tied weights; a move is

    odd layers from their neighbours, then even ones:  h_i = a(b_i + h_{i-1} W_i + W_{i+1} h_{i+1}),
    p = sigmoid(b_0 + W_1 h_1),    x' ~ Bernoulli(p),    x~ = salt and pepper on x',

with Gaussian noise before and after the activation of the layers above the first. Walkback lets the
chain wander for N moves from an example and asks for it back after each,

    minimise  - sum_{n=1}^N log p_n(x),

which drives away from where the chain goes astray. Nothing flows through the drawn bits.

Bengio, Thibodeau-Laufer, Alain & Yosinski, 2014, "Deep generative stochastic networks trainable by
backprop" (arXiv 1306.1091); Bengio, Yao, Alain & Vincent, 2013, "Generalized denoising
auto-encoders as generative models" (arXiv 1305.6663), algorithm 1.

*Differs from the papers:* a chain of samples begins at fair coins, not at an example.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float

from jaxgen.arguments import COUNT, LARGE, require_positive, require_within
from jaxgen.diffusion import marked
from jaxgen.diffusion.corruption import corrupted
from jaxgen.distributions.functions import bernoulli_log_prob
from jaxgen.distributions.observation import Bernoulli
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

Layers = tuple[jax.Array, ...]  # x~ [B, D], h_1 [B, H_1], ...
_ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}


@final
@dataclass(frozen=True)
class GSN:
    """A generative stochastic network of binary examples.

    Attributes:
      shape: of one example.
      hidden: widths of the layers above the visible one.
      walkbacks: N.
      corruption: the share of elements that salt and pepper replaces by fair coins.
      noise_std: of the noise in the layers above the first hidden one.
      activation: of the hidden layers, 'tanh' or 'sigmoid'.
      moves: of a chain before it is a sample.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (500, 500)
    walkbacks: int = 4
    corruption: float = 0.4
    noise_std: float = 2.0
    activation: str = "tanh"
    moves: int = 200

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden, walkbacks=self.walkbacks)
        require_within(0, 1, corruption=self.corruption)
        require_within(0, LARGE, noise_std=self.noise_std)
        require_within(1, COUNT, moves=self.moves)
        if not self.hidden:
            raise ConfigError("hidden: got (), expected at least one layer")
        if self.activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ConfigError(f"activation: got {self.activation!r}, expected one of {known}")

    @property
    def observation(self) -> Bernoulli:
        """The values of an element."""
        return Bernoulli()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths of all layers, the visible one first."""
        return (math.prod(self.shape), *self.hidden)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'gsn'}: weights uniform in ±sqrt(6 / (in + out)), biases 0."""
        params = {"bias_0": jnp.zeros(self.sizes[0])}
        for i, width in enumerate(self.hidden, start=1):
            below = self.sizes[i - 1]
            bound = math.sqrt(6 / (below + width))
            own = jax.random.fold_in(key, i)
            weight = jax.random.uniform(own, (below, width), minval=-bound, maxval=bound)
            params |= {f"weight_{i}": weight, f"bias_{i}": jnp.zeros(width)}
        return {"gsn": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("gsn", ("gsn",), self.gsn_loss, tx),)

    def gsn_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return - sum_n log p_n(x) in nats, mean over the batch."""
        x = self._flat(batch["image"])
        logits = self.walk(variables, key, x, self.walkbacks)
        log_prob = bernoulli_log_prob(x[None], logits)  # [N, B, D]
        return -log_prob.sum(axis=(0, 2)).mean(), ({}, {})

    def denoising_error(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
    ) -> Float[jax.Array, " b"]:
        """Return - log p_1(x) / D, by one corrupted copy of each example."""
        flat = self._flat(x)
        logits = self.walk(variables, key, flat, 1)[0]
        return -bernoulli_log_prob(flat, logits).mean(axis=1)

    def walk(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b d"],
        moves: int,
    ) -> Float[jax.Array, "n b d"]:
        """Return the logits of p after each of so many moves from x, flat."""
        start_key, key = jax.random.split(key)
        layers = self.started(start_key, x)
        found = []
        for number in range(moves):
            layers, logits = self.move(variables, jax.random.fold_in(key, number), layers)
            found.append(logits)
        return jnp.stack(found)

    def started(
        self,
        key: Key,
        x: Float[Array, "b d"],
    ) -> Layers:
        """Return the layers of chains that begin at x: x corrupted, and hidden zeros."""
        visible = corrupted(key, x, self.corruption)
        return (visible, *(jnp.zeros((len(x), width), visible.dtype) for width in self.hidden))

    def move(
        self,
        variables: Variables,
        key: Key,
        layers: Layers,
        held: Callable[[jax.Array], jax.Array] | None = None,
    ) -> tuple[Layers, Float[jax.Array, "b d"]]:
        """Make one move; return the layers and the logits of p.

        Args:
          variables: of the model.
          key: of the noise.
          layers: the corrupted x [B, D] and the hidden layers.
          held: applied to the drawn x, to hold some of it.
        """
        bit_key, corruption_key, noise_key = jax.random.split(key, 3)
        new, logits = self.updated(variables, noise_key, layers)
        drawn = jax.random.bernoulli(bit_key, jax.nn.sigmoid(logits)).astype(logits.dtype)
        drawn = held(drawn) if held else drawn
        return (corrupted(corruption_key, drawn, self.corruption), *new[1:]), logits

    def updated(
        self,
        variables: Variables,
        key: Key,
        layers: Layers,
    ) -> tuple[Layers, Float[jax.Array, "b d"]]:
        """Update the odd layers, then the even ones; return all, and the logits of the visible."""
        new = list(layers)
        num = len(layers)
        for i in (*range(1, num, 2), *range(2, num, 2)):
            new[i] = self._hidden(i, self._inputs(variables, new, i), jax.random.fold_in(key, i))
        return tuple(new), self._inputs(variables, new, 0)

    def _inputs(
        self,
        variables: Variables,
        layers: list[jax.Array],
        i: int,
    ) -> jax.Array:
        """Return what layer i is told by its neighbours, [B, size]."""
        params = variables["gsn"]["params"]
        total = jnp.asarray(params[f"bias_{i}"])[None]
        if i > 0:
            total = total + layers[i - 1] @ params[f"weight_{i}"]
        if i + 1 < len(layers):
            total = total + layers[i + 1] @ params[f"weight_{i + 1}"].T
        return total

    def _hidden(
        self,
        i: int,
        inputs: jax.Array,
        key: Key,
    ) -> jax.Array:
        """Return the units of hidden layer i, with noise before and after but for the first."""
        activation = _ACTIVATIONS[self.activation]
        if i == 1 or not self.noise_std:
            return jnp.asarray(activation(inputs))
        before, after = self.noise_std * jax.random.normal(key, (2, *inputs.shape), inputs.dtype)
        return jnp.asarray(activation(inputs + before) + after)

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return the ends of `num` chains from fair coins, [num, *shape]."""
        chain_key, bit_key = jax.random.split(key)
        means = self._means(variables, chain_key, num, (self.moves,))[0]
        drawn = jax.random.bernoulli(bit_key, means).astype(means.dtype)
        return drawn.reshape(num, *self.shape)

    def chain(
        self,
        variables: Variables,
        key: Key,
        num: int,
        points: int,
    ) -> Float[jax.Array, "b p ..."]:
        """Return the means p of the chains of that key's samples, [num, points, *shape].

        The first are halves, those of the coins; the samples are draws from the last.
        """
        chain_key, _ = jax.random.split(key)
        means = self._means(variables, chain_key, num, marked.even_marks(self.moves, points))
        return jnp.moveaxis(means, 0, 1).reshape(num, points, *self.shape)

    def complete(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
        mask: Bool[Array, "..."],
    ) -> Float[jax.Array, "b ..."]:
        """Fill in what is unknown by the chain with the known elements held.

        Args:
          variables: of the model.
          key: of the draws.
          x: [B, *shape]; its values where `mask` is False do not matter.
          mask: [*shape] or [B, *shape], True where x is known; the result is equal to x there.
        """
        chain_key, bit_key = jax.random.split(key)
        known = self._flat(jnp.broadcast_to(mask, x.shape))
        given = self._flat(x)

        def held(drawn: jax.Array) -> jax.Array:
            return jnp.where(known, given.astype(drawn.dtype), drawn)

        means = self._means(variables, chain_key, len(x), (self.moves,), held)[0]
        drawn = jax.random.bernoulli(bit_key, means).astype(means.dtype)
        return held(drawn).reshape(x.shape)

    def _means(
        self,
        variables: Variables,
        key: Key,
        num: int,
        marks: tuple[int, ...],
        held: Callable[[jax.Array], jax.Array] | None = None,
    ) -> jax.Array:
        """Return p at some times of chains from fair coins, [P, num, D]."""
        coin_key, start_key, key = jax.random.split(key, 3)
        half = jnp.full((num, self.sizes[0]), 0.5)
        coins = jax.random.bernoulli(coin_key, half).astype(half.dtype)
        layers = self.started(start_key, held(coins) if held else coins)

        def move(i: jax.Array, state: tuple[Layers, jax.Array]) -> tuple[Layers, jax.Array]:
            layers, logits = self.move(variables, jax.random.fold_in(key, i), state[0], held)
            return layers, jax.nn.sigmoid(logits)

        return marked.states(move, (layers, half), marks)[1]

    def _flat(self, x: Array) -> jax.Array:
        """Return examples as rows, [B, D]."""
        return jnp.asarray(x).reshape(len(x), -1)
