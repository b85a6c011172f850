"""Semi-supervised GAN: a classifier of K classes that must also tell samples from data.

A classifier's K logits l_k(x) say with Z = sum_k exp l_k what is real: D(x) = Z / (Z + 1), the fake
class having the logit 0 (K + 1 free logits would have a redundant direction). The GAN's logit is
therefore lse(l) = log Z, and

    D:  -E_labelled log p(y | x)  -  1/2 E_unlabelled log D(x)  -  1/2 E_z log(1 - D(G(z)))
    G:  || E h(x) - E_z h(G(z)) ||^2,   h: D's features (feature matching), or -E_z log D(G(z)).

Few labelled examples serve: samples and unlabelled data shape the features. Feature matching gives
the better classifier and the worse pictures; minibatch discrimination the reverse.

Salimans et al., 2016, "Improved techniques for training GANs" (arXiv 1606.03498), section 5.

*Differs from the paper:* its code has a weight-normalised classifier and evaluates an average of
its parameters; networks are the caller's here, the average is `ema_decay`. Feature matching is a
mean of squares, as its MNIST code has it.
"""

from dataclasses import dataclass
from typing import Literal, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen import losses
from jaxgen.arguments import require_positive
from jaxgen.errors import ConfigError
from jaxgen.gan import advantage
from jaxgen.gan.base import Adversarial, Prior
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

Objective = Literal["feature_matching", "non_saturating"]
OBJECTIVES = ("feature_matching", "non_saturating")
_REAL_OR_FAKE = losses.COSTS["non_saturating"]


@final
@dataclass(frozen=True)
class SemiSupervisedGAN(Adversarial):
    """A generator against a classifier.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      num_labels: K, the classes.
      generator: as in `GAN`.
      discriminator: (x, train) -> (logits [B, K], features [B, F]).
      objective: of the generator.
      adversarial: without it the classifier learns from labels alone: the baseline.
      prior: of z, as in `GAN`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    num_labels: int
    generator: nn.Module
    discriminator: nn.Module
    objective: Objective = "feature_matching"
    adversarial: bool = True
    prior: Prior = "uniform"

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim, num_labels=self.num_labels)
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise ConfigError(f"objective: got {self.objective!r}, expected one of {names}")

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the labelled examples' cross-entropy and half the cost of real against fake.

        All examples count as real, those with a label (y >= 0) for their class, too.
        """
        x = batch["image"]
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        (class_logits, _), mutated = self.judge(variables, x, real_key)
        loss, accuracy = supervised(class_logits, batch["label"])
        metrics = {"supervised": loss, "labelled_accuracy": accuracy}
        if self.adversarial:
            samples, _ = self.generate(variables, fake_key, len(x))
            (class_logits_of_samples, _), _ = self.judge(variables, samples, judge_key)
            real = source_logit(class_logits)
            fake = source_logit(class_logits_of_samples)
            loss = loss + 0.5 * _REAL_OR_FAKE.discriminator(real, fake)
            metrics |= self.verdicts(class_logits, class_logits_of_samples)
        return loss, (metrics, {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the distance of the mean features, or the non-saturating cost."""
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(batch["image"]))
        (class_logits, fake_features), _ = self.judge(variables, samples, judge_key)
        if self.objective == "non_saturating":
            loss = losses.non_saturating_cost(source_logit(class_logits))
        else:
            (_, real_features), _ = self.judge(variables, batch["image"], real_key)
            loss = losses.feature_matching(real_features, fake_features)
        return loss, ({}, {"generator": mutated})

    def verdicts(self, real: Array, fake: Array) -> Metrics:
        """Return the advantage in telling real from fake, from the logits of the classes, [B, K].

        {} without the game: then nobody has learned to tell them apart.
        """
        if not self.adversarial:
            return {}
        return advantage.verdicts(_REAL_OR_FAKE, source_logit(real), source_logit(fake))

    @property
    def largest_advantage(self) -> float:
        """The most that the advantage can be."""
        return advantage.largest(_REAL_OR_FAKE)

    def classify(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b k"]:
        """Return log p(y | x) of the K classes."""
        class_logits, _ = self.discriminate(variables, x)
        return jax.nn.log_softmax(class_logits)

    def logits(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """Return the logit of being real, by running statistics and without noise."""
        class_logits, _ = self.discriminate(variables, x)
        return source_logit(class_logits)


def source_logit(logits: Float[Array, "b k"]) -> Float[Array, " b"]:
    """Return log Z = log sum_k exp l_k, the logit of D = Z / (Z + 1)."""
    return jax.nn.logsumexp(logits, axis=-1)


def supervised(logits: Float[Array, "b k"], label: Int[Array, " b"]) -> tuple[jax.Array, jax.Array]:
    """Return -log p(y | x) and the accuracy, means over the examples with a label, y >= 0.

    Both are 0 where there is none.
    """
    known = label >= 0
    label = label.astype(jnp.int32)
    num = jnp.maximum(known.sum(), 1)
    valid = jnp.maximum(label, 0)  # -1 would index the last class
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, valid)
    right = logits.argmax(axis=-1) == label
    return (known * cross_entropy).sum() / num, (known & right).sum() / num
