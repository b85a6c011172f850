"""PacGAN: a discriminator that judges several samples of one source at once.

m samples, all real or all fake, lie side by side on the last axis of one input. A generator that
leaves out modes of the data shows too little variety in a pack, and more so the larger m is;
nothing else of the game changes, and m = 1 is the game itself.

Lin, Khetan, Fanti & Oh, 2017, "PacGAN: the power of two samples in generative adversarial networks"
(arXiv 1712.04086), section 2.

*Differs from the paper:* its code adds E softplus(l) of real packs to the generator's cost, which
moves no generator.
"""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen import losses
from jaxgen.errors import ConfigError
from jaxgen.gan.gan import GAN, Prior, init
from jaxgen.nn import require_positive
from jaxgen.ranges import require_fraction
from jaxgen.train import Key, Mutated, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class PacGAN:
    """A generator against a discriminator of packs.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: as in `GAN`.
      discriminator: as in `GAN`, of packs: (x [N, *shape[:-1], pack * shape[-1]], train).
      pack: m.
      cost: as in `GAN`.
      smoothing: as in `GAN`.
      prior: of z, as in `GAN`.
      discriminator_moves: for each of the generator.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    pack: int = 2
    cost: str = "non_saturating"
    smoothing: float = 0.0
    prior: Prior = "normal"
    discriminator_moves: int = 1
    r1: ClassVar[float] = 0.0
    share_samples: ClassVar[bool] = False

    game, range, players = GAN.game, GAN.range, GAN.players
    discriminator_loss, generator_loss = GAN.discriminator_loss, GAN.generator_loss
    noise_key = GAN.noise_key
    generate, penalty = GAN.generate, GAN.penalty
    latents, decode, sample = GAN.latents, GAN.decode, GAN.sample

    def __post_init__(self):
        sizes = {"latent_dim": self.latent_dim, "pack": self.pack}
        require_positive(**sizes, discriminator_moves=self.discriminator_moves)
        require_fraction(smoothing=self.smoothing)
        losses.cost(self.cost, self.smoothing)  # raises

    def init(self, key: Key) -> Variables:
        """Fresh variables {'generator', 'discriminator'}."""
        generator_key, discriminator_key = jax.random.split(key)
        z, x = jnp.zeros((2, self.latent_dim)), jnp.zeros((2 * self.pack, *self.shape))
        return {
            "generator": init(self.generator, generator_key, z),
            "discriminator": init(self.discriminator, discriminator_key, packed(x, self.pack)),
        }

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key
    ) -> tuple[Float[Array, " n"], Mutated]:
        """Logits of the packs in training mode, and D's new collections."""
        return GAN.judge(self, variables, packed(x, self.pack), key)

    def logits(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " n"]:
        """The logits of D on the packs, by running statistics."""
        return GAN.logits(self, variables, packed(x, self.pack))


def packed(x: Float[Array, "b ..."], pack: int) -> Float[Array, "n ..."]:
    """[N * m, ..., C] -> [N, ..., m * C]. Raises ConfigError unless m divides the batch."""
    if x.shape[0] % pack:
        raise ConfigError(f"batch size {x.shape[0]} is not divisible by pack {pack}")
    groups = x.reshape(-1, pack, *x.shape[1:])
    return jnp.moveaxis(groups, 1, -2).reshape(-1, *x.shape[1:-1], pack * x.shape[-1])
