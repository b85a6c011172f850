"""WGAN-GP: the Wasserstein game, its critic held to slopes of 1 by a penalty.

    W(p, q) = max over f with |f(x) - f(y)| <= |x - y| of E_p f(x) - E_q f(x).

The critic minimises E_q f - E_p f + lambda E (||grad f(x^)|| - 1)^2 at points x^ evenly between
data and samples, the generator -E_q f. Critic steps are cheap and several go to one of the
generator.

Arjovsky, Chintala & Bottou, 2017, "Wasserstein GAN" (arXiv 1701.07875); Gulrajani et al., 2017,
"Improved training of Wasserstein GANs" (arXiv 1704.00028), algorithm 1: lambda 10 (0.1 for toys),
5 critic steps, Adam of 1e-4 with moments 0.5 and 0.9 (its code). The critic has no batch
normalisation, for its gradient is taken example by example.
"""

from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
from jaxtyping import Float

from jaxgen import losses
from jaxgen.arguments import LARGE, require_positive, require_within
from jaxgen.gan.base import Prior, RealOrFake
from jaxgen.typing import Array, Key


@final
@dataclass(frozen=True)
class WGANGP(RealOrFake):
    """A generator against a critic of slope about 1.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: as in `GAN`.
      discriminator: the critic, as in `GAN`; without batch normalisation.
      weight: lambda of the gradient penalty.
      discriminator_moves: of the critic for each of the generator.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    weight: float = 10.0
    discriminator_moves: int = 5
    prior: Prior = "normal"

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim, discriminator_moves=self.discriminator_moves)
        require_within(0, LARGE, weight=self.weight)

    @property
    def game(self) -> losses.Cost:
        """The Wasserstein distance, estimated and reduced."""
        return losses.COSTS["wasserstein"]

    def penalty(
        self,
        critic: losses.Critic,
        x: Float[Array, "b ..."],
        samples: Float[Array, "b ..."],
        key: Key,
    ) -> jax.Array:
        """Return lambda times the gradient penalty between x and samples."""
        return self.weight * losses.gradient_penalty(critic, x, samples, key)
