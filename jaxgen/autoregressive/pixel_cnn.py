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
to the left, so that a pixel costs a few small products, wherever it lies.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), sections 3.3 to 3.6 and table 1.

*Differs from the paper:* the optimiser is a setting; coordinates of a pixel as inputs, and dropout
in the blocks, both off by default, serve data that are small and centred.
"""

from dataclasses import dataclass
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule, masked_resnet
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.masked_resnet import MaskedResNet, Weights
from jaxgen.errors import ConfigError
from jaxgen.nn import conv_rows, require_positive
from jaxgen.observation import Bernoulli, Observation
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class PixelCNN:
    """A PixelCNN over images.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each element the parameters of its distribution.
      observation: of an element.
    """

    shape: tuple[int, ...]
    network: MaskedResNet
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)

    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    @property
    def order(self) -> np.ndarray:
        """Row by row, the channels of a pixel in turn, [D]."""
        return np.arange(np.prod(self.shape))

    def dependencies(self) -> np.ndarray:
        """What the network reads of other pixels, and the channels before, [D, D]."""
        height, width, channels = self.shape
        before = np.tri(channels, k=-1, dtype=bool)
        pixels = np.kron(self.network.field(), np.ones((channels, channels), bool))
        return pixels | np.kron(np.eye(height * width, dtype=bool), before)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'pixel_cnn'}."""
        return {"pixel_cnn": self.network.init(key)}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("pixel_cnn", ("pixel_cnn",), self.pixel_cnn_loss, tx),)

    def pixel_cnn_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """-log p(x) in nats, under dropout if there is any; mean over the batch."""
        dropout_key = key if self.network.dropout else None
        return -self.log_prob(variables, batch["image"], dropout_key=dropout_key).mean(), ({}, {})

    def conditionals(
        self, variables: Variables, x: Float[Array, "b h w c"], *, dropout_key: Key | None = None
    ) -> Float[Array, "b h w c p"]:
        """Parameters of every p(x_i | x_<i); with a key, under dropout."""
        weights = self.network.apply(variables["pixel_cnn"])
        outputs = self.network.outputs(weights, self.observation.normalize(x), dropout_key)
        return outputs.reshape(*x.shape, -1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b h w c"]:
        """Row by row, and in a row pixel by pixel, on what each layer needs of those before."""
        weights = self.network.apply(variables["pixel_cnn"])
        blocks = weights.blocks
        (height, width, channels), (layers, q1, _, h, _) = self.shape, blocks.conv.shape
        p, q, zeros = len(weights.first) - 1, q1 - 1, jnp.zeros
        draw = self._pixel(weights, choose)

        def row(above, item):
            """Adds up what each layer reads in the rows above, then draws the pixels."""
            image, maps = above
            number, bias = item
            first = conv_rows(image, weights.first[:-1])[:, 0] + bias
            reads = jax.vmap(conv_rows)(maps, blocks.conv[:, :-1])[:, :, 0]
            reads = reads + blocks.conv_bias[:, None, None]
            pixels = number * width + jnp.arange(width)
            items = first.swapaxes(0, 1), jnp.moveaxis(reads, 2, 0), pixels
            left = zeros((num, p, channels), image.dtype), zeros((layers, num, q, h), image.dtype)
            _, (values, new_image, new_maps) = jax.lax.scan(draw, left, items)
            image = _push(image, new_image.swapaxes(0, 1), 1)
            return (image, _push(maps, new_maps.transpose(1, 2, 0, 3), 2)), values

        dtype = weights.first.dtype
        above = zeros((num, p, width, channels), dtype), zeros((layers, num, q, width, h), dtype)
        bias = jnp.broadcast_to(weights.first_bias, (height, width, weights.first.shape[-1]))
        _, x = jax.lax.scan(row, above, (jnp.arange(height), bias))
        return x.transpose(2, 0, 1, 3)

    def _pixel(self, weights: Weights, choose: Choose):
        """A step along a row: draws the channels of a pixel, from what lies left and above."""
        first, conv = (
            weights.first[-1],
            weights.blocks.conv[:, -1],
        )  # the taps of the pixel's own row
        p, q, channels = first.shape[0] // 2, conv.shape[1] // 2, self.shape[-1]
        num_params = self.observation.num_params

        def draw(left, item):
            image, maps = left  # [B, p, C] of the image, [L, B, q, h] of what the layers read
            above_first, above, pixel = item
            start = above_first + _taps(image, first[:p])
            beside = above + jax.vmap(_taps)(maps, conv[:, :q])
            here, values = jnp.zeros((len(image), channels), first.dtype), []
            for c in range(channels):
                y = start + here @ first[p] if c else start
                outputs, new = _at_pixel(weights, y, conv[:, q], beside)
                params = outputs[:, c * num_params : (c + 1) * num_params]
                values.append(choose(pixel * channels + c, params))
                normalized = self.observation.normalize(values[-1])
                here = here.at[:, c].set(normalized.astype(here.dtype))
            left = _push(image, here, 1), _push(maps, new, 2)
            return left, (jnp.stack(values, axis=1), here, new)

        return draw


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
    """A PixelCNN from plain numbers: 7x7 with mask A, then blocks of 3x3 with mask B.

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


def _at_pixel(weights, y, own, beside):
    """Outputs [B, C P] of one pixel, and what each block's convolution read there, [L, B, h]."""
    read = []

    def convolve(maps):
        read.append(maps)
        return jax.nn.relu(maps @ own[len(read) - 1] + beside[len(read) - 1])

    for number in range(len(own)):
        block = jax.tree.map(itemgetter(number), weights.blocks)
        y = masked_resnet.residual(block, y, convolve)
    return masked_resnet.outputs(weights, y), jnp.stack(read)


def _taps(window, kernel):
    """[B, k, I] with [k, I, O]: one product, [B, O]."""
    return window.reshape(len(window), -1) @ kernel.reshape(-1, kernel.shape[-1])


def _push(window, new, axis):
    """Drops the oldest entry along `axis` and appends `new`."""
    kept = jax.lax.slice_in_dim(window, 1, None, axis=axis)
    return jnp.concatenate([kept, jnp.expand_dims(new, axis)], axis)
