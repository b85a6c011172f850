"""PixelCNN++: a PixelCNN whose pixels are mixtures of discretised logistics.

A pixel's colours are one mixture of K logistics, rounded to the levels, with the means of green and
blue shifted by what red and green are (`logistic_mixture`): 10 K numbers where a softmax over bytes
has 768, and neighbouring levels are alike from the start. The network has two streams of gated
residual layers, one for the rows above and one for what is left too, without masks: convolutions
are shifted (`nn.shifted`). It goes down to coarser maps and up again, with long skips between, so
that a pixel sees far at little cost (`pixel_cnn_pp_layers`). Dropout keeps it from overfitting.

    log p(x) = sum over pixels of log sum_k pi_k prod_c P_k(x_c | x_<c)

is written here as a sum over sub-pixels, each drawn from its own mixture: the same number.

Salimans, Karpathy, Chen & Kingma, 2017, "PixelCNN++: Improving the PixelCNN with discretized
logistic mixture likelihood and other modifications" (arXiv 1701.05517).

*Differs from the paper:* the probability of a level is exact, where the published code takes the
density for levels of probability < 1e-5; samples are whole levels; the first scales and biases
come from noise, uniform over the levels, for `init` has no data; an output that does not vary on
it (the top left sees nothing) starts unscaled; the numbers of levels and stages are free.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.logistic_mixture import MixtureOfLogistics
from jaxgen.autoregressive.pixel_cnn_pp_cache import Painter
from jaxgen.autoregressive.pixel_cnn_pp_layers import ShiftedResNet
from jaxgen.errors import ConfigError
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array

_INIT_BATCH = 32


@dataclass(frozen=True)
class PixelCNNPP:
    """PixelCNN++ over images of whole levels.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each pixel the numbers that the observation wants.
      observation: of a sub-pixel.
    """

    shape: tuple[int, ...]
    network: ShiftedResNet
    observation: MixtureOfLogistics

    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        if len(self.shape) != 3:
            raise ConfigError(f"PixelCNN++ is for images [H, W, C], not {list(self.shape)}")
        wanted = self.observation.num_outputs(self.shape[-1])
        if self.network.outputs != wanted:
            raise ConfigError(f"network.outputs: got {self.network.outputs}, expected {wanted}")

    @property
    def num_classes(self) -> int:
        """Classes that the model is conditioned on; 0 for none."""
        return self.network.num_classes

    @property
    def order(self) -> np.ndarray:
        """Row by row, the channels of a pixel in turn, [D]."""
        return np.arange(np.prod(self.shape))

    def dependencies(self) -> np.ndarray:
        """What the streams reach of other pixels, and the channels before, [D, D]."""
        height, width, channels = self.shape
        pixels = np.kron(self.network.field(height, width), np.ones((channels, channels), bool))
        before = np.tri(channels, k=-1, dtype=bool)
        return pixels | np.kron(np.eye(height * width, dtype=bool), before)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'network'}; the noise that they are fitted to comes from the key too."""
        key, noise_key, label_key = jax.random.split(key, 3)
        x = jax.random.randint(noise_key, (_INIT_BATCH, *self.shape), 0, self.observation.levels)
        label = None
        if self.num_classes:
            label = jax.random.randint(label_key, (_INIT_BATCH,), 0, self.num_classes)
        x = self.observation.normalize(x.astype(jnp.float32))
        return {"network": {"params": self.network.init(key, x, label)}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("pixel_cnn_pp", ("network",), self.pixel_cnn_pp_loss, tx),)

    def pixel_cnn_pp_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """-log p(x | conditions) in nats under dropout, mean over the batch."""
        condition = chain_rule.conditions(self, batch)
        log_prob = self.log_prob(variables, batch["image"], dropout_key=key, **condition)
        return -log_prob.mean(), ({}, {})

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        *,
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w c p"]:
        """Parameters of every p(x_i | x_<i); with a key, under dropout."""
        self._require_label(label)
        outputs = self.network.apply(
            variables["network"]["params"], self.observation.normalize(x), label, dropout_key
        )
        return self.observation.sub_pixels(outputs, x)

    def generate(
        self, variables: Variables, choose: Choose, num: int, *, label: Array | None = None
    ) -> Float[Array, "b h w c"]:
        """Pixel by pixel, from a cache of every layer: O(1) a pixel."""
        self._require_label(label)
        channels = self.shape[-1]

        def draw(pixel, outputs):
            x = jnp.zeros((num, channels))
            for c in range(channels):
                params = self.observation.sub_pixels(outputs, x)[:, c]
                x = x.at[:, c].set(choose(pixel * channels + c, params))
            return x, self.observation.normalize(x)

        weights = self.network.weights(variables["network"]["params"])
        return Painter(self.network, weights, self.shape, draw, label).paint(num)

    def _require_label(self, label):
        if (label is not None) != bool(self.num_classes):
            raise ConfigError(f"num_classes {self.num_classes}: got label {label}")


def build(
    shape: tuple[int, ...],
    *,
    levels: int = 256,
    num_components: int = 10,
    features: int = 160,
    num_blocks: int = 5,
    num_stages: int = 3,
    dropout: float = 0.5,
    num_classes: int = 0,
    coordinates: bool = False,
    dtype: str = "float32",
) -> PixelCNNPP:
    """A PixelCNN++ from plain numbers; the defaults are those of the published code.

    Args:
      shape: of an image, [H, W, C].
      levels: values of a sub-pixel.
      num_components: of each mixture.
      features: channels of every map.
      num_blocks: gated layers per stage.
      num_stages: resolutions; 2 or 1 suit small images.
      dropout: part of a layer's maps left out in training.
      num_classes: classes to condition on; 0 for none.
      coordinates: give the first layer the place of each pixel.
      dtype: what the network computes in.
    """
    observation = MixtureOfLogistics(levels, num_components)
    network = ShiftedResNet(
        observation.num_outputs(shape[-1]),
        features,
        num_blocks,
        num_stages,
        dropout,
        num_classes,
        coordinates,
        dtype,
    )
    return PixelCNNPP(tuple(shape), network, observation)
