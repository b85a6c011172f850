"""The adversarial autoencoder: an autoencoder whose codes cannot be told from a prior.

A VAE holds each q(z | x) to the prior by a divergence, which needs both densities. Here a critic D
of codes looks at draws alone and holds their mean over the data, q(z) = E_x q(z | x), to any prior
p(z) that can be drawn from. In each step

    autoencoder   minimises  -E log p(x | z),                                 z ~ q(z | x)
    critic        minimises  -E_p(z) log D(z) - E_q(z) log (1 - D(z))
    encoder       minimises  -E_q(z) log D(z)                                 (non-saturating)

The encoder has two owners, with an optimiser each; the decoder hears of the first alone. With
labels in its regulariser ('informed') D also sees the class of an example, and the draw beside it
comes from the mode of that class; an example without a label has a class of its own, and any mode.

Makhzani, Shlens, Jaitly, Goodfellow & Frey, 2016, "Adversarial autoencoders" (arXiv 1511.05644),
sections 2 and 2.3.

*Differs from the paper:* Adam for momentum; D is called a critic, since what `discriminator` names
elsewhere here judges examples. It may see its codes through noise, a setting of its trunk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.distributions.observation import Gaussian, Observation
from jaxgen.errors import ConfigError
from jaxgen.nn import Discriminator, MLPTrunk, init_variables
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Variables
from jaxgen.vae.adversarial_autoencoder.base import CodeAutoencoder, judged
from jaxgen.vae.adversarial_autoencoder.encoders import (
    DeterministicEncoder,
    GaussianEncoder,
    UniversalEncoder,
)
from jaxgen.vae.adversarial_autoencoder.priors import CodePrior, NormalPrior, RingPrior
from jaxgen.vae.networks import MLPDecoder

ENCODERS = {
    "deterministic": DeterministicEncoder,
    "gaussian": GaussianEncoder,
    "universal": UniversalEncoder,
}


@final
@dataclass(frozen=True)
class AdversarialAutoencoder(CodeAutoencoder):
    """An autoencoder against a critic of its codes.

    Attributes:
      shape: of one example.
      prior: of the codes.
      encoder: as in `CodeAutoencoder`; its outputs are the codes.
      decoder: as in `CodeAutoencoder`.
      critic: (codes, and with `informed` a one-hot class [M + 1], train) -> (logits [B], features).
      observation: p(x | z).
      informed: the critic is told the classes, of which each is to fill a mode of the prior.
    """

    shape: tuple[int, ...]
    prior: CodePrior
    encoder: nn.Module
    decoder: nn.Module
    critic: nn.Module
    observation: Observation = Gaussian(1.0)  # noqa: RUF009 (frozen)
    informed: bool = False

    def __post_init__(self) -> None:
        if self.informed and self.prior.num_modes < 2:
            name = type(self.prior).__name__
            raise ConfigError(f"informed: got True, but {name} has one mode for all classes")

    @property
    def latent_dim(self) -> int:
        """Z."""
        return self.prior.dim

    @property
    def num_labels(self) -> int:
        """The number of classes that codes tell apart: the modes, if they are told to; else 0."""
        return self.prior.num_modes if self.informed else 0

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'critic', 'decoder', 'encoder'}."""
        encoder_key, decoder_key, critic_key = jax.random.split(key, 3)
        x = jnp.zeros((2, *self.shape))
        z = jnp.zeros((2, self.latent_dim))
        seen = self._seen(z, jnp.zeros(2, jnp.int32))
        return {
            "critic": init_variables(self.critic, critic_key, seen),
            "decoder": kept(self.decoder, self.decoder.init(decoder_key, z)),
            "encoder": init_variables(self.encoder, encoder_key, x),
        }

    def players(
        self,
        autoencoder: optax.GradientTransformation,
        critic: optax.GradientTransformation,
        encoder: optax.GradientTransformation,
    ) -> tuple[Player, ...]:
        """Return the three players, in the order of the paper."""
        return (
            Player("autoencoder", ("encoder", "decoder"), self.autoencoder_loss, autoencoder),
            Player("critic", ("critic",), self.critic_loss, critic),
            Player("encoder", ("encoder",), self.encoder_loss, encoder),
        )

    def beside(self, key: Key, batch: Batch) -> Float[jax.Array, "b z"]:
        """Return draws from the prior, informed of each example's own mode where it is known."""
        mode_key, key = jax.random.split(key)
        label = self._labels(batch)
        anyone = jax.random.randint(mode_key, label.shape, 0, self.prior.num_modes)
        return self.prior.draw(key, jnp.where(label < 0, anyone, label))

    def code_logits(
        self,
        variables: Variables,
        z: Float[Array, "b z"],
        batch: Batch,
        key: Key | None = None,
    ) -> Mapping[str, Array]:
        """Return {'critic': logits [B]}; see `CodeAutoencoder`."""
        seen = self._seen(z, self._labels(batch))
        return {"critic": judged(self.critic, variables["critic"], seen, key)}

    def classify(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b k"]:
        """Return the log-probability of each mode of the prior at the code of x."""
        return self.log_modes(self.encode(variables, x))

    @property
    def num_modes(self) -> int:
        """The number of modes of the prior."""
        return self.prior.num_modes

    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return the log-probability of each mode of the prior at a code."""
        return self.prior.log_modes(z)

    @property
    def has_density(self) -> bool:
        """True where the prior knows its density, for `log_prior`; no loss asks for it."""
        return hasattr(self.prior, "log_prob")

    def log_prior(self, z: Float[Array, "... z"]) -> Float[jax.Array, "..."]:
        """Return log p(z) in nats. ConfigError where the prior has no density."""
        if not self.has_density:
            raise ConfigError(f"{type(self.prior).__name__} has no density")
        density = cast("NormalPrior | RingPrior", self.prior)
        return density.log_prob(z)

    def continuous(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b c"]:
        """Return the codes."""
        return jnp.asarray(z)

    def latents(self, key: Key, num: int) -> Float[jax.Array, "b z"]:
        """Return `num` draws from the prior."""
        return self.prior.sample(key, num)

    def code_of(self, outputs: Float[Array, "b e"]) -> Float[jax.Array, "b z"]:
        """Return the outputs."""
        return jnp.asarray(outputs)

    def _labels(self, batch: Batch) -> jax.Array:
        """Return the class of each example, -1 where it is not known or nobody is told."""
        if not self.informed:
            return jnp.full(len(batch["image"]), -1)
        return jnp.asarray(batch["label"]).astype(jnp.int32)

    def _seen(self, z: Array, label: jax.Array) -> jax.Array:
        """Return what the critic sees of codes [B, Z] and classes [B]."""
        if not self.informed:
            return jnp.asarray(z)
        num = self.prior.num_modes
        place = jnp.where(label < 0, num, label)  # examples without a class are one more
        return jnp.concatenate([z, jax.nn.one_hot(place, num + 1)], axis=-1)


def mlp(
    shape: tuple[int, ...],
    prior: CodePrior,
    *,
    hidden: tuple[int, ...] = (256, 256),
    critic: tuple[int, ...] = (256, 256),
    kind: str = "deterministic",
    observation: Observation = Gaussian(1.0),  # noqa: B008 (frozen)
    informed: bool = False,
    noise: tuple[float, float] = (0.0, 0.0),
) -> AdversarialAutoencoder:
    """Build one of multi-layer perceptrons with rectified units.

    Args:
      shape: of one example.
      prior: of the codes.
      hidden: widths of the encoder's hidden layers, and backwards the decoder's.
      critic: widths of the critic's hidden layers.
      kind: of the encoder: deterministic, gaussian or universal.
      observation: p(x | z).
      informed: as in `AdversarialAutoencoder`.
      noise: standard deviation of noise in training on the encoder's input, and on the critic's.
    """
    require_positive(hidden=hidden, critic=critic)
    if kind not in ENCODERS:
        raise ConfigError(f"kind: got {kind!r}, expected one of {', '.join(ENCODERS)}")
    on_input, on_codes = noise
    trunk = MLPTrunk(hidden, "relu", noise=(on_input, 0.0))
    encoder = ENCODERS[kind](trunk, prior.dim)
    decoder = MLPDecoder(hidden[::-1], shape, observation.num_params, activation="relu")
    judge = Discriminator(MLPTrunk(critic, noise=(on_codes, 0.0)))
    return AdversarialAutoencoder(shape, prior, encoder, decoder, judge, observation, informed)
