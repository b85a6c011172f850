"""RealNVP: a flow of affine couplings, for vectors.

Each layer keeps one half of the elements, and scales and shifts the other half by functions of what
it keeps (`coupling.py`); the halves, elements of even and of odd index, change places from layer to
layer. The objective is the likelihood itself,

    log p(x) = sum_i log N(z_i; 0, 1) + sum over layers and elements of (1 - b) s(b x).

At first the last layer of each network is 0, so that f is the identity.

Dinh et al., 2017, "Density estimation using Real NVP" (arXiv 1605.08803), sections 3.1 to 3.5.

*Differs from the paper:* networks are plain perceptrons, s and t two halves of one; there is no
batch normalisation, and no squeezing or factoring out: the form for images is not here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import flax.linen as nn

from jaxgen.arguments import COUNT, require_positive, require_within
from jaxgen.errors import ConfigError
from jaxgen.flow.base import Flow
from jaxgen.flow.bijection import Bijection
from jaxgen.flow.coupling import AffineCouplings
from jaxgen.flow.prior import prior
from jaxgen.nn import MLP
from jaxgen.nn.activation import activation


@final
@dataclass(frozen=True)
class RealNVP(Flow):
    """A flow of affine couplings.

    Attributes:
      shape: of one example; D elements, at least 2.
      hidden: widths of the hidden layers of each coupling's network.
      num_couplings: how many, at least 2, so that each element is moved.
      prior: of an element of z: 'normal', 'logistic' or 'laplace'.
      activation: of the hidden layers.
      dtype: what the networks compute in.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (64, 64)
    num_couplings: int = 8
    prior: str = "normal"
    activation: str = "relu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        require_couplings(self.shape, self.hidden, self.num_couplings)
        prior(self.prior)
        activation(self.activation)

    def bijections(self) -> Mapping[str, Bijection]:
        """Return the stack of couplings."""
        network = MLP(
            self.hidden,
            2 * self.dim,
            self.activation,
            self.dtype,
            kernel_init=nn.initializers.zeros_init(),
        )
        return {"couplings": AffineCouplings(network, self.dim, self.num_couplings)}


def require_couplings(
    shape: tuple[int, ...],
    hidden: tuple[int, ...],
    num_couplings: int,
) -> None:
    """Raise ConfigError unless there are two halves, and each of them is moved."""
    require_positive(shape=shape, hidden=hidden)
    require_within(2, COUNT, num_couplings=num_couplings)
    if math.prod(shape) < 2:
        raise ConfigError(f"shape: got {list(shape)}, expected 2 elements or more: two halves")
