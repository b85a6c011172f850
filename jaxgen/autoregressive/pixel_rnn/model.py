"""PixelRNN: an image pixel by pixel and, within a pixel, R, G, B, by two-dimensional LSTMs.

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

in raster order, each factor a 256-way softmax (of binary images: one logit). A 7x7 convolution with
mask A makes 2h maps; residual layers, Row LSTMs or Diagonal BiLSTMs of h features, carry what
earlier pixels say as far as their structure reaches; 1x1 convolutions with mask B make the outputs.
The loss is -log p(x), one pass over the whole image.

The sampler keeps, for each layer, the states that later pixels read: O(L h^2) a pixel, whatever the
place (`sampler.py`).

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759). Its multi-scale model is in `multi_scale.py`, its PixelCNN in `pixel_cnn/`.

*Differs from the paper:* Adam for RMSProp, a setting of the optimiser. A third 1x1 convolution
makes the outputs of the head's maps. `coordinates` tells every layer where a pixel is, for images
in which the place means something (centred digits); the paper has none.
"""

import math
from dataclasses import dataclass
from typing import TypedDict, Unpack, cast, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Autoregressive, Choose
from jaxgen.autoregressive.pixel_rnn.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn.network import PixelRNNNetwork, Weights
from jaxgen.autoregressive.pixel_rnn.row_lstm import RowLSTM
from jaxgen.autoregressive.pixel_rnn.sampler import PixelRNNSampler
from jaxgen.autoregressive.raster import raster_order
from jaxgen.distributions.observation import Bernoulli, Observation
from jaxgen.errors import ConfigError
from jaxgen.nn import coordinates
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class PixelRNN(Autoregressive):
    """A PixelRNN over images.

    Attributes:
      shape: (H, W, C) of an image.
      network: its parameters.
      observation: p(x_i | ...) of an element: Categorical(256) for bytes.
      coordinates: the layers see the row and the column of a pixel.
      context_dim: channels of a map [B, H, W, context_dim] on which the model is conditioned.
    """

    shape: tuple[int, ...]
    network: PixelRNNNetwork
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)
    coordinates: bool = False
    context_dim: int = 0

    @property
    def order(self) -> np.ndarray:
        """The raster order, the channels of a pixel in turn, [D]."""
        return raster_order(self.shape)

    def dependencies(self, context: Bool[np.ndarray, "h w d"] | None = None) -> np.ndarray:
        """Return what the structure reads, [D, D].

        Args:
          context: elements of the image that each pixel of the context reads; None for none.
        """
        dim = math.prod(self.shape)
        if context is None:
            height, width, _ = self.shape
            context = np.zeros((height, width, dim), bool)
        return self.network.reach(self.shape, context).reshape(dim, dim)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'pixel_rnn'}."""
        return {"pixel_rnn": kept(self.network, self.network.init(key))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("pixel_rnn", ("pixel_rnn",), self.likelihood_loss, tx),)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        context: Float[Array, "b h w k"] | None = None,
    ) -> Float[jax.Array, "b h w c p"]:
        """Return the parameters of every p(x_i | ...) in one pass."""
        weights = self._weights(variables)
        outputs = weights.forward(self.observation.normalize(x), self._beside(context))
        # [B, H, W, C P] -> [B, H, W, C, P]
        return jnp.reshape(outputs, (*x.shape, self.observation.num_params))

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        context: Float[Array, "b h w k"] | None = None,
    ) -> Float[jax.Array, "b h w c"]:
        """Return images made pixel by pixel on kept states.

        It is a scan over rows, in it one over the pixels of a row.
        """
        weights = self._weights(variables)
        sampler = PixelRNNSampler(weights, self.shape, self._seen, choose)
        return sampler.sample(num, self._beside(context))

    def _seen(self, values: Array) -> Array:
        """Return values as the first convolution sees them."""
        return self.observation.normalize(values).astype(self.network.dtype)

    def _weights(self, variables: Variables) -> Weights:
        """Return the network's weights, masked."""
        return cast(Weights, self.network.apply(variables["pixel_rnn"]))

    def _beside(self, context: Array | None) -> Array | None:
        """Return what the layers see beside the image: the context and the coordinates, or None.

        Raises:
          ConfigError: the context has not `context_dim` channels.
        """
        if (0 if context is None else context.shape[-1]) != self.context_dim:
            found = None if context is None else list(context.shape)
            raise ConfigError(f"context: got {found}, expected [B, H, W, {self.context_dim}]")
        if not self.coordinates:
            return context
        height, width, _ = self.shape
        grid = jnp.asarray(coordinates(height, width), self.network.dtype)[None]  # [1, H, W, 2]
        if context is None:
            return grid
        grid = jnp.broadcast_to(grid, (*context.shape[:3], 2))
        return jnp.concatenate([context.astype(grid.dtype), grid], axis=-1)


class LayerSettings(TypedDict, total=False):
    """The settings of `build` that a kind of layers and a shape leave open."""

    observation: Observation
    num_layers: int
    features: int
    head: int
    kernel_size: int
    coordinates: bool
    context_dim: int
    dtype: str


def row_lstm(
    shape: tuple[int, ...],
    **settings: Unpack[LayerSettings],
) -> PixelRNN:
    """Return a PixelRNN of Row LSTMs; settings as in `build`."""
    return build(RowLSTM, shape, **settings)


def diagonal_bilstm(
    shape: tuple[int, ...],
    **settings: Unpack[LayerSettings],
) -> PixelRNN:
    """Return a PixelRNN of Diagonal BiLSTMs; settings as in `build`."""
    return build(DiagonalBiLSTM, shape, **settings)


def build(
    kind: type[RowLSTM] | type[DiagonalBiLSTM],
    shape: tuple[int, ...],
    *,
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    num_layers: int = 7,
    features: int = 16,
    head: int = 32,
    kernel_size: int = 7,
    coordinates: bool = False,
    context_dim: int = 0,
    dtype: str = "float32",
) -> PixelRNN:
    """Return a PixelRNN of equal layers.

    Args:
      kind: of the layers.
      shape: (H, W, C) of an image; for C > 1 all widths must be multiples of C.
      observation: p(x_i | ...) of an element.
      num_layers: L.
      features: h of a layer; 2h between layers.
      head: maps of the 1x1 convolutions.
      kernel_size: of the first convolution, odd.
      coordinates: the layers see the row and the column of a pixel.
      context_dim: channels of a map on which the model is conditioned.
      dtype: what the network computes in.
    """
    require_positive(num_layers=num_layers, features=features, head=head)
    if len(shape) != 3:
        raise ConfigError(f"a PixelRNN is for images [H, W, C], not {list(shape)}")
    if kernel_size % 2 == 0 or kernel_size < 3:
        raise ConfigError(f"kernel_size: got {kernel_size}, expected an odd number >= 3")
    beside = context_dim + 2 * coordinates
    layers = tuple(kind(features, shape[2], beside, dtype) for _ in range(num_layers))
    network = PixelRNNNetwork(layers, shape[2], observation.num_params, head, kernel_size, dtype)
    return PixelRNN(shape, network, observation, coordinates, context_dim)
