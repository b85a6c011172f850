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
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.observation import Bernoulli
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class FVBN:
    """A fully visible belief net over binary examples.

    Attributes:
      shape: of one example; D elements.
      ordering: in which they are drawn.
    """

    shape: tuple[int, ...]
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    observation: ClassVar[Bernoulli] = Bernoulli()

    fvbn_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def dependencies(self) -> np.ndarray:
        """Every earlier element, [D, D]."""
        return earlier(self.order)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'fvbn'}: W [D, D], of which the earlier elements are used, and b [D]."""
        dim = math.prod(self.shape)
        weight = 0.01 * jax.random.normal(key, (dim, dim))
        return {"fvbn": {"params": {"weight": weight, "bias": jnp.zeros(dim)}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("fvbn", ("fvbn",), self.fvbn_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "b ... 1"]:
        """Logits of every p(x_i = 1 | x_<i)."""
        weight, bias = self._masked(variables)
        logits = bias + x.reshape(x.shape[0], -1) @ weight.T
        return logits.reshape(*x.shape, 1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b ..."]:
        """Element by element, on running sums: O(D) an element."""
        weight, bias = self._masked(variables)

        def draw(logits, site):
            value = choose(site, logits[:, site, None])
            return logits + value[:, None] * weight[:, site], value

        logits = jnp.broadcast_to(bias, (num, bias.size))
        order = self.order
        _, values = jax.lax.scan(draw, logits, jnp.asarray(order))
        return values.T[:, np.argsort(order)].reshape(num, *self.shape)

    def _masked(self, variables):
        """W with zeros at what an element may not see, and b."""
        params = variables["fvbn"]["params"]
        return jnp.where(self.dependencies(), params["weight"], 0.0), params["bias"]
