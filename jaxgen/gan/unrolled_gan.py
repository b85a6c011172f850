"""Unrolled GAN: the generator looks ahead at the discriminator's next k moves.

    theta_D^0 = theta_D, theta_D^{i+1} = theta_D^i + its optimiser's step on V(theta_G, theta_D^i),
    theta_G minimises V(theta_G, theta_D^k(theta_G, theta_D)),

with the total derivative: through V, and through all k moves, the moments of Adam included. That
second term, how the discriminator would answer, is the method; without it this is k = 0 with a
better discriminator. The unrolled moves start from the discriminator's live optimiser state, use
the same minibatch, and are forgotten: the discriminator itself takes one ordinary step.

Metz, Poole, Pfau & Sohl-Dickstein, 2016, "Unrolled generative adversarial networks" (arXiv
1611.02163), equations 7 to 10; both move at once: order 'simultaneous'.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import flax.linen as nn
import jax
import optax

from jaxgen import losses
from jaxgen.arguments import require_positive
from jaxgen.errors import ConfigError
from jaxgen.gan.base import Prior, RealOrFake
from jaxgen.step import Player, TrainState, update
from jaxgen.typing import Batch, Key, Metrics, Mutated, Variables


@final
@dataclass(frozen=True)
class UnrolledGAN(RealOrFake):
    """A generator that foresees the discriminator.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: as in `GAN`.
      discriminator: as in `GAN`.
      unrolled: k; 0 is `GAN` itself.
      cost: as in `GAN`; the paper's game is minimax.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    unrolled: int = 5
    cost: str = "minimax"
    prior: Prior = "normal"

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim)
        if self.unrolled < 0:
            raise ConfigError(f"unrolled: got {self.unrolled}, expected >= 0")
        losses.cost(self.cost)  # raises

    @property
    def game(self) -> losses.Cost:
        """The costs of both players."""
        return losses.cost(self.cost)

    def players(
        self,
        discriminator: optax.GradientTransformation,
        generator: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """Return the two players; the generator's loss knows the discriminator's whole move."""
        opponent = Player(
            "discriminator", ("discriminator",), self.discriminator_loss, discriminator
        )
        loss = partial(self.generator_loss, opponent=opponent)
        return (opponent, Player("generator", ("generator",), loss, generator))

    def generator_loss(  # type: ignore[override]  # `players` binds the opponent
        self, variables: Variables, batch: Batch, key: Key, *, opponent: Player
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of G before the discriminator as it would be k moves from here.

        All moves see the same samples, so that G is passed once in each direction.
        """
        fake_key, _, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(batch["image"]))
        foreseen = replace(opponent, loss=partial(self.discriminator_loss, samples=samples))

        def move(state: TrainState, _: None) -> tuple[TrainState, None]:
            state, _metrics = update(foreseen, state, batch, key)
            return state, None

        # theta_D^0 and its optimiser's live state: equations 7 and 8
        now = TrainState(batch["step"], key, variables, batch["opt_state"])
        ahead, _ = jax.lax.scan(move, now, length=self.unrolled)
        (logits, _), _ = self.judge(ahead.variables, samples, judge_key)
        return self.game.generator(logits), ({}, {"generator": mutated})
