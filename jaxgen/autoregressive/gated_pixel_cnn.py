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

A sample takes one pass of the vertical stack per row, and per pixel the last p maps of each layer.

van den Oord et al., 2016, "Conditional image generation with PixelCNN decoders" (arXiv 1606.05328),
sections 2.1 to 2.3 and figure 2.

*Differs from the paper:* skips from every horizontal layer to the head, coordinates of a pixel and
dropout are settings, off by default; there is no location-dependent condition m(h).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.gated_stacks import GatedStacks
from jaxgen.errors import ConfigError
from jaxgen.nn import require_positive
from jaxgen.observation import Bernoulli, Observation
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class GatedPixelCNN:
    """A Gated PixelCNN over images.

    Attributes:
      shape: of an image, [H, W, C].
      network: gives each element the parameters of its distribution.
      observation: of an element.
    """

    shape: tuple[int, ...]
    network: GatedStacks
    observation: Observation = Bernoulli()  # noqa: RUF009 (frozen)

    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    @property
    def num_classes(self) -> int:
        """Classes that the model is conditioned on; 0 for none."""
        return self.network.num_classes

    @property
    def order(self) -> np.ndarray:
        """Row by row, the channels of a pixel in turn, [D]."""
        return np.arange(np.prod(self.shape))

    def dependencies(self) -> np.ndarray:
        """A rectangle of other pixels, and the channels before, [D, D]."""
        height, width, channels = self.shape
        before = np.tri(channels, k=-1, dtype=bool)
        pixels = np.kron(self.network.field(), np.ones((channels, channels), bool))
        return pixels | np.kron(np.eye(height * width, dtype=bool), before)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'gated_pixel_cnn'}."""
        return {"gated_pixel_cnn": self.network.init(key)}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("gated_pixel_cnn", ("gated_pixel_cnn",), self.gated_pixel_cnn_loss, tx),)

    def gated_pixel_cnn_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """-log p(x | conditions) in nats, under dropout if there is any; mean over the batch."""
        condition = chain_rule.conditions(self, batch)
        dropout_key = key if self.network.dropout else None
        log_prob = self.log_prob(variables, batch["image"], dropout_key=dropout_key, **condition)
        return -log_prob.mean(), ({}, {})

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
        *,
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w c p"]:
        """Parameters of every p(x_i | x_<i, label); with a key, under dropout."""
        weights = self.network.apply(variables["gated_pixel_cnn"])
        x = self.observation.normalize(x)
        outputs = self.network.outputs(weights, x, label, dropout_key)
        return outputs.reshape(*x.shape, -1)

    def generate(
        self, variables: Variables, choose: Choose, num: int, *, label: Array | None = None
    ) -> Float[Array, "b h w c"]:
        """Row by row, the vertical stack first, and in a row pixel by pixel."""
        weights = self.network.apply(variables["gated_pixel_cnn"])
        net, (height, width, _) = self.network, self.shape
        draw = self._pixel(weights, choose)

        def row(above, number):
            """One row of the vertical stack, and from its links the pixels of that row."""
            links, above = net.vertical_row(weights, above, number, label)
            items = links, number * width + jnp.arange(width)
            _, (values, image) = jax.lax.scan(draw, net.nothing_left(weights, num), items)
            return net.below(above, image.swapaxes(0, 1)), values

        _, x = jax.lax.scan(row, net.nothing_above(weights, num), jnp.arange(height))
        return x.transpose(2, 0, 1, 3)

    def _pixel(self, weights, choose):
        """A step along a row: draws the channels of a pixel."""
        channels, num_params = self.shape[-1], self.observation.num_params

        def draw(left, item):
            links, pixel = item
            beside = self.network.beside(weights, left, links)
            here, values = jnp.zeros((links[0].shape[0], channels), self.network.dtype), []
            for c in range(channels):
                outputs, read = self.network.at_pixel(weights, here, beside)
                params = outputs[:, c * num_params : (c + 1) * num_params]
                values.append(choose(pixel * channels + c, params))
                normalized = self.observation.normalize(values[-1])
                here = here.at[:, c].set(normalized.astype(here.dtype))
            left = self.network.moved(left, here, read)
            return left, (jnp.stack(values, axis=1), here)

        return draw


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
    """A Gated PixelCNN from plain numbers.

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
