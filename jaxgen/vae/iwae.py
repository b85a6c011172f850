"""The importance-weighted autoencoder: a VAE trained on a tighter bound.

With k draws z_i ~ q(z | x) and weights w_i = p(x, z_i) / q(z_i | x),

    L_k(x) = E log (1/k) sum_i w_i,    ELBO = L_1 <= L_k <= L_{k+1} <= log p(x),

and L_k -> log p(x) as k grows if the weights are bounded. The gradient weighs each draw by its
share: sum_i softmax(log w)_i grad log w_i, which is what differentiating logsumexp gives.

Burda, Grosse & Salakhutdinov, 2016, "Importance weighted autoencoders" (arXiv 1509.00519).

*Differs from the paper:* the two-layer model is not here; one stochastic layer is. The paper's
optimiser (Adam with epsilon 1e-4, a learning rate falling in 8 stages) is a setting.
"""

from dataclasses import dataclass
from typing import Any, final

import flax.linen as nn
import jax
import optax

from jaxgen.distributions import log_mean_exp, normal_kl
from jaxgen.distributions.observation import Bernoulli, Observation
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Batch, Key, Metrics, Mutated, Variables
from jaxgen.vae import vae
from jaxgen.vae.base import LatentVariableModel, draw


@final
@dataclass(frozen=True)
class IWAE(LatentVariableModel):
    """A VAE in all but its objective.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      encoder: as in `VAE`.
      decoder: as in `VAE`.
      observation: as in `VAE`.
      num_samples: k in training.
    """

    shape: tuple[int, ...]
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)
    num_samples: int = 50

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ConfigError(f"num_samples: got {self.num_samples}, expected >= 1")

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns both networks."""
        return (Player("iwae", ("encoder", "decoder"), self.iwae_loss, tx),)

    def iwae_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -L_k, mean over the batch, and as metrics both terms of the negative ELBO."""
        mean, log_std = self.posterior(variables, batch["image"])
        z = draw(key, mean, log_std, self.num_samples)
        weights = self.log_weight(variables, batch["image"], z, mean, log_std)  # [k, B]
        kl = normal_kl(mean, log_std).sum(axis=-1).mean()
        metrics = {"reconstruction": -weights.mean() - kl, "kl": kl}
        bound = log_mean_exp(weights, axis=0).mean()
        return -bound, (metrics, {})


def mlp(shape: tuple[int, ...], *, num_samples: int = 50, **networks: Any) -> IWAE:
    """Build an IWAE of two MLPs; the other arguments as in `vae.mlp`."""
    model = vae.mlp(shape, **networks)
    if (model.beta, model.warmup_steps, model.free_bits) != (1.0, 0, 0.0):
        raise ConfigError("IWAE: beta, warmup_steps and free_bits do not apply to its bound")
    return IWAE(
        model.shape, model.latent_dim, model.encoder, model.decoder, model.observation, num_samples
    )
