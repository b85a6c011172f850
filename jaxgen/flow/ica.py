"""Independent component analysis: the linear flow, by maximum likelihood.

As many sources as there are elements are mixed by a matrix, x = A s. The flow learns to take them
apart, s = W x + c, with the rows of W the filters:

    log p(x) = sum_i log p(s_i) + log |det W|.

Sources of any distribution with heavy tails are found by a prior with heavy tails, up to their
order, sign and scale; with a normal prior the likelihood does not change when s is rotated, so that
no sources are found, and the model is a Gaussian of any mean and covariance.

Bell & Sejnowski, 1995, "An information-maximization approach to blind separation and blind
deconvolution"; Pearlmutter & Parra, 1996, "A context-sensitive generalization of ICA" (as maximum
likelihood).

*Differs from the papers:* the optimiser is the recipe's, and not the natural gradient's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from jaxgen.arguments import require_positive
from jaxgen.flow.base import Flow
from jaxgen.flow.bijection import Bijection
from jaxgen.flow.linear import Linear
from jaxgen.flow.prior import prior


@final
@dataclass(frozen=True)
class ICA(Flow):
    """A square linear flow.

    Attributes:
      shape: of one example.
      prior: of a source: 'logistic', 'laplace' or 'normal'.
    """

    shape: tuple[int, ...]
    prior: str = "logistic"

    def __post_init__(self) -> None:
        require_positive(shape=self.shape)
        prior(self.prior)

    def bijections(self) -> Mapping[str, Bijection]:
        """Return the matrix that takes the sources apart."""
        return {"unmixing": Linear(self.dim)}
