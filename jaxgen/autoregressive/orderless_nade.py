"""Deep NADE for all orders at once: one network that predicts any elements from any others.

For a context m (1 where x is known) a multi-layer perceptron gives logits of every element from
(x * m, m). Its loss is that of an order and a position drawn uniformly, with all that could come
next at that position averaged over,

    L(x) = -E_m [ D / (D - |m|) sum_{i: m_i = 0} log p(x_i | x * m, m) ],

|m| uniform on 0 .. D - 1 and m a uniform subset of that size, whose expectation is E_o[-log p_o(x)]
over all D! orders o. (Pixels known with probability 1/2 each would be another loss: |m| would stay
near D / 2.) With an order the network is an autoregressive model p_o; several orders give
several, and their mixture is a better one: `ensemble.several`.

An evaluation under one order takes D forward passes, and so does a sample: for the order 2, 0, 1

    t    x * m          m          read off
    0    0   0   0      0  0  0    logit of element 2
    1    0   0   x_2    0  0  1    logit of element 0
    2    x_0 0   x_2    1  0  1    logit of element 1

Uria, Murray & Larochelle, 2014, "A deep and tractable density estimator" (arXiv 1310.1757),
equation 12 and section 4; Uria et al., 2016 (arXiv 1605.02226), section 4.

*Differs from the paper:* no layer-wise pre-training; the optimiser is a setting.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions.observation import Bernoulli
from jaxgen.nn import MLP
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@final
@dataclass(frozen=True)
class OrderlessNADE(Ordered):
    """An order-agnostic NADE over binary examples, at one order.

    Attributes:
      shape: of one example; D elements.
      network: (x * m, m) [B, 2D] -> logits [B, D].
      ordering: in which elements are drawn, and in which `log_prob` reads them.
    """

    shape: tuple[int, ...]
    network: nn.Module
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    varies: ClassVar[tuple[str, ...]] = ("ordering",)  # among members of an ensemble

    @property
    def observation(self) -> Bernoulli:
        """The distribution of an element: binary."""
        return Bernoulli()

    def structure(self) -> Mapping[str, np.ndarray]:
        """Return what tells this member of an ensemble from the others, as arrays."""
        return {"order": self.order}

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'network'}."""
        inputs = jnp.zeros((1, 2 * math.prod(self.shape)))
        return {"network": kept(self.network, self.network.init(key, inputs))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("orderless_nade", ("network",), self.orderless_nade_loss, tx),)

    def orderless_nade_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the loss over all orders, one context for each example."""
        x = batch["image"]
        dim = math.prod(self.shape)
        context = draw_contexts(key, x.shape[0], dim)
        return self.context_loss(variables, x, context).mean(), ({}, {})

    def member_loss(
        self, variables: Variables, batch: Batch, key: Key, **structure: Array
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the same loss for every member of an ensemble: no order of its own matters."""
        del structure
        return self.orderless_nade_loss(variables, batch, key)

    def context_loss(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        context: Float[Array, "b d"],
    ) -> Float[jax.Array, " b"]:
        """Return D / (D - |m|) times -log p of all that the context m leaves out, in nats."""
        x = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        dim = context.shape[1]
        logits = self._logits(variables, x, context)
        log_prob = self.observation.log_prob(logits[..., None], x)  # [B, D]
        unknown = 1 - context
        num_unknown = unknown.sum(axis=-1)  # D - |m|, [B]
        # equation 12: the sum over what is unknown, as if of all D positions of an order
        log_prob_unknown = jnp.asarray(log_prob * unknown).sum(axis=-1)
        return -dim / num_unknown * log_prob_unknown

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        order: Int[Array, " d"] | None = None,
    ) -> Float[jax.Array, "b ... 1"]:
        """Return the logits of every p(x_i = 1 | those before it), by D forward passes.

        Args:
          variables: of the model.
          x: examples.
          order: in the place of the model's own.
        """
        elements = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        order = jnp.asarray(self.order if order is None else order)
        rank = jnp.argsort(order)

        def logits_at(t: jax.Array) -> jax.Array:
            known = rank < t  # [D]
            return self._logits(variables, elements, known)[:, order[t]]  # [B]

        logits = jax.lax.map(logits_at, jnp.arange(order.size))  # [D, B], in drawing order
        return logits[rank].T.reshape(*x.shape, 1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        order: Int[Array, " d"] | None = None,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element, a forward pass each; the arguments as in `conditionals`."""
        order = jnp.asarray(self.order if order is None else order)
        rank = jnp.argsort(order)

        def draw_element(
            x: jax.Array,
            t: jax.Array,
        ) -> tuple[jax.Array, None]:
            site = order[t]
            known = rank < t  # [D]
            logit = self._logits(variables, x, known)[:, site]  # [N]
            value = choose(site, logit[:, None])  # [N]
            return x.at[:, site].set(value), None

        start = jnp.zeros((num, order.size))
        x, _ = jax.lax.scan(draw_element, start, jnp.arange(order.size))
        return x.reshape(num, *self.shape)

    def _logits(
        self,
        variables: Variables,
        x: Array,
        context: Array,
    ) -> jax.Array:
        """Return the logits of all elements, [B, D], given those that the context shows.

        Args:
          variables: of the model.
          x: the elements, [B, D].
          context: which of them are shown, [D] or [B, D]. The network sees it, too: an element
            that is 0 and one that is unknown are not the same.
        """
        context = jnp.broadcast_to(context, x.shape).astype(x.dtype)
        inputs = jnp.concatenate([x * context, context], axis=-1)  # [B, 2D]
        return jnp.asarray(self.network.apply(variables["network"], inputs))


def draw_contexts(
    key: Key,
    num: int,
    dim: int,
) -> Float[jax.Array, "b d"]:
    """Return `num` contexts: a size uniform on 0 .. dim - 1, then a uniform subset of that size."""
    size_key, subset_key = jax.random.split(key)
    size = jax.random.randint(size_key, (num, 1), 0, dim)
    # The ranks of independent uniform numbers are a uniform permutation.
    noise = jax.random.uniform(subset_key, (num, dim))
    rank = jnp.argsort(noise, axis=-1)
    return (rank < size).astype(noise.dtype)


def build(
    shape: tuple[int, ...],
    *,
    hidden: tuple[int, ...] = (500, 500),
    ordering: Ordering = Ordering(),  # noqa: B008 (frozen)
    activation: str = "relu",
    dtype: str = "float32",
) -> OrderlessNADE:
    """Build an orderless NADE of an MLP.

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
