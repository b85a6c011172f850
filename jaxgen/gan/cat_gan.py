"""CatGAN: a discriminator of K classes, none of them 'fake', that should be sure of data alone.

With H the entropy in nats, p(y | x) the discriminator's classes and p(y) its mean over a batch,

    D maximises   H_data[p(y)] - E_x H[p(y | x)] + E_z H[p(y | G(z))]     (at most 2 log K)
    G minimises   E_z H[p(y | G(z))] - H_samples[p(y)]                    (at least -log K)

D is sure of each example, uses all classes equally, and is unsure of samples; G makes D sure, of
all classes equally. Without any label the classes are clusters; with some, lambda times the
labelled examples' -E log p(y | x) joins D's cost. The marginal entropy needs large batches.

Springenberg, 2015, "Unsupervised and semi-supervised learning with categorical generative
adversarial networks" (arXiv 1511.06390), equations 7 to 9.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.gan.gan import GAN, Prior
from jaxgen.gan.semi_supervised_gan import SemiSupervisedGAN, supervised
from jaxgen.nn import require_positive
from jaxgen.ranges import LARGE, require_within
from jaxgen.train import Batch, Key, Metrics, Mutated, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class CatGAN:
    """A generator against a clustering.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      num_clusters: K.
      generator: as in `GAN`.
      discriminator: (x, train) -> (logits [B, K], features [B, F]).
      label_weight: lambda of the labelled examples' cost; 0 uses no labels.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    num_clusters: int
    generator: nn.Module
    discriminator: nn.Module
    label_weight: float = 0.0
    prior: Prior = "normal"

    range, init = GAN.range, GAN.init
    generate, latents, decode, sample = GAN.generate, GAN.latents, GAN.decode, GAN.sample
    players, class_logits = SemiSupervisedGAN.players, SemiSupervisedGAN.class_logits
    classify = SemiSupervisedGAN.classify

    def __post_init__(self):
        require_positive(latent_dim=self.latent_dim, num_clusters=self.num_clusters)
        require_within(0, LARGE, label_weight=self.label_weight)

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """Sure of data, all classes alike, unsure of samples."""
        x, (fake_key, real_key, judge_key) = batch["image"], jax.random.split(key, 3)
        samples, _ = self.generate(variables, fake_key, len(x))
        (real, _), mutated = self.class_logits(variables, x, real_key)
        (fake, _), _ = self.class_logits(variables, samples, judge_key)
        terms = {
            "marginal_entropy": marginal_entropy(real),
            "real_entropy": entropy(real).mean(),
            "fake_entropy": entropy(fake).mean(),
        }
        loss = terms["real_entropy"] - terms["marginal_entropy"] - terms["fake_entropy"]
        if self.label_weight:
            loss = loss + self.label_weight * supervised(real, batch["label"])[0]
        return loss, (terms, {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """Makes the discriminator sure, of all classes alike."""
        fake_key, _, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(batch["image"]))
        (fake, _), _ = self.class_logits(variables, samples, judge_key)
        loss = entropy(fake).mean() - marginal_entropy(fake)
        return loss, ({}, {"generator": mutated})


def entropy(logits: Float[Array, "b k"]) -> Float[Array, " b"]:
    """H[p(y | x)] in nats, in [0, log K]."""
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def marginal_entropy(logits: Float[Array, "b k"]) -> Array:
    """H[mean over the batch of p(y | x)] in nats, a scalar."""
    log_p = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(logits.shape[0])
    return -(jnp.exp(log_p) * log_p).sum()
