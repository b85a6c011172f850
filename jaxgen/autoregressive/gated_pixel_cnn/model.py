"""Gated PixelCNN: two stacks of convolutions, which leave no blind spot, and a class to draw.

A vertical stack sees all rows above a pixel, a horizontal one the pixels left of it in its row and,
through a 1x1 link in every layer, what the vertical stack has made of the rows above. Together they
see a full rectangle, where the masks of `pixel_cnn` leave a blind spot. The factors are those of

    log p(x | y) = sum over pixels i and channels c of log p(x_ic | x_<i, x_i1, ..., x_i(c-1), y),

and every layer is gated: of two maps a, b it passes on tanh(a + V_a[y]) * sigmoid(b + V_b[y]),
where y is the class, if there are classes. The first vertical convolution reads the p + 1 rows
above the pixel, k = 2 p + 1 columns wide, the later ones its row too, and the link does not shift.
The first horizontal convolution leaves out the pixel itself (mask A), the others do not (mask B).
With colours the horizontal maps, both halves of a gate alike, are cut into groups R, G, B, each of
which sees at the pixel itself only those before it and, from the second layer on, its own; the
vertical maps need no groups, for all they read lies in finished rows.

A sample takes one pass of the vertical stack per row, and per pixel the last p maps of each layer
(`sampler.py`).

van den Oord et al., 2016, "Conditional image generation with PixelCNN decoders" (arXiv 1606.05328),
sections 2.1 to 2.3 and figure 2.

*Differs from the paper:* skips from every horizontal layer to the head, coordinates of a pixel and
dropout are settings, off by default; there is no location-dependent condition m(h).
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
from jaxgen.autoregressive.gated_pixel_cnn.sampler import GatedPixelCNNSampler
from jaxgen.autoregressive.gated_pixel_cnn.stacks import GatedStacks, Weights
from jaxgen.autoregressive.raster import element_dependencies, raster_order
from jaxgen.distributions.observation import Bernoulli, Observation
from jaxgen.errors import ConfigError
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class GatedPixelCNN(Autoregressive):
    """A Gated PixelCNN over images.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each element the parameters of its distribution.
      observation: of an element.
    """

    shape: tuple[int, ...]
    network: GatedStacks
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)

    @property
    def num_classes(self) -> int:
        """The number of classes that the model is conditioned on; 0 for none."""
        return self.network.num_classes

    @property
    def order(self) -> np.ndarray:
        """The raster order, the channels of a pixel in turn, [D]."""
        return raster_order(self.shape)

    def dependencies(self) -> np.ndarray:
        """Return the rectangle of other pixels that is read, and the channels before, [D, D]."""
        return element_dependencies(self.network.field(), self.shape[-1])

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'gated_pixel_cnn'}."""
        return {"gated_pixel_cnn": kept(self.network, self.network.init(key))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("gated_pixel_cnn", ("gated_pixel_cnn",), self.likelihood_loss, tx),)

    def in_training(self, key: Key) -> dict[str, Any]:
        """Return the key of dropout, if there is any dropout."""
        return {"dropout_key": key} if self.network.dropout else {}

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        *,
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[jax.Array, "b h w c p"]:
        """Return the parameters of every p(x_i | x_<i, label); with a key, under dropout."""
        weights = self._weights(variables)
        x = self.observation.normalize(x)
        outputs = self.network.outputs(weights, x, label, dropout_key)
        return jnp.reshape(outputs, (*x.shape, -1))  # [B, H, W, C P] -> [B, H, W, C, P]

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        *,
        label: Array | None = None,
    ) -> Float[jax.Array, "b h w c"]:
        """Return images made row by row, the vertical stack first, and in a row pixel by pixel."""
        weights = self._weights(variables)
        return GatedPixelCNNSampler(self.network, weights, self.observation, choose, label).sample(
            num
        )

    def _weights(self, variables: Variables) -> Weights:
        """Return the network's weights, masked."""
        return cast(Weights, self.network.apply(variables["gated_pixel_cnn"]))


def build(
    shape: tuple[int, ...],
    *,
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    num_layers: int = 7,
    features: int = 64,
    kernel_size: int = 3,
    head: int = 64,
    num_classes: int = 0,
    skips: bool = False,
    coordinates: bool = False,
    dropout: float = 0.0,
    dtype: str = "float32",
) -> GatedPixelCNN:
    """Return a Gated PixelCNN from plain numbers.

    Args:
      shape: of an image, [H, W, C].
      observation: of an element.
      num_layers: gated layers.
      features: maps of each stack, a multiple of C.
      kernel_size: k, odd and at least 3.
      head: maps of the hidden 1x1 convolution, a multiple of C.
      num_classes: classes to condition on; 0 for none.
      skips: the head reads every horizontal layer, rather than the last.
      coordinates: let every pixel know its row and column.
      dropout: part of the horizontal maps left out in training.
      dtype: what the network computes in.
    """
    require_positive(num_layers=num_layers, features=features, head=head)
    if len(shape) != 3:
        raise ConfigError(f"a Gated PixelCNN is for images [H, W, C], not {list(shape)}")
    if features % shape[-1] or head % shape[-1]:
        raise ConfigError(
            f"features {features}, head {head}: expected multiples of the {shape[-1]} channels"
        )
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ConfigError(f"kernel_size: got {kernel_size}, expected an odd number >= 3")
    network = GatedStacks(
        tuple(shape),
        observation.num_params,
        num_layers,
        features,
        head,
        kernel_size,
        num_classes,
        skips,
        coordinates,
        dropout,
        dtype,
    )
    return GatedPixelCNN(tuple(shape), network, observation)
