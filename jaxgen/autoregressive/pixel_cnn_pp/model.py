"""PixelCNN++: a PixelCNN whose pixels are mixtures of discretised logistics.

A pixel's colours are one mixture of K logistics, rounded to the levels, with the means of green and
blue shifted by what red and green are (`logistic_mixture`): 10 K numbers where a softmax over bytes
has 768, and neighbouring levels are alike from the start. The network has two streams of gated
residual layers, one for the rows above and one for what is left too, without masks: convolutions
are shifted (`nn.shifted`). It goes down to coarser maps and up again, with long skips between, so
that a pixel sees far at little cost (`layers.py`). Dropout keeps it from overfitting.

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
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive.base import Autoregressive, Choose
from jaxgen.autoregressive.pixel_cnn_pp.layers import ShiftedResNet
from jaxgen.autoregressive.pixel_cnn_pp.sampler import PixelCNNPPSampler
from jaxgen.autoregressive.raster import element_dependencies, raster_order
from jaxgen.distributions.logistic_mixture import MixtureOfLogistics
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables

_INIT_BATCH = 32  # noise images that the first scales and biases are fitted to


@final
@dataclass(frozen=True)
class PixelCNNPP(Autoregressive):
    """PixelCNN++ over images of whole levels.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each pixel the numbers that the observation wants.
      observation: of a sub-pixel.
    """

    shape: tuple[int, ...]
    network: ShiftedResNet
    observation: MixtureOfLogistics

    def __post_init__(self) -> None:
        if len(self.shape) != 3:
            raise ConfigError(f"PixelCNN++ is for images [H, W, C], not {list(self.shape)}")
        wanted = self.observation.num_outputs(self.shape[-1])
        if self.network.outputs != wanted:
            raise ConfigError(f"network.outputs: got {self.network.outputs}, expected {wanted}")

    @property
    def num_classes(self) -> int:
        """The number of classes that the model is conditioned on; 0 for none."""
        return self.network.num_classes

    @property
    def order(self) -> np.ndarray:
        """The raster order, the channels of a pixel in turn, [D]."""
        return raster_order(self.shape)

    def dependencies(self) -> np.ndarray:
        """Return what the streams reach of other pixels, and the channels before, [D, D]."""
        height, width, channels = self.shape
        return element_dependencies(self.network.field(height, width), channels)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'network'}.

        The noise that they are fitted to comes from the key too.
        """
        key, noise_key, label_key = jax.random.split(key, 3)
        levels = self.observation.levels
        x = jax.random.randint(noise_key, (_INIT_BATCH, *self.shape), 0, levels)
        label = None
        if self.num_classes:
            label = jax.random.randint(label_key, (_INIT_BATCH,), 0, self.num_classes)
        seen = self.observation.normalize(x.astype(jnp.result_type(float)))
        return {"network": {"params": self.network.init(key, seen, label)}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("pixel_cnn_pp", ("network",), self.likelihood_loss, tx),)

    def in_training(self, key: Key) -> dict[str, Any]:
        """Return the key of dropout."""
        return {"dropout_key": key}

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        *,
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[jax.Array, "b h w c p"]:
        """Return the parameters of every p(x_i | x_<i); with a key, under dropout."""
        self._require_label(label)
        params = variables["network"]["params"]
        seen = self.observation.normalize(x)
        outputs = self.network.apply(params, seen, label, dropout_key)
        return jnp.asarray(self.observation.sub_pixels(outputs, x))

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        *,
        label: Array | None = None,
    ) -> Float[jax.Array, "b h w c"]:
        """Return images made pixel by pixel, from a cache of every layer: O(1) a pixel."""
        self._require_label(label)
        channels = self.shape[-1]

        def draw(pixel: Array, outputs: Array) -> tuple[Array, Array]:
            x = jnp.zeros((num, channels))
            for c in range(channels):
                # The channels before shift the means of this one.
                params = self.observation.sub_pixels(outputs, x)[:, c]
                x = x.at[:, c].set(choose(pixel * channels + c, params))
            return x, self.observation.normalize(x)

        weights = self.network.weights(variables["network"]["params"])
        return PixelCNNPPSampler(self.network, weights, self.shape, draw, label).sample(num)

    def _require_label(self, label: Array | None) -> None:
        """Require a label exactly where there are classes."""
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
    """Return a PixelCNN++ from plain numbers; the defaults are those of the published code.

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
