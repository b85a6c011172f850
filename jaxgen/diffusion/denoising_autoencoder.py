"""The denoising autoencoder: what takes noise away knows the slope of the density.

Noise is added to an example, y = x + sigma n, and a network r learns to undo it,

    minimise  E || r(y) - x ||^2 / sigma^2.

The best r is the mean of what x may have been, E[x | y], and that is where the density rises:

    r(y) = y + sigma^2 grad log p_sigma(y),    p_sigma = p * N(0, sigma^2 I)    (Miyasawa, Tweedie),

so that (r(y) - y) / sigma^2 is a score, and a Langevin chain (`langevin.py`) draws from p_sigma:
the data with their noise. One more r at its end takes the noise away again.

`DenoisingAutoencoder` has any field for a score, and its chain is unadjusted. `DenoisingEnergy` has
an energy E and r(y) = y - sigma^2 grad E(y), so that the chain can be adjusted to draw from
exp(-E) / Z itself.

Vincent, 2011, "A connection between score matching and denoising autoencoders"; Alain & Bengio,
2014, "What regularized auto-encoders learn from the data-generating distribution" (arXiv
1211.4246); Saremi & Hyvarinen, 2019, "Neural empirical Bayes" (arXiv 1903.02334), for the last r.

*Differs from the papers:* r is y and a correction that begins at nothing; an energy is that of
N(0, spread^2 I) and a correction y . f(y) / spread, 0 at y = 0: a constant of an energy, which no
slope knows, is not a parameter.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import COUNT, LARGE, SMALL, require_positive, require_within
from jaxgen.diffusion import langevin, marked
from jaxgen.nn import MLP, Initializer
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@dataclass(frozen=True)
class Denoiser(ABC):
    """A function that takes Gaussian noise away, abstract; concrete ones are frozen and final.

    Attributes:
      shape: of one example, of real numbers.
      network: see the concrete class.
      sigma: of the noise.
      step: e, of a Langevin move.
      moves: of a chain before it is a sample.
      spread: standard deviation of the noise that a chain begins with, about that of the data.
      denoised: the last state is denoised; else samples are those of p_sigma.
    """

    shape: tuple[int, ...]
    network: nn.Module
    sigma: float = 0.3
    step: float = 0.15
    moves: int = 1000
    spread: float = 1.0
    denoised: bool = True

    def __post_init__(self) -> None:
        require_positive(shape=self.shape)
        require_within(SMALL, LARGE, sigma=self.sigma, step=self.step, spread=self.spread)
        require_within(1, COUNT, moves=self.moves)

    @abstractmethod
    def score(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Return grad log p_sigma as the model has it, [B, *shape]."""

    @abstractmethod
    def move(
        self,
        variables: Variables,
        key: Key,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Make one move of chains that draw from p_sigma."""

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'denoiser'}."""
        rows = jnp.zeros((1, *self.shape)).reshape(1, -1)
        return {"denoiser": kept(self.network, self.network.init(key, rows))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("denoiser", ("denoiser",), self.denoiser_loss, tx),)

    def denoiser_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the mean over batch and elements of ((r(y) - x) / sigma)^2; 1 for r(y) = y."""
        return self.denoising_error(variables, batch["image"], key).mean(), ({}, {})

    def denoising_error(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
    ) -> Float[jax.Array, " b"]:
        """Return the mean over elements of ((r(y) - x) / sigma)^2, by one y for each example."""
        x = jnp.asarray(x)
        y = x + self.sigma * jax.random.normal(key, x.shape, x.dtype)
        squares = jnp.square((self.denoise(variables, y) - x) / self.sigma)
        return squares.reshape(len(x), -1).mean(axis=1)

    def denoise(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Return r(y) = y + sigma^2 score(y)."""
        return jnp.asarray(y + self.sigma**2 * self.score(variables, y))

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return the ends of `num` chains from noise, [num, *shape]."""
        return self._states(variables, key, num, (self.moves,))[0]

    def chain(
        self,
        variables: Variables,
        key: Key,
        num: int,
        points: int,
    ) -> Float[jax.Array, "b p ..."]:
        """Return the chains of the samples of that key at `points` times, [num, points, *shape].

        The first is noise and the last the sample.
        """
        marks = marked.even_marks(self.moves, points)
        return jnp.moveaxis(self._states(variables, key, num, marks), 0, 1)

    def _states(
        self,
        variables: Variables,
        key: Key,
        num: int,
        marks: tuple[int, ...],
    ) -> jax.Array:
        """Return chains at some of their times, [P, num, *shape], the last one denoised."""
        start_key, key = jax.random.split(key)
        start = self.spread * jax.random.normal(start_key, (num, *self.shape))

        def move(i: jax.Array, y: jax.Array) -> jax.Array:
            return self.move(variables, jax.random.fold_in(key, i), y)

        found = marked.states(move, start, marks)
        if not self.denoised:
            return found
        return found.at[-1].set(self.denoise(variables, found[-1]))

    def _rows(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> jax.Array:
        """Return the network's outputs for flattened examples, [B, D]."""
        rows = jnp.asarray(y).reshape(len(y), -1)  # [B, *shape] -> [B, D]
        return jnp.asarray(self.network.apply(variables["denoiser"], rows))


@final
@dataclass(frozen=True)
class DenoisingAutoencoder(Denoiser):
    """A denoiser whose network is sigma times the score: [B, D] -> [B, D]."""

    def score(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Return (r(y) - y) / sigma^2."""
        return self._rows(variables, y).reshape(y.shape) / self.sigma

    def move(
        self,
        variables: Variables,
        key: Key,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Make one unadjusted move."""

        def field(y: jax.Array) -> jax.Array:
            return self.score(variables, y)

        return langevin.unadjusted(field, key, y, self.step)


@final
@dataclass(frozen=True)
class DenoisingEnergy(Denoiser):
    """A denoiser with an energy, whose correction is y . network(y): [B, D] -> [B, D]."""

    def energy(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return E(y) in nats: log p_sigma(y) = -E(y) - log Z."""
        rows = jnp.asarray(y).reshape(len(y), -1)
        scaled = rows / self.spread
        of_elements = 0.5 * jnp.square(scaled) + scaled * self._rows(variables, y)
        return of_elements.sum(axis=1)

    def score(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Return -grad E(y)."""
        return self.energy_and_score(variables, y)[1]

    def energy_and_score(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
    ) -> tuple[Float[jax.Array, " b"], Float[jax.Array, "b ..."]]:
        """Return E(y) and -grad E(y)."""

        def of(y: jax.Array) -> jax.Array:
            return self.energy(variables, y)

        energy, pull = jax.vjp(of, jnp.asarray(y))
        (slope,) = pull(jnp.ones_like(energy))  # of examples that do not see each other
        return energy, -slope

    def move(
        self,
        variables: Variables,
        key: Key,
        y: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b ..."]:
        """Make one move of the Metropolis-adjusted chain."""

        def of(y: jax.Array) -> tuple[jax.Array, jax.Array]:
            return self.energy_and_score(variables, y)

        return langevin.adjusted(of, key, y, self.step)[0]


def mlp(
    shape: tuple[int, ...],
    *,
    energy: bool = False,
    hidden: tuple[int, ...] = (128, 128),
    sigma: float = 0.3,
    step: float = 0.15,
    moves: int = 1000,
    spread: float = 1.0,
    denoised: bool = True,
    activation: str = "silu",
    dtype: str = "float32",
) -> DenoisingAutoencoder | DenoisingEnergy:
    """Build a denoiser of dense layers.

    Args:
      shape: of one example.
      energy: it has an energy, and its chain is adjusted.
      hidden: widths of the hidden layers.
      sigma: of the noise, as in `Denoiser`, and so are the following.
      step: of a move.
      moves: of a chain.
      spread: of its beginning.
      denoised: at its end.
      activation: of the hidden layers, a smooth one for an energy.
      dtype: what the network computes in.
    """
    require_positive(hidden=hidden)
    made = DenoisingEnergy if energy else DenoisingAutoencoder
    last = Initializer("normal", 0.0)
    network = MLP(hidden, math.prod(shape), activation, dtype, last)
    return made(shape, network, sigma, step, moves, spread, denoised)
