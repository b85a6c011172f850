"""Class-conditional GANs: the label given to both players, in three ways.

    concatenate   D(x, y) with the label as constant maps beside x:
                  V = E log D(x, y) + E log(1 - D(G(z, y), y)) (Mirza & Osindero, 2014, 1411.1784)
    auxiliary     AC-GAN: D(x) says real or fake and the class; both players want the class right,
                  on real and fake (Odena, Olah & Shlens, 2016, arXiv 1610.09585)
    projection    l(x, y) = V_y . phi(x) + psi(phi(x)) (Miyato & Koyama, 2018, arXiv 1802.05637)

G sees the label as one-hot numbers beside z. With label-free models these belong in separate
tables: a label in training makes samples better (tutorial, arXiv 1701.00160, section 4.1).

*Differs from the papers:* any networks; the conditional DCGAN's code gives the label to every
layer, here it stands at the first.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen.errors import ConfigError
from jaxgen.gan.gan import GAN, Prior, init, train_pass, verdicts
from jaxgen.nn import Initializer, require_positive
from jaxgen.train import Batch, Key, Metrics, Mutated, Variables
from jaxgen.typing import Array

How = Literal["concatenate", "auxiliary", "projection"]
HOW = ("concatenate", "auxiliary", "projection")


class LabelledGenerator(nn.Module):
    """(z [B, Z], label [B]) -> x: the network on z with the one-hot label beside it.

    Attributes:
      network: (z [B, Z + K], train) -> x.
      num_classes: K.
    """

    network: nn.Module
    num_classes: int

    @property
    def range(self) -> tuple[float, float]:
        """Of the network."""
        return self.network.range

    def __call__(
        self, z: Float[Array, "b z"], label: Int[Array, " b"], *, train: bool
    ) -> Float[Array, "b ..."]:
        """Samples."""
        one_hot = jax.nn.one_hot(label, self.num_classes)
        return self.network(jnp.concatenate([z, one_hot], axis=-1), train=train)


class LabelledDiscriminator(nn.Module):
    """(x, label) -> (logits [B], class logits [B, K] or None).

    Attributes:
      trunk: (x, train) -> features [B, F].
      num_classes: K.
      how: the label comes in.
      initializer: of the head's weights.
    """

    trunk: nn.Module
    num_classes: int
    how: How = "projection"
    initializer: Initializer = Initializer()

    @nn.compact
    def __call__(
        self, x: Float[Array, "b ..."], label: Int[Array, " b"], *, train: bool
    ) -> tuple[Float[Array, " b"], Float[Array, "b k"] | None]:
        """Is x real, and of which class?"""
        one_hot = jax.nn.one_hot(label, self.num_classes)
        if self.how == "concatenate":
            x = beside(x, one_hot)
        features = self.trunk(x, train=train)
        logits = nn.Dense(1, kernel_init=self.initializer, name="source")(features)[:, 0]
        if self.how == "auxiliary":
            return logits, nn.Dense(self.num_classes, name="label")(features)
        if self.how == "projection":
            embedding = nn.Dense(features.shape[-1], use_bias=False, name="V")(one_hot)
            logits = logits + (features * embedding).sum(axis=-1)
        return logits, None


def beside(x: Float[Array, "b ..."], one_hot: Float[Array, "b k"]) -> Float[Array, "b ..."]:
    """x with the label as K more numbers on the last axis, everywhere."""
    shape = (x.shape[0], *(1,) * (x.ndim - 2), one_hot.shape[-1])
    maps = jnp.broadcast_to(one_hot.reshape(shape), (*x.shape[:-1], one_hot.shape[-1]))
    return jnp.concatenate([x, maps], axis=-1)


@dataclass(frozen=True)
class ConditionalGAN:
    """A generator of given classes against a discriminator that knows them.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      num_classes: K.
      generator: (z [B, Z], label [B], train) -> x; `LabelledGenerator`.
      discriminator: (x, label, train) -> (logits, class logits); `LabelledDiscriminator`.
      cost: as in `GAN`.
      smoothing: as in `GAN`.
      class_weight: of -log p(label) in both costs, where the discriminator names classes.
      prior: of z, as in `GAN`.
      discriminator_moves: for each of the generator.
    """

    shape: tuple[int, ...]
    latent_dim: int
    num_classes: int
    generator: nn.Module
    discriminator: nn.Module
    cost: str = "non_saturating"
    smoothing: float = 0.0
    class_weight: float = 1.0
    prior: Prior = "normal"
    discriminator_moves: int = 1
    r1: ClassVar[float] = 0.0

    game, range, players, latents = GAN.game, GAN.range, GAN.players, GAN.latents

    def __post_init__(self):
        require_positive(num_classes=self.num_classes)
        GAN.__post_init__(self)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'generator', 'discriminator'}."""
        generator_key, discriminator_key = jax.random.split(key)
        label = jnp.zeros(2, jnp.int32)
        z, x = jnp.zeros((2, self.latent_dim)), jnp.zeros((2, *self.shape))
        return {
            "generator": init(self.generator, generator_key, z, label),
            "discriminator": init(self.discriminator, discriminator_key, x, label),
        }

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The cost of D on data and on samples of the data's labels."""
        x, label = batch["image"], batch["label"]
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        samples, _ = self.generate(variables, fake_key, label)
        (real, real_class), mutated = self.judge(variables, x, label, real_key)
        (fake, fake_class), _ = self.judge(variables, samples, label, judge_key)
        loss = self.game.discriminator(real, fake)
        loss += self.naming(real_class, label) + self.naming(fake_class, label)
        return loss, (verdicts(real, fake), {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The cost of G, which wants its class recognised."""
        label, (fake_key, _, judge_key) = batch["label"], jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, label)
        (logits, named), _ = self.judge(variables, samples, label, judge_key)
        loss = self.game.generator(logits) + self.naming(named, label)
        return loss, ({}, {"generator": mutated})

    def naming(self, logits: Array | None, label: Int[Array, " b"]) -> Array | float:
        """-E log p(label), weighted; 0 for a discriminator that names no classes."""
        if logits is None:
            return 0.0
        cross = optax.softmax_cross_entropy_with_integer_labels(logits, label.astype(jnp.int32))
        return self.class_weight * cross.mean()

    def generate(
        self, variables: Variables, key: Key, label: Int[Array, " b"]
    ) -> tuple[Float[Array, "b ..."], Mutated]:
        """A sample of each label in training mode, and G's new collections."""
        z_key, noise_key = jax.random.split(key)
        z = self.latents(z_key, len(label))
        return train_pass(self.generator, variables["generator"], z, label, key=noise_key)

    def judge(
        self, variables: Variables, x: Float[Array, "b ..."], label: Int[Array, " b"], key: Key
    ) -> tuple[tuple[Array, Array | None], Mutated]:
        """Logits and class logits in training mode, and D's new collections."""
        return train_pass(self.discriminator, variables["discriminator"], x, label, key=key)

    def decode(
        self, variables: Variables, z: Float[Array, "b z"], label: Int[Array, " b"] | None = None
    ) -> Float[Array, "b ..."]:
        """G(z, label); without labels the classes one after the other."""
        label = jnp.arange(len(z)) % self.num_classes if label is None else jnp.asarray(label)
        return self.generator.apply(variables["generator"], z, label, train=False)

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
        *,
        label: Int[Array, " b"] | None = None,
    ) -> Float[Array, "b ..."]:
        """`num` draws of the given labels, or of all classes one after the other."""
        return self.decode(variables, self.latents(key, num), label)

    def logits(
        self, variables: Variables, x: Float[Array, "b ..."], label: Int[Array, " b"]
    ) -> Float[Array, " b"]:
        """The logits of D, by running statistics and without noise."""
        return self.discriminator.apply(variables["discriminator"], x, label, train=False)[0]


def labelled(
    shape: tuple[int, ...],
    latent_dim: int,
    num_classes: int,
    generator: nn.Module,
    trunk: nn.Module,
    *,
    how: How = "projection",
    **settings: float | int | str,
) -> ConditionalGAN:
    """A conditional GAN from the networks of a plain one.

    Args:
      shape: of one example.
      latent_dim: Z.
      num_classes: K.
      generator: (z [B, Z + K], train) -> x.
      trunk: (x, train) -> features [B, F].
      how: the label reaches D.
      **settings: of `ConditionalGAN`.
    """
    if how not in HOW:
        raise ConfigError(f"how: got {how!r}, expected one of {', '.join(HOW)}")
    return ConditionalGAN(
        shape,
        latent_dim,
        num_classes,
        LabelledGenerator(generator, num_classes),
        LabelledDiscriminator(trunk, num_classes, how),
        **settings,
    )
