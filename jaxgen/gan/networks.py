"""Generators z -> x and discriminators x -> (logits, features), dense ones."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn import Initializer, MinibatchDiscrimination, Norm, activation, normalize
from jaxgen.typing import Array

OUTPUTS = {  # how a generator's last layer ends, and where its samples then lie
    "identity": (lambda x: x, (-math.inf, math.inf)),
    "tanh": (jnp.tanh, (-1.0, 1.0)),
    "sigmoid": (jax.nn.sigmoid, (0.0, 1.0)),
}


class MLPGenerator(nn.Module):
    """z [B, Z] -> x [B, *shape].

    Attributes:
      hidden: widths of the hidden layers.
      shape: of an example.
      output: identity, tanh or sigmoid.
      activation: of the hidden layers.
      norm: before each activation.
      num_reference: rows of the reference batch in front of z, for virtual and reference norms.
      initializer: of the weights.
    """

    hidden: tuple[int, ...]
    shape: tuple[int, ...]
    output: str = "identity"
    activation: str = "relu"
    norm: Norm = "none"
    num_reference: int = 0
    initializer: Initializer = Initializer()

    @property
    def range(self) -> tuple[float, float]:
        """Where samples lie."""
        return OUTPUTS[self.output][1]

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], *, train: bool) -> Float[Array, "b ..."]:
        """Samples."""
        for width in self.hidden:
            z = nn.Dense(width, use_bias=self.norm == "none", kernel_init=self.initializer)(z)
            z = normalize(z, self.norm, train=train, num_reference=self.num_reference)
            z = activation(self.activation)(z)
        x = nn.Dense(math.prod(self.shape), kernel_init=self.initializer)(z)
        return OUTPUTS[self.output][0](x).reshape(-1, *self.shape)


class MLPTrunk(nn.Module):
    """x [B, *shape] -> features [B, F], the last hidden layer.

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
        """Features."""
        x = self.input_scale * x.reshape(x.shape[0], -1)
        x = self.disturbed(x, self.noise[0], self.dropout[0], train)
        for width in self.hidden:
            x = dense(x, self.pieces * width, self.initializer, self.spectral, train)
            if self.pieces > 1:
                x = x.reshape(-1, width, self.pieces).max(axis=-1)
            else:
                x = activation(self.activation)(x)
            x = self.disturbed(x, self.noise[1], self.dropout[1], train)
        return MinibatchDiscrimination(self.minibatch)(x) if self.minibatch else x

    def disturbed(self, x: Array, noise: float, dropout: float, train: bool) -> Array:
        """With Gaussian noise and dropout, in training."""
        if train and noise:
            x = x + noise * jax.random.normal(self.make_rng("noise"), x.shape)
        if train and dropout:
            x = nn.Dropout(dropout, rng_collection="noise")(x, deterministic=False)
        return x


class Discriminator(nn.Module):
    """Any trunk with a linear head.

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
        self, x: Float[Array, "b ..."], *, train: bool
    ) -> tuple[Float[Array, "b ..."], Float[Array, "b f"]]:
        """Logits [B] or [B, K], and the trunk's features."""
        features = self.trunk(x, train=train)
        logits = dense(
            features, self.outputs, self.initializer, self.spectral, train, self.use_bias
        )
        return (logits[:, 0] if self.outputs == 1 else logits), features


def dense(
    x: Float[Array, "b i"],
    width: int,
    initializer: Initializer,
    spectral: bool,
    train: bool,
    use_bias: bool = True,
) -> Float[Array, "b o"]:
    """A linear layer, spectrally normalised or not; to be called inside a compact module."""
    layer = nn.Dense(width, use_bias, kernel_init=initializer)
    if not spectral:
        return layer(x)
    return nn.SpectralNorm(layer, collection_name="batch_stats")(x, update_stats=train)
