"""A tiny class-conditional VAE: a bound of log p(x | label), whose methods want the label."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.distributions import log_mean_exp, normal_kl, normal_log_prob
from jaxgen.distributions.observation import Bernoulli
from jaxgen.nn import MLP
from jaxgen.step import Player
from jaxgen.vae.base import LatentVariableModel, Terms, draw, negative_elbo


@dataclass(frozen=True)
class LabelledVAE(LatentVariableModel):
    """A VAE that is given the class, and does not say how many there are."""

    shape: tuple[int, ...] = (2, 2)
    latent_dim: int = 2
    kinds: int = 3
    encoder: MLP = MLP((3,), 4)  # noqa: RUF009 (frozen)
    decoder: MLP = MLP((3,), 4)  # noqa: RUF009 (frozen)

    @property
    def given(self):
        """The class."""
        return ("label",)

    @property
    def observation(self):
        """Binary elements."""
        return Bernoulli()

    def init(self, key):
        """Fresh variables of both networks, each with the label as further inputs."""
        encoder_key, decoder_key = jax.random.split(key)
        x = jnp.zeros((1, math.prod(self.shape) + self.kinds))
        z = jnp.zeros((1, self.latent_dim + self.kinds))
        return {
            "encoder": self.encoder.init(encoder_key, x),
            "decoder": self.decoder.init(decoder_key, z),
        }

    def players(self, tx):
        """One player."""
        return (Player("vae", ("encoder", "decoder"), self.vae_loss, tx),)

    def vae_loss(self, variables, batch, key):
        """The negative bound."""
        terms = self.terms(variables, batch["image"], key, label=batch["label"])
        loss, metrics = negative_elbo(terms)
        return loss, (metrics, {})

    def posterior(self, variables, x, *, label):
        """Mean and log std of q(z | x, label)."""
        inputs = self._beside(x.reshape(len(x), -1), label)
        outputs = self.encoder.apply(variables["encoder"], inputs)
        return tuple(jnp.split(outputs, 2, axis=-1))

    def decoder_outputs(self, variables, z, *, label):
        """Parameters of p(x | z, label), [..., B, *shape, 1]."""
        outputs = self.decoder.apply(variables["decoder"], self._beside(z, label))
        return outputs.reshape(*z.shape[:-1], *self.shape, 1)

    def log_likelihood(self, variables, x, z, *, label):
        """log p(x | z, label), [S, B]."""
        params = self.decoder_outputs(variables, z, label=label)
        log_prob = self.observation.log_prob(params, x[None])  # [S, B, *shape]
        return log_prob.reshape(*z.shape[:2], -1).sum(axis=-1)

    def log_weight(self, variables, x, z, mean, log_std, *, label):
        """log p(x, z | label) - log q(z | x, label), [S, B]."""
        zero = jnp.zeros(())
        prior = normal_log_prob(z, zero, zero).sum(axis=-1)
        posterior = normal_log_prob(z, mean[None], log_std[None]).sum(axis=-1)
        return self.log_likelihood(variables, x, z, label=label) + prior - posterior

    def log_weights(self, variables, x, key, num_samples, *, label):
        """Of draws from q, [S, B]."""
        mean, log_std = self.posterior(variables, x, label=label)
        z = draw(key, mean, log_std, num_samples)
        return self.log_weight(variables, x, z, mean, log_std, label=label)

    def terms(self, variables, x, key, num_samples=1, *, label):
        """Both terms of the bound."""
        mean, log_std = self.posterior(variables, x, label=label)
        z = draw(key, mean, log_std, num_samples)
        log_likelihood = self.log_likelihood(variables, x, z, label=label)
        return Terms(log_likelihood.mean(axis=0), normal_kl(mean, log_std))

    def elbo(self, variables, x, key, num_samples=1, *, label):
        """The bound, [B]."""
        terms = self.terms(variables, x, key, num_samples, label=label)
        return terms.log_likelihood - terms.kl.sum(axis=-1)

    def iwae(self, variables, x, key, num_samples=50, *, label):
        """The tighter bound, [B]."""
        return log_mean_exp(self.log_weights(variables, x, key, num_samples, label=label))

    def encode(self, variables, x, *, label):
        """The mean of q(z | x, label)."""
        return self.posterior(variables, x, label=label)[0]

    def decode(self, variables, z, *, label):
        """The mean of p(x | z, label)."""
        return self.observation.mean(self.decoder_outputs(variables, z, label=label))

    def reconstruct(self, variables, x, *, label):
        """Decodes the code."""
        return self.decode(variables, self.encode(variables, x, label=label), label=label)

    def sample(self, variables, key, num, *, label):
        """Draws of p(x | label)."""
        latent_key, pixel_key = jax.random.split(key)
        z = self.latents(latent_key, num)
        return self.observation.sample(self.decoder_outputs(variables, z, label=label), pixel_key)

    def _beside(self, x, label) -> Any:
        one_hot = jax.nn.one_hot(label, self.kinds)
        return jnp.concatenate([x, jnp.broadcast_to(one_hot, (*x.shape[:-1], self.kinds))], axis=-1)
