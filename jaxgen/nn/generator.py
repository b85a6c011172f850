"""A dense generator z -> x."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.activation import activation
from jaxgen.nn.batch_norm import Norm, normalize
from jaxgen.nn.initializer import Initializer
from jaxgen.typing import Array


class Output(NamedTuple):
    """The end of a generator.

    Attributes:
      function: what the last layer passes through.
      range: where the samples then lie.
    """

    function: Callable[[jax.Array], jax.Array]
    range: tuple[float, float]


OUTPUTS = {
    "identity": Output(lambda x: x, (-math.inf, math.inf)),
    "tanh": Output(jnp.tanh, (-1.0, 1.0)),
    "sigmoid": Output(jax.nn.sigmoid, (0.0, 1.0)),
}


class MLPGenerator(nn.Module):
    """A multi-layer perceptron, z [B, Z] -> x [B, *shape].

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
        """The bounds of samples."""
        return OUTPUTS[self.output].range

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], *, train: bool) -> Float[Array, "b ..."]:
        """Return samples, one for each row of z."""
        use_bias = self.norm == "none"  # a normalisation has a bias of its own
        for width in self.hidden:
            z = nn.Dense(width, use_bias=use_bias, kernel_init=self.initializer)(z)
            z = normalize(z, self.norm, train=train, num_reference=self.num_reference)
            z = activation(self.activation)(z)
        size = math.prod(self.shape)
        x = nn.Dense(size, kernel_init=self.initializer)(z)
        x = OUTPUTS[self.output].function(x)
        return x.reshape(-1, *self.shape)  # [B, D] -> [B, *shape]
