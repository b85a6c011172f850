"""A multi-layer perceptron."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.activation import activation
from jaxgen.typing import Array


class MLP(nn.Module):
    """Dense layers with an activation after each but the last; [..., I] -> [..., features].

    Attributes:
      hidden: widths of the hidden layers; () is one linear map.
      features: width of the output.
      activation: name of the activation.
      dtype: what to compute in; parameters are float32 and so is the output.
    """

    hidden: tuple[int, ...]
    features: int
    activation: str = "tanh"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        """Applies the layers."""
        for width in self.hidden:
            x = activation(self.activation)(nn.Dense(width, dtype=self.dtype)(x))
        return nn.Dense(self.features, dtype=self.dtype)(x).astype(jnp.float32)
