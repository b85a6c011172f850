"""A multi-layer perceptron."""

import flax.linen as nn
from flax.typing import Initializer
from jaxtyping import Float

from jaxgen.nn.activation import activation
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array


class MLP(nn.Module):
    """Dense layers, an activation after each but the last: [..., I] -> [..., features].

    Attributes:
      hidden: widths of the hidden layers; () is one linear map.
      features: width of the output.
      activation: name of the activation.
      dtype: what to compute in; parameters and the output are at least float32.
      kernel_init: of the last layer's weights; None: lecun_normal, as those before.
    """

    hidden: tuple[int, ...]
    features: int
    activation: str = "tanh"
    dtype: str = "float32"
    kernel_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... o"]:
        """Apply the layers."""
        for width in self.hidden:
            x = nn.Dense(width, dtype=self.dtype)(x)
            x = activation(self.activation)(x)
        kernel_init = self.kernel_init or nn.initializers.lecun_normal()
        last = nn.Dense(self.features, dtype=self.dtype, kernel_init=kernel_init)
        return at_least_float32(last(x))
