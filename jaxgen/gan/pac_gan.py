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
from typing import Any, final

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen import losses
from jaxgen.arguments import require_fraction, require_positive
from jaxgen.errors import ConfigError
from jaxgen.gan.base import Prior, RealOrFake
from jaxgen.typing import Array, Key, Mutated, Variables


@final
@dataclass(frozen=True)
class PacGAN(RealOrFake):
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

    def __post_init__(self) -> None:
        require_positive(
            latent_dim=self.latent_dim,
            pack=self.pack,
            discriminator_moves=self.discriminator_moves,
        )
        require_fraction(smoothing=self.smoothing)
        losses.cost(self.cost, self.smoothing)  # raises

    @property
    def game(self) -> losses.Cost:
        """The costs of both players."""
        return losses.cost(self.cost, self.smoothing)

    def discriminator_inputs(self) -> tuple[jax.Array, ...]:
        """Return two packs, for initialisation."""
        return (packed(jnp.zeros((2 * self.pack, *self.shape)), self.pack),)

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, *given: Array
    ) -> tuple[Any, Mutated]:
        """Return D's outputs on the packs in training mode, and D's new collections."""
        return super().judge(variables, packed(x, self.pack), key, *given)

    def discriminate(self, variables: Variables, x: Float[Array, "b ..."], *given: Array) -> Any:
        """Return D's outputs on the packs, by running statistics and without noise."""
        return super().discriminate(variables, packed(x, self.pack), *given)


def packed(x: Float[Array, "b ..."], pack: int) -> Float[jax.Array, "n ..."]:
    """Put each m examples side by side, [N * m, ..., C] -> [N, ..., m * C].

    Raises:
      ConfigError: m does not divide the batch.
    """
    if x.shape[0] % pack:
        raise ConfigError(f"batch size {x.shape[0]} is not divisible by pack {pack}")
    *space, channels = x.shape[1:]
    groups = x.reshape(-1, pack, *space, channels)  # [N * m, ..., C] -> [N, m, ..., C]
    groups = jnp.moveaxis(groups, 1, -2)  # [N, ..., m, C]
    return groups.reshape(-1, *space, pack * channels)
