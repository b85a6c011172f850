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
from typing import ClassVar

import flax.linen as nn
from jaxtyping import Float

from jaxgen import losses
from jaxgen.gan.gan import GAN, Prior
from jaxgen.nn import require_positive
from jaxgen.ranges import LARGE, require_within
from jaxgen.train import Key, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class WGANGP:
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
    game: ClassVar[losses.Cost] = losses.COSTS["wasserstein"]
    share_samples: ClassVar[bool] = False

    range, init, players = GAN.range, GAN.init, GAN.players
    discriminator_loss, generator_loss = GAN.discriminator_loss, GAN.generator_loss
    noise_key = GAN.noise_key
    generate, judge = GAN.generate, GAN.judge
    latents, decode, logits, sample = GAN.latents, GAN.decode, GAN.logits, GAN.sample

    def __post_init__(self):
        require_positive(latent_dim=self.latent_dim, discriminator_moves=self.discriminator_moves)
        require_within(0, LARGE, weight=self.weight)

    def penalty(
        self, variables: Variables, x: Float[Array, "b ..."], samples: Array, key: Key
    ) -> Array:
        """lambda times the gradient penalty."""
        critic = lambda x: self.judge(variables, x, key)[0]  # noqa: E731
        return self.weight * losses.gradient_penalty(critic, x, samples, key)
