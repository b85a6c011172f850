"""PixelCNN: a stack of masked convolutions gives every pixel's distribution in one pass.

A convolution whose kernel is masked, so that a pixel is computed from pixels before it in raster
order alone, makes all factors of

    log p(x) = sum over pixels i and channels c of log p(x_ic | x_<i, x_i1, ..., x_i(c-1))

at once: training is parallel. The first layer has mask A, which leaves out the pixel itself, all
others mask B. With colours all maps are cut into groups, in the order R, G, B; at the pixel itself
a group sees those before it, and its own from the second layer on. The price of masking is a blind
spot: in row r - k a pixel of column c sees no column right of c + k + 2, however deep the network
(`gated_pixel_cnn` has none).

A sample is drawn pixel by pixel, but each layer's new value needs only the row above and the pixel
to the left, so that a pixel costs a few small products, wherever it lies (`sampler.py`).

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), sections 3.3 to 3.6 and table 1.

*Differs from the paper:* the optimiser is a setting; coordinates of a pixel as inputs, and dropout
in the blocks, both off by default, serve data that are small and centred.
"""

from dataclasses import dataclass
from typing import Any, cast, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Autoregressive, Choose
from jaxgen.autoregressive.pixel_cnn.masked_resnet import MaskedResNet, Weights
from jaxgen.autoregressive.pixel_cnn.sampler import PixelCNNSampler
from jaxgen.autoregressive.raster import element_dependencies, raster_order
from jaxgen.distributions.observation import Bernoulli, Observation
from jaxgen.errors import ConfigError
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class PixelCNN(Autoregressive):
    """A PixelCNN over images.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each element the parameters of its distribution.
      observation: of an element.
    """

    shape: tuple[int, ...]
    network: MaskedResNet
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)

    @property
    def order(self) -> np.ndarray:
        """The raster order, the channels of a pixel in turn, [D]."""
        return raster_order(self.shape)

    def dependencies(self) -> np.ndarray:
        """Return what the network reads of other pixels, and the channels before, [D, D]."""
        return element_dependencies(self.network.field(), self.shape[-1])

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'pixel_cnn'}."""
        return {"pixel_cnn": kept(self.network, self.network.init(key))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("pixel_cnn", ("pixel_cnn",), self.likelihood_loss, tx),)

    def in_training(self, key: Key) -> dict[str, Any]:
        """Return the key of dropout, if there is any dropout."""
        return {"dropout_key": key} if self.network.dropout else {}

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        *,
        dropout_key: Key | None = None,
    ) -> Float[jax.Array, "b h w c p"]:
        """Return the parameters of every p(x_i | x_<i); with a key, under dropout."""
        weights = self._weights(variables)
        outputs = self.network.outputs(weights, self.observation.normalize(x), dropout_key)
        return jnp.reshape(outputs, (*x.shape, -1))  # [B, H, W, C P] -> [B, H, W, C, P]

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b h w c"]:
        """Return images made pixel by pixel, on what each layer needs of those before."""
        observation = self.observation
        sampler = PixelCNNSampler(
            self._weights(variables),
            self.shape,
            observation.num_params,
            observation.normalize,
            choose,
        )
        return sampler.sample(num)

    def _weights(self, variables: Variables) -> Weights:
        """Return the network's weights, masked."""
        return cast(Weights, self.network.apply(variables["pixel_cnn"]))


def build(
    shape: tuple[int, ...],
    *,
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    num_layers: int = 15,
    features: int = 32,
    head: int = 32,
    coordinates: bool = False,
    dropout: float = 0.0,
    dtype: str = "float32",
) -> PixelCNN:
    """Return a PixelCNN from plain numbers: 7x7 with mask A, then blocks of 3x3 with mask B.

    Args:
      shape: of an image, [H, W, C].
      observation: of an element.
      num_layers: residual blocks; 15 in the paper.
      features: maps between the blocks, the paper's 2h (its h = 128 makes 256); a multiple of 2 C.
      head: maps of the two hidden 1x1 convolutions, a multiple of C; the paper's 32 for MNIST and
        1024 for CIFAR-10.
      coordinates: let every pixel know its row and column.
      dropout: part of a block's maps left out in training.
      dtype: what the network computes in.
    """
    require_positive(num_layers=num_layers, features=features, head=head)
    if len(shape) != 3:
        raise ConfigError(f"a PixelCNN is for images [H, W, C], not {list(shape)}")
    if features % (2 * shape[-1]) or head % shape[-1]:
        raise ConfigError(
            f"features {features}, head {head}: with {shape[-1]} channels C expected a multiple "
            "of 2 C and one of C"
        )
    network = MaskedResNet(
        tuple(shape),
        observation.num_params,
        num_layers,
        features,
        head,
        coordinates=coordinates,
        dropout=dropout,
        dtype=dtype,
    )
    return PixelCNN(tuple(shape), network, observation)
