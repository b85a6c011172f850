"""The generative adversarial net: any cost of `losses.py`, any pair of networks.

A generator G turns noise z into samples, a discriminator D tells them from data:

    min over G, max over D of   E_p log D(x) + E_z log(1 - D(G(z))).

Each player minimises a cost of its own in its own parameters; for the game above the
discriminator's optimum is p / (p + q), and the value there 2 JSD(p, q) - log 4. By default the
generator plays the non-saturating cost -E_z log D(G(z)), whose gradient does not vanish where D
wins.

Goodfellow et al., 2014, "Generative adversarial nets" (arXiv 1406.2661), algorithm 1. The order of
the moves is the experiment's: simultaneous (the 2016 tutorial's advice, arXiv 1701.00160, section
5.1) or alternating, where the generator sees the discriminator's move.

*Differs from the paper:* in its algorithm k moves of D use k minibatches within one step; here one
step is one minibatch, and the generator moves on every k-th. The factors 1/2 of the tutorial are
left out. Networks are the caller's; `networks.MLPTrunk` has the paper's maxout as `pieces`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen import losses
from jaxgen.nn import require_positive
from jaxgen.ranges import LARGE, require_fraction, require_within
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array

Prior = Literal["normal", "uniform"]


@dataclass(frozen=True)
class GAN:
    """A generator against a discriminator.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: (z [B, Z], train) -> x [B, *shape]; its `range` is where x lies.
      discriminator: (x, train) -> (logits [B], features [B, F]).
      cost: a name of `losses.cost`.
      smoothing: real targets are 1 - smoothing.
      prior: of z: N(0, I), or uniform on [-1, 1].
      r1: gamma, the weight of `losses.r1_penalty`.
      discriminator_moves: for each of the generator.
      share_samples: both players see the same noise in a step, as in PyTorch's example; if the
        discriminator moves first, the samples are then computed once.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    cost: str = "non_saturating"
    smoothing: float = 0.0
    prior: Prior = "normal"
    r1: float = 0.0
    discriminator_moves: int = 1
    share_samples: bool = False

    def __post_init__(self):
        require_positive(latent_dim=self.latent_dim, discriminator_moves=self.discriminator_moves)
        require_fraction(smoothing=self.smoothing)
        require_within(0, LARGE, r1=self.r1)
        losses.cost(self.cost, self.smoothing)  # raises

    @property
    def game(self) -> losses.Cost:
        """The costs of both."""
        return losses.cost(self.cost, self.smoothing)

    @property
    def range(self) -> tuple[float, float]:
        """Where samples lie."""
        return self.generator.range

    def init(self, key: Key) -> Variables:
        """Fresh variables {'generator', 'discriminator'}."""
        generator_key, discriminator_key = jax.random.split(key)
        z, x = jnp.zeros((2, self.latent_dim)), jnp.zeros((2, *self.shape))
        return {
            "generator": init(self.generator, generator_key, z),
            "discriminator": init(self.discriminator, discriminator_key, x),
        }

    def players(
        self,
        discriminator: optax.GradientTransformation,
        generator: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """The discriminator moves first."""
        every = self.discriminator_moves
        return (
            Player("discriminator", ("discriminator",), self.discriminator_loss, discriminator),
            Player("generator", ("generator",), self.generator_loss, generator, every),
        )

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key, *, samples: Array | None = None
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The cost of D, from separate passes of real and fake; the real one's statistics stay.

        Samples are drawn unless they are given.
        """
        x, (fake_key, real_key, judge_key) = batch["image"], jax.random.split(key, 3)
        judge_key, penalty_key = jax.random.split(judge_key)
        if samples is None:
            samples, _ = self.generate(variables, self.noise_key(batch, fake_key), len(x))
        real, mutated = self.judge(variables, x, real_key)
        fake, _ = self.judge(variables, samples, judge_key)
        penalty = self.penalty(variables, x, samples, penalty_key)
        loss = self.game.discriminator(real, fake) + penalty
        return loss, (verdicts(real, fake), {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The cost of G; its own statistics move along, those of D do not."""
        fake_key, _, judge_key = jax.random.split(key, 3)
        fake_key, num = self.noise_key(batch, fake_key), len(batch["image"])
        fake, mutated = self.generate(variables, fake_key, num)
        logits, _ = self.judge(variables, fake, judge_key)
        return self.game.generator(logits), ({}, {"generator": mutated})

    def noise_key(self, batch: Batch, own: Key) -> Key:
        """Of a move's samples: the player's own, or the one that the players share."""
        return batch["key"] if self.share_samples else own

    def penalty(
        self, variables: Variables, x: Float[Array, "b ..."], samples: Array, key: Key
    ) -> Array | float:
        """gamma times R1; samples are of no account."""
        if not self.r1:
            return 0.0
        critic = lambda x: self.judge(variables, x, key)[0]  # noqa: E731
        return self.r1 * losses.r1_penalty(critic, x)

    def generate(
        self, variables: Variables, key: Key, num: int
    ) -> tuple[Float[Array, "b ..."], Mutated]:
        """`num` samples in training mode, and G's new collections."""
        z_key, noise_key = jax.random.split(key)
        z = self.latents(z_key, num)
        return train_pass(self.generator, variables["generator"], z, key=noise_key)

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key
    ) -> tuple[Float[Array, " b"], Mutated]:
        """Logits in training mode, and D's new collections."""
        (logits, _), mutated = train_pass(
            self.discriminator, variables["discriminator"], x, key=key
        )
        return logits, mutated

    def latents(self, key: Key, num: int) -> Float[Array, "b z"]:
        """`num` draws from the prior."""
        return draw_latents(key, num, self.latent_dim, self.prior)

    def decode(self, variables: Variables, z: Float[Array, "b z"]) -> Float[Array, "b ..."]:
        """G(z), each sample apart from the others: running statistics, no noise."""
        return self.generator.apply(variables["generator"], z, train=False)

    def logits(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """The logits of D, by running statistics and without noise."""
        return self.discriminator.apply(variables["discriminator"], x, train=False)[0]

    def sample(self, variables: Variables, key: Key, num: int) -> Float[Array, "b ..."]:
        """`num` draws: G of the prior."""
        return self.decode(variables, self.latents(key, num))


def draw_latents(key: Key, num: int, dim: int, prior: Prior) -> Float[Array, "b z"]:
    """`num` draws of z."""
    if prior == "uniform":
        return jax.random.uniform(key, (num, dim), minval=-1.0, maxval=1.0)
    return jax.random.normal(key, (num, dim))


def init(network: nn.Module, key: Key, *inputs: Array) -> dict[str, Any]:
    """Fresh variables of a network that takes `train`."""
    params_key, noise_key = jax.random.split(key)
    return network.init({"params": params_key, "noise": noise_key}, *inputs, train=False)


def train_pass(
    network: nn.Module, variables: Any, *inputs: Array, key: Key
) -> tuple[Any, dict[str, Any]]:
    """A network's outputs in training mode, and new values of all it has but parameters."""
    collections = [name for name in variables if name != "params"]
    outputs, mutated = network.apply(
        variables, *inputs, train=True, mutable=collections, rngs={"noise": key}
    )
    return outputs, dict(mutated)


def verdicts(real: Array, fake: Array) -> Metrics:
    """What D thinks of data and of samples, as probabilities of being real."""
    return {"real": jax.nn.sigmoid(real).mean(), "fake": jax.nn.sigmoid(fake).mean()}
