"""NADE: a belief net whose conditionals share one hidden layer, at the cost of a single one.

    a_1 = c,   h_i = sigmoid(a_i),   p(x_i = 1 | x_<i) = sigmoid(b_i + V_i . h_i),
    a_{i+1} = a_i + W_{:,i} x_i

The activations are updated and never recomputed, so that all D conditionals take O(D H) in place of
the O(D^2 H) of D hidden layers, and a draw takes as much as an evaluation. The last column of W (in
the order) is used by nobody. 2 D H + D + H parameters. Hidden units may be rectified in the place
of sigmoid, which takes less time. `recursion.py` is the recursion and its gradient.

Larochelle & Murray, 2011, "The neural autoregressive distribution estimator", section 3; Uria,
Côté, Gregor, Murray & Larochelle, 2016, "Neural autoregressive distribution estimation" (arXiv
1605.02226).

*Differs from the paper:* W and V are not tied. The authors' code keeps probabilities off 0 and 1
(0.9999 p + 0.00005) and starts b from the marginals of the data; here logits go straight into the
likelihood and b starts from 0.
"""

import math
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.nade.recursion import UNITS, hidden_dots
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions.observation import Bernoulli
from jaxgen.errors import ConfigError
from jaxgen.nn import add_bias
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables

INITIAL_STD = 0.01  # of W and V, as in the authors' code


@final
@dataclass(frozen=True)
class NADE(Ordered):
    """A neural autoregressive distribution estimator over binary examples.

    Its gradients are reverse-mode only (`jax.grad`, `jax.jacrev`).

    Attributes:
      shape: of one example; D elements.
      hidden: H, the number of hidden units.
      ordering: in which elements are drawn.
      activation: of the hidden units: sigmoid, the paper's, or relu.
    """

    shape: tuple[int, ...]
    hidden: int
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    activation: str = "sigmoid"

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden)
        if self.activation not in UNITS:
            known = ", ".join(UNITS)
            raise ConfigError(f"activation: got {self.activation!r}, expected one of {known}")

    @property
    def observation(self) -> Bernoulli:
        """The distribution of an element: binary."""
        return Bernoulli()

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'nade'}: W [H, D], V [D, H], b [D] and c [H]."""
        dim = math.prod(self.shape)
        w_key, v_key = jax.random.split(key)
        params = {
            "W": INITIAL_STD * jax.random.normal(w_key, (self.hidden, dim)),
            "V": INITIAL_STD * jax.random.normal(v_key, (dim, self.hidden)),
            "b": jnp.zeros(dim),
            "c": jnp.zeros(self.hidden),
        }
        return {"nade": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("nade", ("nade",), self.likelihood_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "b ... 1"]:
        """Return the logits of every p(x_i = 1 | x_<i), [B, *shape, 1]."""
        params = variables["nade"]["params"]
        w = params["W"].T[self.order]  # [D, H]
        v = params["V"][self.order]  # [D, H]
        elements = self.in_drawing_order(x)  # [D, B]
        dots = hidden_dots(self.activation, elements, w, v, params["c"])  # [D, B]
        bias = params["b"].reshape(self.shape)
        logits = add_bias(self.in_raster_order(dots), bias)  # [B, *shape]
        return logits[..., None]

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element, on running activations: one dot and one outer product each."""
        params = variables["nade"]["params"]
        unit = UNITS[self.activation].function

        def draw_element(
            preactivation: jax.Array,
            element: tuple[jax.Array, jax.Array, jax.Array],
        ) -> tuple[jax.Array, jax.Array]:
            # preactivation [N, H] holds c + the sum of W[:, i] x_i over the elements drawn so far
            site, w, v = element
            logit = unit(preactivation) @ v + params["b"][site]  # [N]
            value = choose(site, logit[:, None])  # [N]
            preactivation = preactivation + jnp.outer(value, w)
            return preactivation, value

        order = self.order
        w = params["W"].T[order]  # [D, H]
        v = params["V"][order]  # [D, H]
        elements = (jnp.asarray(order), w, v)
        start = jnp.broadcast_to(params["c"], (num, self.hidden))
        _, drawn = jax.lax.scan(draw_element, start, elements)  # [D, N]
        return self.in_raster_order(drawn)
