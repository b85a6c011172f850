"""f-GAN: any f-divergence by its variational bound.

    D_f(p || q) = E_q f(p / q)  >=  F = E_p g(v(x)) - E_z f*(g(v(G(z)))),

where f* is f's convex conjugate and g maps the network's output v to where f* is finite. The bound
is tight at g(v) = f'(p / q). The critic maximises F, the generator minimises it, or maximises
E_z g(v(G(z))), which does for any f what the non-saturating cost does for the original game.

Nowozin, Cseke & Tomioka, 2016, "f-GAN: training generative neural samplers using variational
divergence minimization" (arXiv 1606.00709), tables 2 and 6; algorithm 1 takes both gradients at the
same parameters: order 'simultaneous'.
"""

from dataclasses import dataclass
from functools import partial
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen import losses
from jaxgen.arguments import require_positive
from jaxgen.errors import ConfigError
from jaxgen.gan.base import Prior, RealOrFake
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class FGAN(RealOrFake):
    """A generator against a critic that estimates an f-divergence.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      generator: as in `GAN`.
      discriminator: as in `GAN`; its outputs are v.
      divergence: kl, reverse_kl, pearson, squared_hellinger, jensen_shannon or gan.
      alternative: the generator maximises E g(v), rather than minimise the bound.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    divergence: str = "kl"
    alternative: bool = True
    prior: Prior = "normal"

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim)
        if self.divergence not in losses.F_DIVERGENCES:
            names = ", ".join(losses.F_DIVERGENCES)
            raise ConfigError(f"divergence: got {self.divergence!r}, expected one of {names}")

    @property
    def row(self) -> losses.FDivergence:
        """The divergence's line of the table."""
        return losses.F_DIVERGENCES[self.divergence]

    @property
    def game(self) -> losses.Cost:
        """The costs of both players."""
        discriminator = partial(losses.f_discriminator, self.row)
        if self.alternative:
            generator = partial(losses.f_generator_alternative, self.row)
        else:
            generator = partial(losses.f_generator, self.row)
        return losses.Cost(discriminator, generator)

    def bound(self, variables: Variables, x: Float[Array, "b ..."], key: Key) -> jax.Array:
        """Return F on data and as many samples, []; at most D_f(p || q), in expectation."""
        samples = self.sample(variables, key, len(x))
        real = self.logits(variables, x)
        fake = self.logits(variables, samples)
        return -losses.f_discriminator(self.row, real, fake)

    def says_real(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """Return 1 where the critic's T = g(v) exceeds f'(1), which says p > q, else 0."""
        truth = self.row.activation(self.logits(variables, x))
        return (truth > self.row.threshold).astype(jnp.float32)
