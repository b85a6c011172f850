"""PixelRNN: an image pixel by pixel and, within a pixel, R, G, B, by two-dimensional LSTMs.

    p(x) = prod_i p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

in raster order, each factor a 256-way softmax (of binary images: one logit). A 7x7 convolution with
mask A makes 2h maps; residual layers, Row LSTMs or Diagonal BiLSTMs of h features, carry what
earlier pixels say as far as their structure reaches; 1x1 convolutions with mask B make the outputs.
The loss is -log p(x), one pass over the whole image.

The sampler keeps, for each layer, the states that later pixels read: O(L h^2) a pixel, whatever the
place.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759). Its multi-scale model is in `multi_scale.py`, its PixelCNN in `pixel_cnn.py`.

*Differs from the paper:* Adam for RMSProp, a setting of the optimiser. A third 1x1 convolution
makes the outputs of the head's maps. `coordinates` tells every layer where a pixel is, for images
in which the place means something (centred digits); the paper has none.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn_network import PixelRNNNetwork
from jaxgen.autoregressive.row_lstm import RowLSTM
from jaxgen.errors import ConfigError
from jaxgen.nn import coordinates, require_positive
from jaxgen.observation import Bernoulli, Observation
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class PixelRNN:
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

    pixel_rnn_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    @property
    def order(self) -> np.ndarray:
        """Raster order, the channels of a pixel in turn, [D]."""
        return np.arange(math.prod(self.shape))

    def dependencies(self, context: Bool[np.ndarray, "h w d"] | None = None) -> np.ndarray:
        """What the structure reads, [D, D]; `context`: elements that each of its pixels reads."""
        dim = math.prod(self.shape)
        if context is None:
            context = np.zeros((*self.shape[:2], dim), bool)
        return self.network.reach(self.shape, context).reshape(dim, dim)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'pixel_rnn'}."""
        return {"pixel_rnn": self.network.init(key)}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("pixel_rnn", ("pixel_rnn",), self.pixel_rnn_loss, tx),)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        context: Float[Array, "b h w k"] | None = None,
    ) -> Float[Array, "b h w c p"]:
        """Parameters of every p(x_i | ...) in one pass."""
        weights = self.network.apply(variables["pixel_rnn"])
        outputs = weights.forward(self.observation.normalize(x), self._beside(context))
        return outputs.reshape(*x.shape, self.observation.num_params)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        context: Float[Array, "b h w k"] | None = None,
    ) -> Float[Array, "b h w c"]:
        """Pixel by pixel on kept states: a scan over rows, in it one over the pixels of a row."""
        weights = self.network.apply(variables["pixel_rnn"])
        height, width, _ = self.shape
        stacked, kind = _stack(weights.layers), type(weights.layers[0])
        pixel = partial(self._pixel, weights, choose)

        def row(carry, step):
            lines, above = carry
            r, beside = step
            # What is done once a row is done for all layers at once.
            opened = jax.vmap(kind.open_row, (0, 0, None), 1)(stacked, above, beside)
            columns = r * width + jnp.arange(width), weights.above(lines), opened
            edge = weights.window(num), tuple(layer.edge(num) for layer in weights.layers)
            _, (values, kept) = jax.lax.scan(pixel, edge, columns)
            above = jax.vmap(kind.close_row, (0, 0, 1, None))(stacked, above, kept, beside)
            line = self._seen(jnp.moveaxis(values, 0, 1)[:, None])
            return (jnp.concatenate([lines[:, 1:], line], axis=1), above), values

        beside = self._beside(context)
        beside = None if beside is None else jnp.moveaxis(beside, 0, 2)  # [H, W, B, k]
        start = weights.lines(num, width), _stack([w.above(num, width) for w in weights.layers])
        _, values = jax.lax.scan(row, start, (jnp.arange(height), beside))
        return jnp.moveaxis(values, 2, 0)

    def _pixel(self, weights, choose, carry, step):
        """One pixel, once for each of its channels; the last pass has read what is to be kept."""
        window, before = carry
        place, above, columns = step
        channels, values = self.shape[2], []
        own = jnp.zeros((len(window), 1, channels), window.dtype)
        for channel in range(channels):
            y, after, kept = weights.first(above, jnp.concatenate([window, own], axis=1)), [], []
            for i, layer in enumerate(weights.layers):
                column = jax.tree.map(lambda leaf, i=i: leaf[i], columns)
                y, state, keep = layer.pixel(y, before[i], column)
                after.append(state)
                kept.append(keep)
            params = weights.outputs(y).reshape(len(y), channels, -1)[:, channel]
            values.append(choose(place * channels + channel, params))
            own = own.at[:, 0, channel].set(self._seen(values[-1]))
        window = jnp.concatenate([window, own], axis=1)[:, 1:]
        return (window, tuple(after)), (jnp.stack(values, axis=1), _stack(kept))

    def _seen(self, values):
        """Values as the first convolution sees them."""
        return self.observation.normalize(values).astype(self.network.dtype)

    def _beside(self, context):
        """What the layers see beside the image: the context and the coordinates, or None."""
        if (0 if context is None else context.shape[-1]) != self.context_dim:
            found = None if context is None else list(context.shape)
            raise ConfigError(f"context: got {found}, expected [B, H, W, {self.context_dim}]")
        if not self.coordinates:
            return context
        grid = jnp.asarray(coordinates(*self.shape[:2]), self.network.dtype)[None]
        if context is None:
            return grid
        grid = jnp.broadcast_to(grid, (*context.shape[:3], 2))
        return jnp.concatenate([context.astype(grid.dtype), grid], axis=-1)


def row_lstm(shape: tuple[int, ...], **settings: Observation | int | bool | str) -> PixelRNN:
    """A PixelRNN of Row LSTMs; settings as in `build`."""
    return build(RowLSTM, shape, **settings)


def diagonal_bilstm(shape: tuple[int, ...], **settings: Observation | int | bool | str) -> PixelRNN:
    """A PixelRNN of Diagonal BiLSTMs; settings as in `build`."""
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
    """A PixelRNN of equal layers.

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


def _stack(trees):
    """Trees of one form as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
