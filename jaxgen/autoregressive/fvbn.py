"""The fully visible belief net: one logistic regression for each pixel on those before it.

    p(x_i = 1 | x_<i) = sigmoid(b_i + sum_{j before i} W_ij x_j)

n + n (n - 1) / 2 free parameters, and n convex problems: maximum likelihood has no local optima.
The gradient is that of logistic regression, dL/dW_ij = E[(sigmoid_i - x_i) x_j].

Neal, 1992, "Connectionist learning of belief networks"; Frey, Hinton & Dayan, 1996, "Does the
wake-sleep algorithm produce good density estimators?"; Frey, 1998, for the logistic autoregressive
network by that name.
"""

import math
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions.observation import Bernoulli
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables

INITIAL_STD = 0.01  # of W


@final
@dataclass(frozen=True)
class FVBN(Ordered):
    """A fully visible belief net over binary examples.

    Attributes:
      shape: of one example; D elements.
      ordering: in which they are drawn.
    """

    shape: tuple[int, ...]
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)

    @property
    def observation(self) -> Bernoulli:
        """The distribution of an element: binary."""
        return Bernoulli()

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'fvbn'}: W [D, D], of which half is used, and b [D]."""
        dim = math.prod(self.shape)
        weight = INITIAL_STD * jax.random.normal(key, (dim, dim))
        return {"fvbn": {"params": {"weight": weight, "bias": jnp.zeros(dim)}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("fvbn", ("fvbn",), self.likelihood_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "b ... 1"]:
        """Return the logits of every p(x_i = 1 | x_<i), [B, *shape, 1]."""
        elements = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        logits = self._bias(variables)[None] + elements @ self._weight(variables).T
        return logits.reshape(*x.shape, 1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element, on running sums: O(D) an element."""
        weight = self._weight(variables)
        bias = self._bias(variables)

        def draw_element(
            logits: jax.Array,
            site: jax.Array,
        ) -> tuple[jax.Array, jax.Array]:
            # logits [N, D] hold b + the sum of W[:, j] x_j over the elements j drawn so far; those
            # of this site are complete.
            value = choose(site, logits[:, site, None])  # [N]
            logits = logits + value[:, None] * weight[None, :, site]
            return logits, value

        start = jnp.broadcast_to(bias, (num, bias.size))
        _, drawn = jax.lax.scan(draw_element, start, jnp.asarray(self.order))
        return self.in_raster_order(drawn)

    def _weight(self, variables: Variables) -> jax.Array:
        """Return W, [D, D], with zeros at what an element may not see."""
        return jnp.where(self.dependencies(), variables["fvbn"]["params"]["weight"], 0.0)

    def _bias(self, variables: Variables) -> jax.Array:
        """Return b, [D]."""
        return variables["fvbn"]["params"]["bias"]
