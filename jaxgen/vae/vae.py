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
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen import distributions
from jaxgen.errors import ConfigError
from jaxgen.nn import require_positive
from jaxgen.observation import Bernoulli, Observation
from jaxgen.ranges import COUNT, LARGE, require_within
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array
from jaxgen.vae.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder


class Terms(NamedTuple):
    """The terms of the ELBO, in nats."""

    log_likelihood: Float[Array, " b"]  # E_q[log p(x | z)]
    kl: Float[Array, "b z"]  # KL(q(z_j | x) || N(0, 1)), per latent dimension


@dataclass(frozen=True)
class VAE:
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

    def __post_init__(self):
        require_within(0, LARGE, beta=self.beta, free_bits=self.free_bits)
        require_within(0, COUNT, warmup_steps=self.warmup_steps)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'encoder', 'decoder'}."""
        encoder_key, decoder_key = jax.random.split(key)
        return {
            "encoder": self.encoder.init(encoder_key, jnp.zeros((1, *self.shape))),
            "decoder": self.decoder.init(decoder_key, jnp.zeros((1, self.latent_dim))),
        }

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player, who owns both networks."""
        return (Player("vae", ("encoder", "decoder"), self.vae_loss, tx),)

    def vae_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """-E[log p(x | z)] + beta_t sum_j max(free_bits, E[KL_j]), means over the batch."""
        terms = self.terms(variables, batch["image"], key)
        reconstruction = -terms.log_likelihood.mean()
        kl_per_dim = terms.kl.mean(axis=0)
        weight = self.beta
        if self.warmup_steps:
            weight = weight * jnp.minimum(1.0, batch["step"] / self.warmup_steps)
        loss = reconstruction + weight * jnp.maximum(self.free_bits, kl_per_dim).sum()
        return loss, ({"reconstruction": reconstruction, "kl": kl_per_dim.sum()}, {})

    def terms(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, num_samples: int = 1
    ) -> Terms:
        """The two terms of the ELBO: the KL in closed form, the rest from `num_samples` draws."""
        mean, log_std = self.posterior(variables, x)
        z = draw(key, mean, log_std, num_samples)
        log_likelihood = self.log_likelihood(variables, x, z).mean(axis=0)
        return Terms(log_likelihood, distributions.normal_kl(mean, log_std))

    def elbo(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, num_samples: int = 1
    ) -> Float[Array, " b"]:
        """An unbiased estimate of the ELBO per example, in nats."""
        terms = self.terms(variables, x, key, num_samples)
        return terms.log_likelihood - terms.kl.sum(axis=-1)

    def log_weights(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, num_samples: int
    ) -> Float[Array, "s b"]:
        """log p(x, z) - log q(z | x) for `num_samples` draws z ~ q(z | x)."""
        mean, log_std = self.posterior(variables, x)
        z = draw(key, mean, log_std, num_samples)
        return self.log_weight(variables, x, z, mean, log_std)

    def iwae(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key, num_samples: int = 50
    ) -> Float[Array, " b"]:
        """The importance-weighted bound per example, in nats; see `iwae.py`."""
        weights = self.log_weights(variables, x, key, num_samples)
        return distributions.log_mean_exp(weights, axis=0)

    def encode(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b z"]:
        """The mean of q(z | x)."""
        return self.posterior(variables, x)[0]

    def decode(self, variables: Variables, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """The mean of p(x | z), [..., *shape]."""
        return self.observation.mean(self.decoder.apply(variables["decoder"], z))

    def reconstruct(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
        """Decodes the encoding of x."""
        return self.decode(variables, self.encode(variables, x))

    def sample(self, variables: Variables, key: Key, num: int) -> Float[Array, "b ..."]:
        """`num` draws from p(x): z ~ N(0, I), then x ~ p(x | z)."""
        latent_key, pixel_key = jax.random.split(key)
        z = jax.random.normal(latent_key, (num, self.latent_dim))
        params = self.decoder.apply(variables["decoder"], z)
        return self.observation.sample(params, pixel_key)

    def posterior(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """Mean and log standard deviation of q(z | x)."""
        return self.encoder.apply(variables["encoder"], self.observation.normalize(x))

    def log_likelihood(
        self, variables: Variables, x: Float[Array, "b ..."], z: Float[Array, "s b z"]
    ) -> Float[Array, "s b"]:
        """log p(x | z), summed over the elements of an example."""
        # Flat arrays: XLA on CPU spends a quarter of a step on the layouts of [S, B, *shape, P].
        num, batch, _ = z.shape
        params = self.decoder.apply(variables["decoder"], z.reshape(num * batch, -1))
        params = params.reshape(num, batch, -1, self.observation.num_params)
        return self.observation.log_prob(params, x.reshape(1, batch, -1)).sum(axis=-1)

    def log_weight(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        z: Float[Array, "s b z"],
        mean: Float[Array, "b z"],
        log_std: Float[Array, "b z"],
    ) -> Float[Array, "s b"]:
        """log p(x, z) - log q(z | x) at given z."""
        prior = distributions.normal_log_prob(z, jnp.zeros(()), jnp.zeros(())).sum(axis=-1)
        posterior = distributions.normal_log_prob(z, mean, log_std).sum(axis=-1)
        return self.log_likelihood(variables, x, z) + prior - posterior


def draw(
    key: Key, mean: Float[Array, "b z"], log_std: Float[Array, "b z"], num_samples: int
) -> Float[Array, "s b z"]:
    """Reparameterised draws: mean + std * epsilon."""
    return mean + jnp.exp(log_std) * jax.random.normal(key, (num_samples, *mean.shape))


def mlp(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 20,
    hidden: tuple[int, ...] = (400,),
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    shared_scale: bool = False,
    activation: str = "tanh",
    dtype: str = "float32",
    **settings: float | int,
) -> VAE:
    """A VAE of two MLPs, the decoder's hidden widths in the reverse order.

    Args:
      shape: of one example.
      latent_dim: Z.
      hidden: widths of the encoder's hidden layers; () makes both networks linear.
      observation: p(x | z).
      shared_scale: one learned scale for all elements, rather than an output for each.
      activation: of the hidden layers.
      dtype: what the networks compute in.
      **settings: `beta`, `warmup_steps`, `free_bits`.
    """
    require_positive(latent_dim=latent_dim, hidden=hidden)
    encoder = MLPEncoder(hidden, latent_dim, activation, dtype)
    decoder = MLPDecoder(
        hidden[::-1], shape, observation.num_params, shared_scale, activation, dtype
    )
    return VAE(shape, latent_dim, encoder, decoder, observation, **settings)


def conv(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 20,
    widths: tuple[int, ...] = (32, 64),
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    activation: str = "elu",
    dtype: str = "float32",
    **settings: float | int,
) -> VAE:
    """A convolutional VAE; each of `widths` halves the sides. Other arguments as in `mlp`."""
    require_positive(latent_dim=latent_dim, widths=widths)
    if len(shape) != 3:
        raise ConfigError(f"a convolutional model is for images [H, W, C], not {list(shape)}")
    encoder = ConvEncoder(widths, latent_dim, activation, dtype)
    decoder = ConvDecoder(
        widths[::-1], shape, observation.num_params, activation=activation, dtype=dtype
    )
    return VAE(shape, latent_dim, encoder, decoder, observation, **settings)
