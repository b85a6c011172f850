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
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen import losses
from jaxgen.errors import ConfigError
from jaxgen.gan.gan import GAN, Prior, train_pass, verdicts
from jaxgen.nn import require_positive
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array

Objective = Literal["feature_matching", "non_saturating"]
OBJECTIVES = ("feature_matching", "non_saturating")


@dataclass(frozen=True)
class SemiSupervisedGAN:
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

    range, init = GAN.range, GAN.init
    generate, latents, decode, sample = GAN.generate, GAN.latents, GAN.decode, GAN.sample

    def __post_init__(self):
        require_positive(latent_dim=self.latent_dim, num_labels=self.num_labels)
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise ConfigError(f"objective: got {self.objective!r}, expected one of {names}")

    def players(
        self,
        discriminator: optax.GradientTransformation,
        generator: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """The classifier moves first."""
        return (
            Player("discriminator", ("discriminator",), self.discriminator_loss, discriminator),
            Player("generator", ("generator",), self.generator_loss, generator),
        )

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """Of the labelled their class, of all that they are real, of samples that they are not."""
        x, (fake_key, real_key, judge_key) = batch["image"], jax.random.split(key, 3)
        (logits, _), mutated = self.class_logits(variables, x, real_key)
        loss, accuracy = supervised(logits, batch["label"])
        metrics = {"supervised": loss, "labelled_accuracy": accuracy}
        if self.adversarial:
            samples, _ = self.generate(variables, fake_key, len(x))
            (of_samples, _), _ = self.class_logits(variables, samples, judge_key)
            real, fake = source_logit(logits), source_logit(of_samples)
            loss = loss + 0.5 * losses.discriminator_cost(real, fake)
            metrics |= verdicts(real, fake)
        return loss, (metrics, {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The distance of the mean features, or the non-saturating cost."""
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(batch["image"]))
        (logits, fake), _ = self.class_logits(variables, samples, judge_key)
        if self.objective == "non_saturating":
            loss = losses.non_saturating_cost(source_logit(logits))
        else:
            (_, real), _ = self.class_logits(variables, batch["image"], real_key)
            loss = losses.feature_matching(real, fake)
        return loss, ({}, {"generator": mutated})

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key
    ) -> tuple[Float[Array, " b"], Mutated]:
        """The GAN's logits in training mode, and D's new collections."""
        (logits, _), mutated = self.class_logits(variables, x, key)
        return source_logit(logits), mutated

    def class_logits(
        self, variables: Variables, x: Float[Array, "b ..."], key: Key
    ) -> tuple[tuple[Float[Array, "b k"], Float[Array, "b f"]], Mutated]:
        """Class logits and features in training mode, and D's new collections."""
        return train_pass(self.discriminator, variables["discriminator"], x, key=key)

    def classify(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b k"]:
        """log p(y | x) of the K classes."""
        logits, _ = self.discriminator.apply(variables["discriminator"], x, train=False)
        return jax.nn.log_softmax(logits)

    def logits(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """The GAN's logit of being real."""
        return source_logit(self.discriminator.apply(variables["discriminator"], x, train=False)[0])


def source_logit(logits: Float[Array, "b k"]) -> Float[Array, " b"]:
    """log sum_k exp l_k: of D = Z / (Z + 1)."""
    return jax.nn.logsumexp(logits, axis=-1)


def supervised(logits: Float[Array, "b k"], label: Int[Array, " b"]) -> tuple[Array, Array]:
    """-log p(y | x) and the accuracy, means over the examples with a label, those with y >= 0.

    0 where there is none.
    """
    known, label = label >= 0, label.astype(jnp.int32)
    num = jnp.maximum(known.sum(), 1)
    cross = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(label, 0))
    right = logits.argmax(axis=-1) == label
    return (known * cross).sum() / num, (known & right).sum() / num
