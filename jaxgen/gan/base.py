"""The game of a generator and a discriminator, of which every adversarial model is an instance.

G turns noise z into samples, D judges data and samples; each player minimises a cost of its own in
the parameters of its own network. Two abstract bases:

    Adversarial    G and the prior of z, passes through both networks, the two players; a concrete
                   model brings its two losses
    RealOrFake     an Adversarial whose D gives each example one logit; the losses follow from a
                   pair of costs of these logits, `game`, and a penalty

Concrete models are frozen dataclasses, final, and hold what sets them apart.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.gan import advantage
from jaxgen.losses import Cost, Critic
from jaxgen.nn import evaluation_pass, init_variables, train_pass
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

Prior = Literal["normal", "uniform"]


class Adversarial(ABC):
    """A generator against a discriminator.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: (z [B, Z], train) -> x [B, *shape]; its `range` is where x lies.
      discriminator: (x, train) -> (logits, features [B, F]).
      prior: of z: N(0, I), or uniform on [-1, 1].
      discriminator_moves: for each of the generator.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    prior: Prior
    discriminator_moves: int = 1

    @abstractmethod
    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of D, its metrics, and D's new collections."""

    @abstractmethod
    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of G, its metrics, and G's new collections; D's stay as they are."""

    @abstractmethod
    def verdicts(self, real: Array, fake: Array) -> Metrics:
        """Return D's `advantage` from its outputs for data and samples, in the game's own unit.

        {} of a game that knows none; other numbers may stand beside it.
        """

    @property
    @abstractmethod
    def largest_advantage(self) -> float:
        """The advantage of a D that has won; infinite where there is no bound."""

    @property
    def range(self) -> tuple[float, float]:
        """The bounds of samples."""
        return self.generator.range

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'generator', 'discriminator'}."""
        generator_key, discriminator_key = jax.random.split(key)
        z = self.generator_inputs()
        x = self.discriminator_inputs()
        return {
            "generator": init_variables(self.generator, generator_key, *z),
            "discriminator": init_variables(self.discriminator, discriminator_key, *x),
        }

    def generator_inputs(self) -> tuple[jax.Array, ...]:
        """Return inputs of G in their shapes, for initialisation."""
        return (jnp.zeros((2, self.latent_dim)),)

    def discriminator_inputs(self) -> tuple[jax.Array, ...]:
        """Return inputs of D in their shapes, for initialisation."""
        return (jnp.zeros((2, *self.shape)),)

    def players(
        self,
        discriminator: optax.GradientTransformation,
        generator: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """Return the two players; the discriminator moves first."""
        every = self.discriminator_moves
        return (
            Player("discriminator", ("discriminator",), self.discriminator_loss, discriminator),
            Player("generator", ("generator",), self.generator_loss, generator, every),
        )

    def generate(
        self, variables: Variables, key: Key, num: int, *given: Array
    ) -> tuple[Float[Array, "b ..."], Mutated]:
        """Return `num` samples in training mode, and G's new collections.

        Args:
          variables: of both networks.
          key: of z and of the network's own noise.
          num: of samples.
          *given: what G is given beside z, [num, ...] each.
        """
        z_key, noise_key = jax.random.split(key)
        z = self.latents(z_key, num)
        return train_pass(self.generator, variables["generator"], z, *given, key=noise_key)

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, *given: Array
    ) -> tuple[Any, Mutated]:
        """Return D's outputs in training mode, (logits, features), and D's new collections."""
        return train_pass(self.discriminator, variables["discriminator"], x, *given, key=key)

    def discriminate(self, variables: Variables, x: Float[Array, "b ..."], *given: Array) -> Any:
        """Return D's outputs, (logits, features), by running statistics and without noise."""
        return evaluation_pass(self.discriminator, variables["discriminator"], x, *given)

    def outputs(self, variables: Variables, x: Float[Array, "b ..."], **conditions: Array) -> Array:
        """Return D's outputs as `verdicts` takes them, by running statistics and without noise."""
        outputs, _ = self.discriminate(variables, x, *conditions.values())
        return outputs

    def latents(self, key: Key, num: int) -> Float[Array, "b z"]:
        """Return `num` draws from the prior, [num, Z]."""
        shape = (num, self.latent_dim)
        if self.prior == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.normal(key, shape)

    def decode(self, variables: Variables, z: Float[Array, "b z"]) -> Float[Array, "b ..."]:
        """Return G(z), each sample apart from the others: running statistics, no noise."""
        return evaluation_pass(self.generator, variables["generator"], z)

    def sample(self, variables: Variables, key: Key, num: int) -> Float[Array, "b ..."]:
        """Return `num` draws: G of the prior, [num, *shape]."""
        return self.decode(variables, self.latents(key, num))


class RealOrFake(Adversarial):
    """A generator against a discriminator of one logit, high for data and low for samples."""

    @property
    @abstractmethod
    def game(self) -> Cost:
        """The costs of both players."""

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key, *, samples: Array | None = None
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of D and its penalty; samples are drawn unless they are given.

        Real and fake pass D apart, for each has batch statistics of its own; the real ones stay.
        """
        x = batch["image"]
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        judge_key, penalty_key = jax.random.split(judge_key)
        if samples is None:
            samples, _ = self.generate(variables, self.noise_key(batch, fake_key), len(x))
        (real, _), mutated = self.judge(variables, x, real_key)
        (fake, _), _ = self.judge(variables, samples, judge_key)

        def critic(points: Array) -> Array:
            (logits, _), _ = self.judge(variables, points, penalty_key)
            return logits

        penalty = self.penalty(critic, x, samples, penalty_key)
        loss = self.game.discriminator(real, fake) + penalty
        return loss, (self.verdicts(real, fake), {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of G; its own statistics move along, those of D do not."""
        fake_key, _, judge_key = jax.random.split(key, 3)
        noise_key = self.noise_key(batch, fake_key)
        samples, mutated = self.generate(variables, noise_key, len(batch["image"]))
        # D's new statistics are dropped: they are moved by data alone.
        (logits, _), _ = self.judge(variables, samples, judge_key)
        return self.game.generator(logits), ({}, {"generator": mutated})

    def verdicts(self, real: Array, fake: Array) -> Metrics:
        """Return the advantage in the unit of `game`, and the probabilities where D says any."""
        return advantage.verdicts(self.game, real, fake)

    @property
    def largest_advantage(self) -> float:
        """The most that the advantage can be."""
        return advantage.largest(self.game)

    def outputs(self, variables: Variables, x: Float[Array, "b ..."], **conditions: Array) -> Array:
        """Return the logits."""
        return self.logits(variables, x, **conditions)

    def noise_key(self, batch: Batch, own: Key) -> Key:
        """Return the key of a move's samples: the player's own."""
        del batch
        return own

    def penalty(
        self,
        critic: Critic,
        x: Float[Array, "b ..."],
        samples: Float[Array, "b ..."],
        key: Key,
    ) -> jax.Array | float:
        """Return what D pays besides its cost: nothing, unless a model says otherwise.

        Args:
          critic: x -> logits of D in training mode.
          x: data.
          samples: as many of G.
          key: of random points.
        """
        del critic, x, samples, key
        return 0.0

    def logits(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " n"]:
        """Return the logits of D, by running statistics and without noise."""
        logits, _ = self.discriminate(variables, x)
        return logits
