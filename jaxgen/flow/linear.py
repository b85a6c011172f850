"""Linear bijections: a scale for each element, and any square matrix.

diagonal    y = exp(s) x,      log |det| = sum_i s_i;
linear      y = W x + c,       log |det| = log |det W|,    x = W^-1 (y - c).
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.flow.bijection import Bijection, Params
from jaxgen.typing import Array, Key

_INITIAL_STD = 0.1  # of a matrix around the identity


@final
@dataclass(frozen=True)
class Diagonal(Bijection):
    """A learnt scale for each element.

    Attributes:
      dim: D.
    """

    dim: int

    def init(self, key: Key) -> Params:
        """Return s = 0, [D]."""
        del key  # nothing is random here
        return {"log_scale": jnp.zeros(self.dim)}

    def forward(
        self,
        params: Params,
        x: Float[Array, "b d"],
    ) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
        """Return exp(s) x and the sum of s."""
        log_scale = params["log_scale"]
        y = jnp.asarray(x) * jnp.exp(log_scale)[None]
        return y, jnp.full(len(y), log_scale.sum())

    def inverse(
        self,
        params: Params,
        y: Float[Array, "b d"],
    ) -> Float[jax.Array, "b d"]:
        """Return exp(-s) y."""
        return jnp.asarray(y) * jnp.exp(-params["log_scale"])[None]


@final
@dataclass(frozen=True)
class Linear(Bijection):
    """A learnt square matrix, and a shift.

    Attributes:
      dim: D.
    """

    dim: int

    def init(self, key: Key) -> Params:
        """Return W [D, D] near the identity, and c = 0 [D]."""
        noise = _INITIAL_STD * jax.random.normal(key, (self.dim, self.dim))
        return {"matrix": jnp.eye(self.dim) + noise, "shift": jnp.zeros(self.dim)}

    def forward(
        self,
        params: Params,
        x: Float[Array, "b d"],
    ) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
        """Return W x + c and log |det W|."""
        matrix = params["matrix"]
        y = jnp.asarray(x) @ matrix.T + params["shift"][None]
        log_det = jnp.linalg.slogdet(matrix).logabsdet
        return y, jnp.full(len(y), log_det)

    def inverse(
        self,
        params: Params,
        y: Float[Array, "b d"],
    ) -> Float[jax.Array, "b d"]:
        """Return W^-1 (y - c), by a factorisation of W."""
        centred = jnp.asarray(y) - params["shift"][None]
        return jnp.linalg.solve(params["matrix"], centred.T).T
