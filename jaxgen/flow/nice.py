"""NICE: a flow of additive couplings, which keep volumes, and one scale for each element.

Each coupling keeps one half of the elements and shifts the other by a function of it
(`coupling.py`), so that its Jacobian has determinant 1; the last layer alone stretches space. With
h = exp(s) times what the couplings make of x,

    log p(x) = sum_i log p(h_i) + sum_i s_i.

The prior of h is logistic, or normal. Three couplings let every element depend on every other; the
paper takes four.

Dinh et al., 2015, "NICE: Non-linear independent components estimation" (arXiv 1410.8516).

*Differs from the paper:* the last layer of each network begins at 0, so that f is the identity at
first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import flax.linen as nn

from jaxgen.flow.base import Flow
from jaxgen.flow.bijection import Bijection
from jaxgen.flow.coupling import AdditiveCouplings
from jaxgen.flow.linear import Diagonal
from jaxgen.flow.prior import prior
from jaxgen.flow.real_nvp import require_couplings
from jaxgen.nn import MLP
from jaxgen.nn.activation import activation


@final
@dataclass(frozen=True)
class NICE(Flow):
    """A flow of additive couplings and a diagonal scale.

    Attributes:
      shape: of one example; D elements, at least 2.
      hidden: widths of the hidden layers of each coupling's network.
      num_couplings: how many, at least 2, so that each element is moved.
      prior: of an element of h: 'logistic', 'normal' or 'laplace'.
      activation: of the hidden layers.
      dtype: what the networks compute in.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (1000,) * 5
    num_couplings: int = 4
    prior: str = "logistic"
    activation: str = "relu"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        require_couplings(self.shape, self.hidden, self.num_couplings)
        prior(self.prior)
        activation(self.activation)

    def bijections(self) -> Mapping[str, Bijection]:
        """Return the stack of couplings and the scales."""
        network = MLP(
            self.hidden,
            self.dim,
            self.activation,
            self.dtype,
            kernel_init=nn.initializers.zeros_init(),
        )
        couplings = AdditiveCouplings(network, self.dim, self.num_couplings)
        return {"couplings": couplings, "scale": Diagonal(self.dim)}
