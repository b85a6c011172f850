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

import math
from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.arguments import LARGE, require_positive, require_within
from jaxgen.gan.base import Adversarial, Prior
from jaxgen.gan.semi_supervised_gan import supervised
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@final
@dataclass(frozen=True)
class CatGAN(Adversarial):
    """A generator against a clustering.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      num_clusters: K.
      generator: as in `GAN`.
      discriminator: (x, train) -> (logits [B, K], features [B, F]).
      label_weight: lambda of the labelled examples' cost, whose K classes are then the clusters;
        examples of no known class (-1) have none. 0 uses no labels.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    num_clusters: int
    generator: nn.Module
    discriminator: nn.Module
    label_weight: float = 0.0
    prior: Prior = "normal"

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim, num_clusters=self.num_clusters)
        require_within(0, LARGE, label_weight=self.label_weight)

    @property
    def num_labels(self) -> int:
        """The number of classes that labels teach; 0 where the clusters are its own."""
        return self.num_clusters if self.label_weight else 0

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of D: sure of data, all classes alike, unsure of samples."""
        x = batch["image"]
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        samples, _ = self.generate(variables, fake_key, len(x))
        (real, _), mutated = self.judge(variables, x, real_key)
        (fake, _), _ = self.judge(variables, samples, judge_key)
        terms = {
            "marginal_entropy": marginal_entropy(real),
            "real_entropy": entropy(real).mean(),
            "fake_entropy": entropy(fake).mean(),
            **self.verdicts(real, fake),
        }
        loss = terms["real_entropy"] - terms["marginal_entropy"] - terms["fake_entropy"]
        if self.label_weight:
            cross_entropy, _ = supervised(real, batch["label"])
            loss = loss + self.label_weight * cross_entropy
        return loss, (terms, {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of G, which makes the discriminator sure, of all classes alike."""
        fake_key, _, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(batch["image"]))
        (fake, _), _ = self.judge(variables, samples, judge_key)
        loss = entropy(fake).mean() - marginal_entropy(fake)
        return loss, ({}, {"generator": mutated})

    def verdicts(self, real: Array, fake: Array) -> Metrics:
        """Return the advantage: how much surer D is of data than of samples, in nats."""
        return {"advantage": entropy(fake).mean() - entropy(real).mean()}

    @property
    def largest_advantage(self) -> float:
        """The advantage of a D that is sure of all data and of no sample, log K."""
        return math.log(self.num_clusters)

    def classify(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b k"]:
        """Return log p(y | x) of the K clusters."""
        logits, _ = self.discriminate(variables, x)
        return jax.nn.log_softmax(logits)


def entropy(logits: Float[Array, "b k"]) -> Float[Array, " b"]:
    """Return H[p(y | x)] in nats, in [0, log K]."""
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def marginal_entropy(logits: Float[Array, "b k"]) -> jax.Array:
    """Return H[mean over the batch of p(y | x)] in nats, []."""
    log_sum = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0)
    log_p = log_sum - jnp.log(logits.shape[0])
    return -(jnp.exp(log_p) * log_p).sum()
