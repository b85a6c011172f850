"""Autoencoders with a latent variable: a decoder, an encoder, and the bounds that they share.

A decoder p(x | z) with a prior p(z) = N(0, I) defines p(x) = E_p(z)[p(x | z)]; an encoder
q(z | x) = N(m(x), diag s(x)^2) proposes z. For draws z_i ~ q(z | x), with importance weights
w_i = p(x, z_i) / q(z_i | x),

    ELBO(x) = E log w_1  <=  L_k(x) = E log (1/k) sum_i w_i  <=  log p(x).

A concrete model is final and brings what is particular: its players, and the loss of each.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.distributions import log_mean_exp, normal_kl, normal_log_prob
from jaxgen.distributions.observation import Observation
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Metrics, Variables


class Terms(NamedTuple):
    """The terms of the ELBO, in nats."""

    log_likelihood: Float[jax.Array, " b"]  # E_q[log p(x | z)]
    kl: Float[jax.Array, "b z"]  # KL(q(z_j | x) || N(0, 1)), per latent dimension


class LatentVariableModel(ABC):
    """A decoder over a prior N(0, I), with an encoder; subclasses are frozen dataclasses, final."""

    shape: tuple[int, ...]
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module

    @property
    @abstractmethod
    def observation(self) -> Observation:
        """The meaning of the decoder's outputs."""

    @abstractmethod
    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns both networks."""

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'encoder', 'decoder'}."""
        encoder_key, decoder_key = jax.random.split(key)
        encoder = self.encoder.init(encoder_key, jnp.zeros((1, *self.shape)))
        decoder = self.decoder.init(decoder_key, jnp.zeros((1, self.latent_dim)))
        return {
            "encoder": kept(self.encoder, encoder),
            "decoder": kept(self.decoder, decoder),
        }

    def terms(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
        num_samples: int = 1,
    ) -> Terms:
        """Return both terms of the ELBO: the KL in closed form, the other from `num_samples` draws.

        Estimator B of Kingma & Welling, 2014.
        """
        mean, log_std = self.posterior(variables, x)
        z = draw(key, mean, log_std, num_samples)
        log_likelihood = self.log_likelihood(variables, x, z)  # [S, B]
        return Terms(log_likelihood.mean(axis=0), normal_kl(mean, log_std))

    def elbo(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
        num_samples: int = 1,
    ) -> Float[jax.Array, " b"]:
        """Return an unbiased estimate of the ELBO per example, in nats."""
        terms = self.terms(variables, x, key, num_samples)
        return terms.log_likelihood - terms.kl.sum(axis=-1)

    def log_weights(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
        num_samples: int,
    ) -> Float[jax.Array, "s b"]:
        """Return log p(x, z) - log q(z | x) for `num_samples` draws z ~ q(z | x)."""
        mean, log_std = self.posterior(variables, x)
        z = draw(key, mean, log_std, num_samples)
        return self.log_weight(variables, x, z, mean, log_std)

    def iwae(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
        num_samples: int = 50,
    ) -> Float[Array, " b"]:
        """Return the importance-weighted bound per example, in nats; see `iwae.py`."""
        weights = self.log_weights(variables, x, key, num_samples)
        return log_mean_exp(weights, axis=0)

    def encode(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b z"]:
        """Return the mean of q(z | x)."""
        mean, _ = self.posterior(variables, x)
        return mean

    def decode(self, variables: Variables, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """Return the mean of p(x | z), [..., *shape]."""
        return self.observation.mean(self.decoder_outputs(variables, z))

    def reconstruct(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
        """Return the decoded encoding of x."""
        return self.decode(variables, self.encode(variables, x))

    def latents(self, key: Key, num: int) -> Float[jax.Array, "b z"]:
        """Return `num` draws from the prior N(0, I)."""
        return jax.random.normal(key, (num, self.latent_dim))

    def log_prior(self, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """Return log N(z; 0, I) in nats."""
        return normal_log_prob(z, jnp.zeros(()), jnp.zeros(())).sum(axis=-1)

    def sample(self, variables: Variables, key: Key, num: int) -> Float[Array, "b ..."]:
        """Return `num` draws from p(x): z from the prior, then x ~ p(x | z)."""
        latent_key, pixel_key = jax.random.split(key)
        z = self.latents(latent_key, num)
        return self.observation.sample(self.decoder_outputs(variables, z), pixel_key)

    def posterior(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """Return the mean and the log standard deviation of q(z | x)."""
        outputs = self.encoder.apply(variables["encoder"], self.observation.normalize(x))
        return cast("tuple[jax.Array, jax.Array]", outputs)

    def decoder_outputs(
        self,
        variables: Variables,
        z: Float[Array, "... z"],
    ) -> Float[jax.Array, "..."]:
        """Return the parameters of p(x | z), [..., *shape, P]."""
        return jnp.asarray(self.decoder.apply(variables["decoder"], z))

    def log_likelihood(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        z: Float[Array, "s b z"],
    ) -> Float[jax.Array, "s b"]:
        """Return log p(x | z), summed over the elements of an example."""
        # Flat arrays: XLA on CPU spends a quarter of a step on the layouts of [S, B, *shape, P].
        num, batch, _ = z.shape
        flat_z = z.reshape(num * batch, -1)  # [S, B, Z] -> [S*B, Z]
        params = self.decoder_outputs(variables, flat_z)
        # [S*B, *shape, P] -> [S, B, D, P]
        params = params.reshape(num, batch, -1, self.observation.num_params)
        flat_x = x.reshape(1, batch, -1)  # [B, *shape] -> [1, B, D]
        return self.observation.log_prob(params, flat_x).sum(axis=-1)

    def log_weight(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        z: Float[Array, "s b z"],
        mean: Float[Array, "b z"],
        log_std: Float[Array, "b z"],
    ) -> Float[jax.Array, "s b"]:
        """Return log p(x, z) - log q(z | x) at given z."""
        prior = self.log_prior(z)
        log_prob_of_draws = jax.vmap(normal_log_prob, in_axes=(0, None, None))  # [S, B, Z]
        posterior = log_prob_of_draws(z, mean, log_std).sum(axis=-1)
        return self.log_likelihood(variables, x, z) + prior - posterior


def draw(
    key: Key,
    mean: Float[Array, "b z"],
    log_std: Float[Array, "b z"],
    num_samples: int,
) -> Float[Array, "s b z"]:
    """Return draws mean + std * epsilon, differentiable in both: the reparameterisation."""
    epsilon = jax.random.normal(key, (num_samples, *mean.shape), mean.dtype)
    std = jnp.exp(log_std)
    return mean[None] + std[None] * epsilon  # [1, B, Z] and [S, B, Z]


def negative_elbo(
    terms: Terms,
    *,
    weight: float | int | Array = 1.0,
    free_bits: float | int = 0.0,
) -> tuple[jax.Array, Metrics]:
    """Return -E[log p(x | z)] + weight sum_j max(free_bits, E[KL_j]), [], and both terms.

    Args:
      terms: of the ELBO, per example; the means are over the batch.
      weight: of the KL term.
      free_bits: nats per latent dimension below which the KL term costs nothing.
    """
    reconstruction = -terms.log_likelihood.mean()
    kl_per_dim = terms.kl.mean(axis=0)  # [Z]
    penalty = jnp.maximum(free_bits, kl_per_dim).sum()
    metrics = {"reconstruction": reconstruction, "kl": kl_per_dim.sum()}
    return reconstruction + weight * penalty, metrics
