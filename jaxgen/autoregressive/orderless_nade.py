"""Deep NADE for all orders at once: one network that predicts any elements from any others.

For a context m (1 where x is known) a multi-layer perceptron gives logits of every element from
(x * m, m). Its loss is that of an order and a position drawn uniformly, with all that could come
next at that position averaged over,

    L(x) = -E_m [ D / (D - |m|) sum_{i: m_i = 0} log p(x_i | x * m, m) ],

|m| uniform on 0 .. D - 1 and m a uniform subset of that size, whose expectation is E_o[-log p_o(x)]
over all D! orders o. (Pixels known with probability 1/2 each would be another loss: |m| would stay
near D / 2.) With an order the network is an autoregressive model p_o; several orders give
several, and their mixture is a better one: `ensemble.several`.

An evaluation under one order takes D forward passes, and so does a sample.

Uria, Murray & Larochelle, 2014, "A deep and tractable density estimator" (arXiv 1310.1757),
equation 12 and section 4; Uria et al., 2016 (arXiv 1605.02226), section 4.

*Differs from the paper:* no layer-wise pre-training; the optimiser is a setting.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.nn import MLP, require_positive
from jaxgen.observation import Bernoulli
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class OrderlessNADE:
    """An order-agnostic NADE over binary examples, at one order.

    Attributes:
      shape: of one example; D elements.
      network: (x * m, m) [B, 2D] -> logits [B, D].
      ordering: in which elements are drawn, and in which `log_prob` reads them.
    """

    shape: tuple[int, ...]
    network: nn.Module
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    observation: ClassVar[Bernoulli] = Bernoulli()
    varies: ClassVar[tuple[str, ...]] = ("ordering",)  # among members of an ensemble

    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def structure(self) -> Mapping[str, np.ndarray]:
        """What tells this member of an ensemble from the others, as arrays."""
        return {"order": self.order}

    def dependencies(self) -> np.ndarray:
        """Every earlier element, [D, D]."""
        return earlier(self.order)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'network'}."""
        return {"network": self.network.init(key, jnp.zeros((1, 2 * math.prod(self.shape))))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("orderless_nade", ("network",), self.orderless_nade_loss, tx),)

    def orderless_nade_loss(
        self, variables: Variables, batch: Batch, key: Key, **structure: Array
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The loss over all orders, one context for each example; no order of its own matters."""
        del structure
        x = batch["image"]
        context = draw_contexts(key, x.shape[0], math.prod(self.shape))
        return self.context_loss(variables, x, context).mean(), ({}, {})

    def context_loss(
        self, variables: Variables, x: Float[Array, "b ..."], context: Float[Array, "b d"]
    ) -> Float[Array, " b"]:
        """D / (D - |m|) times -log p of all that the context m leaves out, in nats."""
        x, dim = x.reshape(x.shape[0], -1), context.shape[1]
        log_prob = self.observation.log_prob(self._logits(variables, x, context)[..., None], x)
        missing = (1 - context).sum(axis=-1)
        return -dim / missing * (log_prob * (1 - context)).sum(axis=-1)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        order: Int[Array, " d"] | None = None,
    ) -> Float[Array, "b ... 1"]:
        """Logits of every p(x_i = 1 | those before it), by D forward passes.

        Args:
          variables: of the model.
          x: examples.
          order: in the place of the model's own.
        """
        flat = x.reshape(x.shape[0], -1)
        order = jnp.asarray(self.order if order is None else order)
        rank = jnp.argsort(order)

        def position(t):
            return self._logits(variables, flat, rank < t)[:, order[t]]

        logits = jax.lax.map(position, jnp.arange(order.size))
        return logits[rank].T.reshape(*x.shape, 1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        order: Int[Array, " d"] | None = None,
    ) -> Float[Array, "b ..."]:
        """Element by element, a forward pass each; the arguments as in `conditionals`."""
        order = jnp.asarray(self.order if order is None else order)
        rank = jnp.argsort(order)

        def draw(x, t):
            site = order[t]
            logits = self._logits(variables, x, rank < t)[:, site]
            return x.at[:, site].set(choose(site, logits[:, None])), None

        first = jnp.zeros((num, order.size))
        x, _ = jax.lax.scan(draw, first, jnp.arange(order.size))
        return x.reshape(num, *self.shape)

    def _logits(self, variables, x, context):
        """Logits of all elements [B, D] from those of x [B, D] that the context [(B,) D] shows."""
        context = jnp.broadcast_to(context, x.shape).astype(x.dtype)
        inputs = jnp.concatenate([x * context, context], axis=-1)
        return self.network.apply(variables["network"], inputs)


def draw_contexts(key: Key, num: int, dim: int) -> Float[Array, "b d"]:
    """`num` contexts: a size uniform on 0 .. dim - 1, then a uniform subset of that size."""
    size_key, subset_key = jax.random.split(key)
    size = jax.random.randint(size_key, (num, 1), 0, dim)
    rank = jnp.argsort(jax.random.uniform(subset_key, (num, dim)), axis=-1)
    return (rank < size).astype(jnp.float32)


def build(
    shape: tuple[int, ...],
    *,
    hidden: tuple[int, ...] = (500, 500),
    ordering: Ordering = Ordering(),  # noqa: B008 (frozen)
    activation: str = "relu",
    dtype: str = "float32",
) -> OrderlessNADE:
    """An orderless NADE of an MLP.

    Args:
      shape: of one example.
      hidden: widths of the hidden layers.
      ordering: in which elements are drawn.
      activation: of the hidden layers.
      dtype: what the network computes in.
    """
    require_positive(shape=shape, hidden=hidden)
    network = MLP(hidden, math.prod(shape), activation, dtype)
    return OrderlessNADE(shape, network, ordering)
