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
from typing import Literal, final, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen import losses
from jaxgen.arguments import require_fraction, require_positive
from jaxgen.errors import ConfigError
from jaxgen.fields import require_classes
from jaxgen.gan import advantage
from jaxgen.gan.base import Adversarial, Prior
from jaxgen.nn import Initializer, evaluation_pass
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

How = Literal["concatenate", "auxiliary", "projection"]
HOW = get_args(How)


class LabelledGenerator(nn.Module):
    """A network on z with the one-hot label beside it, (z [B, Z], label [B]) -> x.

    Attributes:
      network: (z [B, Z + K], train) -> x.
      num_classes: K.
    """

    network: nn.Module
    num_classes: int

    @property
    def range(self) -> tuple[float, float]:
        """The bounds of samples, those of the network."""
        return self.network.range

    def __call__(
        self, z: Float[Array, "b z"], label: Int[Array, " b"], *, train: bool
    ) -> Float[Array, "b ..."]:
        """Return a sample of each label."""
        one_hot = jax.nn.one_hot(label, self.num_classes)
        return self.network(jnp.concatenate([z, one_hot], axis=-1), train=train)


class LabelledDiscriminator(nn.Module):
    """A discriminator that knows the label, (x, label) -> (logits [B], class logits or None).

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
        """Return the logit of being real, and the logits of the classes if it names them."""
        one_hot = jax.nn.one_hot(label, self.num_classes)
        if self.how == "concatenate":
            x = beside(x, one_hot)
        features = self.trunk(x, train=train)
        source = nn.Dense(1, kernel_init=self.initializer, name="source")
        logits = source(features)[:, 0]  # [B, 1] -> [B]
        if self.how == "auxiliary":
            return logits, nn.Dense(self.num_classes, name="label")(features)
        if self.how == "projection":
            embedding = nn.Dense(features.shape[-1], use_bias=False, name="V")(one_hot)
            logits = logits + (features * embedding).sum(axis=-1)
        return logits, None


def beside(x: Float[Array, "b ..."], one_hot: Float[Array, "b k"]) -> Float[Array, "b ..."]:
    """Put the label beside x as K more numbers on the last axis, everywhere."""
    batch, *space, _ = x.shape
    num_classes = one_hot.shape[-1]
    ones = (1,) * len(space)
    maps = one_hot.reshape(batch, *ones, num_classes)  # [B, K] -> [B, 1, 1, K]
    maps = jnp.broadcast_to(maps, (batch, *space, num_classes))
    return jnp.concatenate([x, maps], axis=-1)  # [B, H, W, C + K]


@final
@dataclass(frozen=True)
class ConditionalGAN(Adversarial):
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

    def __post_init__(self) -> None:
        require_positive(num_classes=self.num_classes)
        require_positive(latent_dim=self.latent_dim, discriminator_moves=self.discriminator_moves)
        require_fraction(smoothing=self.smoothing)
        losses.cost(self.cost, self.smoothing)  # raises

    @property
    def given(self) -> tuple[str, ...]:
        """The fields that the model is conditioned on."""
        return ("label",)

    @property
    def game(self) -> losses.Cost:
        """The costs of both players, without those of naming the class."""
        return losses.cost(self.cost, self.smoothing)

    def generator_inputs(self) -> tuple[jax.Array, ...]:
        """Return z and label, for initialisation."""
        return (*super().generator_inputs(), jnp.zeros(2, jnp.int32))

    def discriminator_inputs(self) -> tuple[jax.Array, ...]:
        """Return x and label, for initialisation."""
        return (*super().discriminator_inputs(), jnp.zeros(2, jnp.int32))

    def discriminator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of D on data and on samples of the data's labels."""
        x = batch["image"]
        label = batch["label"]
        fake_key, real_key, judge_key = jax.random.split(key, 3)
        samples, _ = self.generate(variables, fake_key, len(label), label)
        (real, real_classes), mutated = self.judge(variables, x, real_key, label)
        (fake, fake_classes), _ = self.judge(variables, samples, judge_key, label)
        loss = self.game.discriminator(real, fake)
        loss += self.naming(real_classes, label) + self.naming(fake_classes, label)
        return loss, (self.verdicts(real, fake), {"discriminator": mutated})

    def generator_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of G, which wants its class recognised."""
        label = batch["label"]
        fake_key, _, judge_key = jax.random.split(key, 3)
        samples, mutated = self.generate(variables, fake_key, len(label), label)
        (logits, classes), _ = self.judge(variables, samples, judge_key, label)
        loss = self.game.generator(logits) + self.naming(classes, label)
        return loss, ({}, {"generator": mutated})

    def verdicts(self, real: Array, fake: Array) -> Metrics:
        """Return the advantage in telling real from fake, as in `GAN`."""
        return advantage.verdicts(self.game, real, fake)

    @property
    def largest_advantage(self) -> float:
        """The most that the advantage can be."""
        return advantage.largest(self.game)

    def naming(
        self, class_logits: Float[Array, "b k"] | None, label: Int[Array, " b"]
    ) -> jax.Array | float:
        """Return -E log p(label), weighted; 0 for a discriminator that names no classes."""
        if class_logits is None:
            return 0.0
        label = label.astype(jnp.int32)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(class_logits, label)
        return self.class_weight * cross_entropy.mean()

    def decode(
        self, variables: Variables, z: Float[Array, "b z"], label: Int[Array, " b"] | None = None
    ) -> Float[Array, "b ..."]:
        """Return G(z, label); without labels the classes take turns."""
        if label is None:
            label = jnp.arange(len(z)) % self.num_classes
        require_classes(label, self.num_classes)
        label = jnp.asarray(label)
        return evaluation_pass(self.generator, variables["generator"], z, label)

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
        *,
        label: Int[Array, " b"] | None = None,
    ) -> Float[Array, "b ..."]:
        """Return `num` draws of the given labels; without labels the classes take turns."""
        return self.decode(variables, self.latents(key, num), label)

    def logits(
        self, variables: Variables, x: Float[Array, "b ..."], label: Int[Array, " b"]
    ) -> Float[Array, " b"]:
        """Return the logits of D, by running statistics and without noise."""
        require_classes(label, self.num_classes)
        logits, _ = self.discriminate(variables, x, label)
        return logits


def labelled(
    shape: tuple[int, ...],
    latent_dim: int,
    num_classes: int,
    generator: nn.Module,
    trunk: nn.Module,
    *,
    how: How = "projection",
    cost: str = "non_saturating",
    smoothing: float = 0.0,
    class_weight: float = 1.0,
    prior: Prior = "normal",
    discriminator_moves: int = 1,
) -> ConditionalGAN:
    """Build a conditional GAN from the networks of a plain one.

    Args:
      shape: of one example.
      latent_dim: Z.
      num_classes: K.
      generator: (z [B, Z + K], train) -> x.
      trunk: (x, train) -> features [B, F].
      how: the label reaches D.
      cost: as in `ConditionalGAN`, and so are the following.
      smoothing: of the real targets.
      class_weight: of naming the class.
      prior: of z.
      discriminator_moves: for each of the generator.
    """
    if how not in HOW:
        raise ConfigError(f"how: got {how!r}, expected one of {', '.join(HOW)}")
    return ConditionalGAN(
        shape=shape,
        latent_dim=latent_dim,
        num_classes=num_classes,
        generator=LabelledGenerator(generator, num_classes),
        discriminator=LabelledDiscriminator(trunk, num_classes, how),
        cost=cost,
        smoothing=smoothing,
        class_weight=class_weight,
        prior=prior,
        discriminator_moves=discriminator_moves,
    )
