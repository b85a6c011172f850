"""The variational autoencoder.

A decoder p(x | z) with a prior p(z) = N(0, I) defines p(x) = E_p(z)[p(x | z)], which is
intractable. An encoder q(z | x) = N(m(x), diag s(x)^2) gives a lower bound that is not:

    log p(x) >= ELBO(x) = E_q(z|x)[log p(x | z)] - KL(q(z | x) || p(z)),

with a gap of exactly KL(q(z | x) || p(z | x)). Drawing z = m + s * epsilon, epsilon ~ N(0, I),
makes the expectation differentiable in the encoder.

Kingma & Welling, 2014, "Auto-encoding variational Bayes" (arXiv 1312.6114), algorithm 1 with
estimator B; Rezende et al., 2014. Weight of the KL term: Higgins et al., 2017, "beta-VAE". Warm-up:
Sønderby et al., 2016, "Ladder variational autoencoders" (arXiv 1602.02282). Free bits: Kingma et
al., 2016 (arXiv 1606.04934): per latent dimension max(lambda, batch mean of its KL).

*Differs from the paper:* Adam for Adagrad, and no N(0, I) prior over the parameters; both are
settings of the optimiser here.
"""

from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgen.arguments import COUNT, LARGE, require_positive, require_within
from jaxgen.distributions.observation import Bernoulli, Observation
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables
from jaxgen.vae.base import LatentVariableModel, negative_elbo
from jaxgen.vae.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder


@final
@dataclass(frozen=True)
class VAE(LatentVariableModel):
    """A variational autoencoder.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      encoder: x [B, *shape] -> mean and log std of q(z | x), [B, Z] each.
      decoder: z [..., Z] -> parameters of p(x | z), [..., *shape, P].
      observation: what the parameters mean.
      beta: weight of the KL term in the loss. `elbo` always has weight 1.
      warmup_steps: the weight rises linearly from 0 over this many steps.
      free_bits: nats per latent dimension below which the KL term costs nothing.
    """

    shape: tuple[int, ...]
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)
    beta: float = 1.0
    warmup_steps: int = 0
    free_bits: float = 0.0

    def __post_init__(self) -> None:
        require_within(0, LARGE, beta=self.beta, free_bits=self.free_bits)
        require_within(0, COUNT, warmup_steps=self.warmup_steps)

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns both networks."""
        return (Player("vae", ("encoder", "decoder"), self.vae_loss, tx),)

    def vae_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -E[log p(x | z)] + beta_t sum_j max(free_bits, E[KL_j]), means over the batch."""
        terms = self.terms(variables, batch["image"], key)
        weight: float | Array = self.beta
        if self.warmup_steps:
            weight = weight * jnp.minimum(1.0, batch["step"] / self.warmup_steps)
        loss, metrics = negative_elbo(terms, weight=weight, free_bits=self.free_bits)
        return loss, (metrics, {})


def mlp(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 20,
    hidden: tuple[int, ...] = (400,),
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    shared_scale: bool = False,
    activation: str = "tanh",
    dtype: str = "float32",
    beta: float = 1.0,
    warmup_steps: int = 0,
    free_bits: float = 0.0,
) -> VAE:
    """Build a VAE of two MLPs, the decoder's hidden widths in the reverse order.

    Args:
      shape: of one example.
      latent_dim: Z.
      hidden: widths of the encoder's hidden layers; () makes both networks linear.
      observation: p(x | z).
      shared_scale: one learned scale for all elements, rather than an output for each.
      activation: of the hidden layers.
      dtype: what the networks compute in.
      beta: as in `VAE`.
      warmup_steps: as in `VAE`.
      free_bits: as in `VAE`.
    """
    require_positive(latent_dim=latent_dim, hidden=hidden)
    encoder = MLPEncoder(hidden, latent_dim, activation, dtype)
    decoder = MLPDecoder(
        hidden[::-1], shape, observation.num_params, shared_scale, activation, dtype
    )
    return VAE(shape, latent_dim, encoder, decoder, observation, beta, warmup_steps, free_bits)


def conv(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 20,
    widths: tuple[int, ...] = (32, 64),
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    activation: str = "elu",
    dtype: str = "float32",
    beta: float = 1.0,
    warmup_steps: int = 0,
    free_bits: float = 0.0,
) -> VAE:
    """Build a convolutional VAE; each of `widths` halves the sides, the others are as in `mlp`."""
    require_positive(latent_dim=latent_dim, widths=widths)
    if len(shape) != 3:
        raise ConfigError(f"a convolutional model is for images [H, W, C], not {list(shape)}")
    height, width, channels = shape
    encoder = ConvEncoder(widths, latent_dim, activation, dtype)
    decoder = ConvDecoder(
        widths[::-1],
        (height, width, channels),
        observation.num_params,
        activation=activation,
        dtype=dtype,
    )
    return VAE(shape, latent_dim, encoder, decoder, observation, beta, warmup_steps, free_bits)
