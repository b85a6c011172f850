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
left out. Networks are the caller's; `nn.MLPTrunk` has the paper's maxout as `pieces`.
"""

from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
from jaxtyping import Float

from jaxgen import losses
from jaxgen.arguments import LARGE, require_fraction, require_positive, require_within
from jaxgen.gan.base import Prior, RealOrFake
from jaxgen.typing import Array, Batch, Key


@final
@dataclass(frozen=True)
class GAN(RealOrFake):
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

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim, discriminator_moves=self.discriminator_moves)
        require_fraction(smoothing=self.smoothing)
        require_within(0, LARGE, r1=self.r1)
        losses.cost(self.cost, self.smoothing)  # raises

    @property
    def game(self) -> losses.Cost:
        """The costs of both players."""
        return losses.cost(self.cost, self.smoothing)

    def noise_key(self, batch: Batch, own: Key) -> Key:
        """Return the key of a move's samples: the player's own, or the one that both share."""
        return batch["key"] if self.share_samples else own

    def penalty(
        self,
        critic: losses.Critic,
        x: Float[Array, "b ..."],
        samples: Float[Array, "b ..."],
        key: Key,
    ) -> jax.Array | float:
        """Return gamma times the R1 penalty at x; `samples` and `key` are unused."""
        del samples, key
        if not self.r1:
            return 0.0
        return self.r1 * losses.r1_penalty(critic, x)
