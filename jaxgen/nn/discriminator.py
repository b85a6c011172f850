"""Discriminators x -> (logits, features): a trunk makes features, a linear head the logits."""

import flax.linen as nn
import jax
from jaxtyping import Float

from jaxgen.nn.activation import activation
from jaxgen.nn.initializer import Initializer
from jaxgen.nn.minibatch import MinibatchDiscrimination
from jaxgen.typing import Array


class MLPTrunk(nn.Module):
    """A multi-layer perceptron, x [B, *shape] -> features [B, F], its last hidden layer.

    Attributes:
      hidden: widths of the hidden layers.
      activation: of the hidden layers.
      pieces: more than 1 makes each unit the largest of so many (maxout), with no activation.
      spectral: divide each weight by its largest singular value.
      input_scale: the input is multiplied by it.
      noise: standard deviation of Gaussian noise in training on the input, and on hidden layers.
      dropout: fraction of the input, and of hidden units, left out in training.
      minibatch: kernels of minibatch discrimination after the last layer; 0: none.
      initializer: of the weights.
    """

    hidden: tuple[int, ...]
    activation: str = "leaky_relu"
    pieces: int = 1
    spectral: bool = False
    input_scale: float = 1.0
    noise: tuple[float, float] = (0.0, 0.0)
    dropout: tuple[float, float] = (0.0, 0.0)
    minibatch: int = 0
    initializer: Initializer = Initializer()

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], *, train: bool) -> Float[Array, "b f"]:
        """Return the features of each example."""
        input_noise, hidden_noise = self.noise
        input_dropout, hidden_dropout = self.dropout
        x = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        x = self.disturbed(self.input_scale * x, input_noise, input_dropout, train)
        for width in self.hidden:
            x = dense(x, self.pieces * width, self.initializer, self.spectral, train)
            x = self.activated(x, width)
            x = self.disturbed(x, hidden_noise, hidden_dropout, train)
        if self.minibatch:
            return MinibatchDiscrimination(self.minibatch)(x)
        return x

    def activated(self, x: Float[jax.Array, "b i"], width: int) -> Float[jax.Array, "b o"]:
        """Return the units of a layer from its linear outputs."""
        if self.pieces > 1:
            pieces = x.reshape(-1, width, self.pieces)  # [B, W * P] -> [B, W, P]
            return pieces.max(axis=-1)
        return activation(self.activation)(x)

    def disturbed(self, x: Array, noise: float, dropout: float, train: bool) -> Array:
        """Return x with Gaussian noise and dropout in training, else x itself."""
        if train and noise:
            x = x + noise * jax.random.normal(self.make_rng("noise"), x.shape)
        if train and dropout:
            x = nn.Dropout(dropout, rng_collection="noise")(x, deterministic=False)
        return x


class Discriminator(nn.Module):
    """A trunk with a linear head.

    Attributes:
      trunk: (x, train) -> features [B, F].
      outputs: K numbers of the head for each example; 1: logits are [B].
      spectral: divide the head's weight by its largest singular value, too.
      use_bias: of the head; in a Wasserstein or hinge game a constant cancels.
      initializer: of the head's weights.
    """

    trunk: nn.Module
    outputs: int = 1
    spectral: bool = False
    use_bias: bool = True
    initializer: Initializer = Initializer()

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b ..."],
        *,
        train: bool,
    ) -> tuple[Float[Array, "b ..."], Float[Array, "b f"]]:
        """Return logits, [B] or [B, K], and the trunk's features."""
        features = self.trunk(x, train=train)
        logits = dense(
            features, self.outputs, self.initializer, self.spectral, train, self.use_bias
        )
        if self.outputs == 1:
            # [B, 1] against [B] would broadcast silently to [B, B] in a cost.
            logits = logits[:, 0]
        return logits, features


def dense(
    x: Float[Array, "b i"],
    width: int,
    initializer: Initializer,
    spectral: bool,
    train: bool,
    use_bias: bool = True,
) -> Float[jax.Array, "b o"]:
    """Apply a linear layer, spectrally normalised or not, inside a compact module."""
    layer = nn.Dense(width, use_bias, kernel_init=initializer)
    if not spectral:
        return layer(x)
    normalized = nn.SpectralNorm(layer, collection_name="batch_stats")
    return normalized(x, update_stats=train)
