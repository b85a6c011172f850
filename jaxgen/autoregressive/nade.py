"""NADE: a belief net whose conditionals share one hidden layer, at the cost of a single one.

    a_1 = c,   h_i = sigmoid(a_i),   p(x_i = 1 | x_<i) = sigmoid(b_i + V_i . h_i),
    a_{i+1} = a_i + W_{:,i} x_i

The activations are updated and never recomputed, so that all D conditionals take O(D H) in place of
the O(D^2 H) of D hidden layers, and a draw takes as much as an evaluation. The last column of W (in
the order) is used by nobody. 2 D H + D + H parameters. Hidden units may be rectified in the place
of sigmoid, which takes less time.

Plain autodiff keeps every a_i and h_i, 400 MB for 784 elements, 500 units, batches of 128. Here the
backward pass has of each of about sqrt(D) blocks the activations it starts from, and computes the
rest of them again by the forward pass's own arithmetic: exact, in 22 MB. (Computing a_i as a_{i+1}
- W_{:,i} x_i would take less still, and rounds differently.)

Larochelle & Murray, 2011, "The neural autoregressive distribution estimator", section 3; Uria,
Côté, Gregor, Murray & Larochelle, 2016, "Neural autoregressive distribution estimation" (arXiv
1605.02226).

*Differs from the paper:* W and V are not tied. The authors' code keeps probabilities off 0 and 1
(0.9999 p + 0.00005) and starts b from the marginals of the data; here logits go straight into the
likelihood and b starts from 0.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.errors import ConfigError
from jaxgen.nn import require_positive
from jaxgen.observation import Bernoulli
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array

INITIAL_STD = 0.01  # of W and V, as in the authors' code
# each with its derivative, as a function of its value
_UNITS = {
    "sigmoid": (jax.nn.sigmoid, lambda h: h * (1 - h)),
    "relu": (jax.nn.relu, lambda h: (h > 0).astype(h.dtype)),
}


@dataclass(frozen=True)
class NADE:
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
    observation: ClassVar[Bernoulli] = Bernoulli()

    nade_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        require_positive(shape=self.shape, hidden=self.hidden)
        if self.activation not in _UNITS:
            known = ", ".join(_UNITS)
            raise ConfigError(f"activation: got {self.activation!r}, expected one of {known}")

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def dependencies(self) -> np.ndarray:
        """Every earlier element, [D, D]."""
        return earlier(self.order)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'nade'}: W [H, D], V [D, H], b [D] and c [H]."""
        dim, (w_key, v_key) = math.prod(self.shape), jax.random.split(key)
        params = {
            "W": INITIAL_STD * jax.random.normal(w_key, (self.hidden, dim)),
            "V": INITIAL_STD * jax.random.normal(v_key, (dim, self.hidden)),
            "b": jnp.zeros(dim),
            "c": jnp.zeros(self.hidden),
        }
        return {"nade": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("nade", ("nade",), self.nade_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "b ... 1"]:
        """Logits of every p(x_i = 1 | x_<i)."""
        params, order = variables["nade"]["params"], self.order
        drawn = x.reshape(x.shape[0], -1).T[order]
        weights = params["W"].T[order], params["V"][order], params["c"]
        dots = hidden_dots(self.activation, drawn, *weights)
        logits = dots[np.argsort(order)].T + params["b"]
        return logits.reshape(*x.shape, 1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b ..."]:
        """Element by element, on running activations: one dot and one outer product each."""
        params, order = variables["nade"]["params"], self.order
        b, c, (unit, _) = params["b"], params["c"], _UNITS[self.activation]

        def draw(a, inputs):
            site, w, v = inputs
            logits = unit(a) @ v + b[site]
            value = choose(site, logits[:, None])
            return a + jnp.outer(value, w), value

        inputs = (jnp.asarray(order), params["W"].T[order], params["V"][order])
        _, values = jax.lax.scan(draw, jnp.broadcast_to(c, (num, self.hidden)), inputs)
        return values.T[:, np.argsort(order)].reshape(num, *self.shape)


def hidden_dots(
    activation: str,
    x: Float[Array, "d b"],
    w: Float[Array, "d h"],
    v: Float[Array, "d h"],
    c: Float[Array, " h"],
) -> Float[Array, "d b"]:
    """v_i . activation(c + sum_{j < i} x_j w_j) for every i; rows in the order of drawing."""
    dim = x.shape[0]
    length = math.ceil(math.sqrt(dim))
    missing = -dim % length  # zeros at the end change nothing

    def blocks(rows):
        rows = jnp.pad(rows, ((0, missing), (0, 0))) if missing else rows
        return rows.reshape(-1, length, rows.shape[1])

    return _recursion(activation, blocks(x), blocks(w), blocks(v), c).reshape(-1, x.shape[1])[:dim]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recursion(activation, x, w, v, c):
    """`hidden_dots` with the rows cut into N blocks of K: [N, K, B], [N, K, H] twice and [H]."""
    return _forward(activation, x, w, v, c)[0]


def _forward(activation, x, w, v, c):
    """The dots [N, K, B], and what the backward pass needs: x, w, v and a at each start."""
    unit, _ = _UNITS[activation]

    def element(a, inputs):
        x, w, v = inputs
        return a + jnp.outer(x, w), unit(a) @ v

    def block(a, inputs):
        end, dots = jax.lax.scan(element, a, inputs)
        return end, (dots, a)

    first = jnp.broadcast_to(c, (x.shape[-1], c.size))
    _, (dots, starts) = jax.lax.scan(block, first, (x, w, v))
    return dots, (x, w, v, starts)


def _backward(activation, saved, slopes):
    """Gradients of x, w, v and c from those of the dots [N, K, B].

    With g_i the slope at dot i and A_i = dL/da_i: dL/dv_i = g_i h_i, dL/dw_i = x_i A_{i+1},
    dL/dx_i = w_i . A_{i+1}, A_i = A_{i+1} + g_i v_i h'_i, dL/dc = A_1.
    """
    unit, slope_of_unit = _UNITS[activation]

    def again(a, inputs):
        return a + jnp.outer(*inputs), unit(a)

    def element(later, inputs):
        x, w, v, h, g = inputs
        return later + jnp.outer(g, v) * slope_of_unit(h), (later @ w, x @ later)

    def block(later, inputs):
        x, w, v, start, g = inputs
        _, h = jax.lax.scan(again, start, (x, w))
        later, (dx, dw) = jax.lax.scan(element, later, (x, w, v, h, g), reverse=True)
        return later, (dx, dw, jnp.einsum("kb,kbh->kh", g, h))

    last = jnp.zeros_like(saved[-1][0])
    first, gradients = jax.lax.scan(block, last, (*saved, slopes), reverse=True)
    return *gradients, first.sum(axis=0)


_recursion.defvjp(_forward, _backward)
