"""The semi-supervised adversarial autoencoder: a code of a class and a style.

The encoder gives y = softmax(l(x)), one of K classes, and z(x), what else there is to say; the
decoder is given both. Two critics hold them to draws, y to one-hot vectors of equally probable
classes and z to N(0, I), so that each y must be sure of a class, all classes must be named alike,
and z can know nothing of them. In each step

    autoencoder    minimises  -E log p(x | y, z)
    critic         tells y and z from draws, with a network for each
    encoder        minimises  -E log D_class(y) - E log D_style(z)
    classifier     minimises  -E_labelled log y_label(x)

The encoder has three owners. Without any label the last is idle, and y are clusters.

Makhzani et al., 2016, "Adversarial autoencoders" (arXiv 1511.05644), sections 4 to 6.

*Differs from the paper:* one-hot vectors are told at once from a softmax, so the class critic sees
both through noise; the encoder may see its examples through noise. Adam for momentum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen.arguments import require_positive
from jaxgen.distributions.observation import Gaussian, Observation
from jaxgen.nn import Discriminator, MLPTrunk, init_variables
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables
from jaxgen.vae.adversarial_autoencoder.base import CodeAutoencoder, judged
from jaxgen.vae.adversarial_autoencoder.encoders import DeterministicEncoder
from jaxgen.vae.networks import MLPDecoder


@final
@dataclass(frozen=True)
class SemiSupervisedAAE(CodeAutoencoder):
    """An autoencoder of a class and a style against a critic of each.

    Attributes:
      shape: of one example.
      num_labels: K, the classes.
      style_dim: S, of z.
      encoder: as in `CodeAutoencoder`; its outputs are K logits and the style.
      decoder: of codes, classes first, [..., K + S].
      class_critic: (y, train) -> (logits [B], features).
      style_critic: (z, train) -> (logits [B], features).
      observation: p(x | y, z).
    """

    shape: tuple[int, ...]
    num_labels: int
    style_dim: int
    encoder: nn.Module
    decoder: nn.Module
    class_critic: nn.Module
    style_critic: nn.Module
    observation: Observation = Gaussian(1.0)  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        require_positive(num_labels=self.num_labels, style_dim=self.style_dim)

    @property
    def latent_dim(self) -> int:
        """The dimensions of a code, K + S."""
        return self.num_labels + self.style_dim

    def init(self, key: Key) -> Variables:
        """Return fresh variables of the four networks."""
        encoder_key, decoder_key, class_key, style_key = jax.random.split(key, 4)
        code = jnp.zeros((2, self.latent_dim))
        y, z = self.parts(code)
        return {
            "class_critic": init_variables(self.class_critic, class_key, y),
            "decoder": kept(self.decoder, self.decoder.init(decoder_key, code)),
            "encoder": init_variables(self.encoder, encoder_key, jnp.zeros((2, *self.shape))),
            "style_critic": init_variables(self.style_critic, style_key, z),
        }

    def players(
        self,
        autoencoder: optax.GradientTransformation,
        critic: optax.GradientTransformation,
        encoder: optax.GradientTransformation,
        classifier: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """Return the four players: they reconstruct, regularise and classify."""
        return (
            Player("autoencoder", ("encoder", "decoder"), self.autoencoder_loss, autoencoder),
            Player("critic", ("class_critic", "style_critic"), self.critic_loss, critic),
            Player("encoder", ("encoder",), self.encoder_loss, encoder),
            Player("classifier", ("encoder",), self.classifier_loss, classifier),
        )

    def beside(self, key: Key, batch: Batch) -> Float[jax.Array, "b z"]:
        """Return as many draws from the prior as the batch has examples."""
        return self.latents(key, len(batch["image"]))

    def code_logits(
        self,
        variables: Variables,
        z: Float[Array, "b z"],
        batch: Batch,
        key: Key | None = None,
    ) -> Mapping[str, Array]:
        """Return {'class_critic', 'style_critic': logits [B]}; see `CodeAutoencoder`."""
        del batch  # the labels are the classifier's
        class_key, style_key = (None, None) if key is None else jax.random.split(key)
        y, style = self.parts(z)
        return {
            "class_critic": judged(self.class_critic, variables["class_critic"], y, class_key),
            "style_critic": judged(self.style_critic, variables["style_critic"], style, style_key),
        }

    def classifier_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cross-entropy of the examples with a label, in nats; 0 where none has one."""
        outputs = self.outputs(variables, batch["image"], key)
        logits = outputs[:, : self.num_labels]
        return known_cross_entropy(logits, jnp.asarray(batch["label"])), ({}, {})

    def classify(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b k"]:
        """Return log y(x), the log-probabilities of the classes."""
        logits = self.outputs(variables, x)[:, : self.num_labels]
        return jax.nn.log_softmax(logits)

    @property
    def num_modes(self) -> int:
        """The classes."""
        return self.num_labels

    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return log y of codes; of a probability that is 0 in float32 the log of the least one."""
        y, _ = self.parts(z)
        return jnp.log(jnp.maximum(y, jnp.finfo(y.dtype).tiny))

    def continuous(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b c"]:
        """Return the styles."""
        _, style = self.parts(z)
        return style

    def latents(self, key: Key, num: int) -> Float[jax.Array, "b z"]:
        """Return `num` draws of both priors, a one-hot class and a style."""
        class_key, style_key = jax.random.split(key)
        label = jax.random.randint(class_key, (num,), 0, self.num_labels)
        y = jax.nn.one_hot(label, self.num_labels)
        z = jax.random.normal(style_key, (num, self.style_dim))
        return jnp.concatenate([y, z], axis=-1)

    def code_of(self, outputs: Float[Array, "b e"]) -> Float[jax.Array, "b z"]:
        """Return the probabilities of the classes, and the style."""
        logits, z = self.parts(outputs)
        return jnp.concatenate([jax.nn.softmax(logits), z], axis=-1)

    def parts(self, code: Float[Array, "b c"]) -> tuple[jax.Array, jax.Array]:
        """Return the classes' part of codes, [B, K], and that of the style, [B, S]."""
        y, z = jnp.split(code, (self.num_labels,), axis=-1)
        return y, z


def known_cross_entropy(
    logits: Float[Array, "b k"],
    label: Int[Array, " b"],
) -> Float[jax.Array, ""]:
    """Return -log softmax(logits)[label], mean over the examples with a label >= 0; 0 of none."""
    known = label >= 0
    valid = jnp.maximum(label, 0).astype(jnp.int32)  # -1 would index the last class
    cost = optax.softmax_cross_entropy_with_integer_labels(logits, valid)
    return (known * cost).sum() / jnp.maximum(known.sum(), 1)


def mlp(
    shape: tuple[int, ...],
    num_labels: int,
    *,
    style_dim: int = 10,
    hidden: tuple[int, ...] = (256, 256),
    critic: tuple[int, ...] = (128, 128),
    observation: Observation = Gaussian(1.0),  # noqa: B008 (frozen)
    noise: tuple[float, float] = (0.2, 0.3),
    class_noise: float = 0.3,
) -> SemiSupervisedAAE:
    """Build one of multi-layer perceptrons with rectified units.

    Args:
      shape: of one example.
      num_labels: K.
      style_dim: S.
      hidden: widths of the encoder's hidden layers, and backwards the decoder's.
      critic: widths of the hidden layers of both critics.
      observation: p(x | y, z).
      noise: its standard deviation in training on the encoder's input, and on its hidden layers.
      class_noise: that on what the class critic sees.
    """
    require_positive(hidden=hidden, critic=critic)
    trunk = MLPTrunk(hidden, "relu", noise=noise)
    encoder = DeterministicEncoder(trunk, num_labels + style_dim)
    decoder = MLPDecoder(hidden[::-1], shape, observation.num_params, activation="relu")
    class_critic = Discriminator(MLPTrunk(critic, noise=(class_noise, 0.0)))
    style_critic = Discriminator(MLPTrunk(critic))
    return SemiSupervisedAAE(
        shape, num_labels, style_dim, encoder, decoder, class_critic, style_critic, observation
    )
