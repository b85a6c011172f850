"""The chain rule, of which every autoregressive model is an instance.

    log p(x) = sum_t log p(x_o(t) | x_o(1), ..., x_o(t-1)),

and what follows from it alone: the loss, the density, samples and completions. A concrete model is
final and brings what is particular:

    shape, observation              of an example; what the outputs mean for one element of it
    order                           int [D], flat indices in the order in which elements are drawn
    dependencies()                  bool [D, D]: whether p(x_i | ...) reads x_j, at flat [i, j]
    init(key), players(tx)          its networks, and the one player that moves them
    conditionals(v, x, **c)         [B, *shape, P]: parameters of every p(x_i | ...) at once
    generate(v, choose, num, **c)   [num, *shape]: element by element, as fast as it can

`choose(site, params)` gives the values [B] of one element, a flat index, from its parameters
[B, P]: a draw, or what is known there. The draw of a site depends on the key and the site alone, so
that any correct sampler gives the same sample. Of three elements in the order 2, 0, 1:

    choose(2, params of p(x_2))  ->  x_2
    choose(0, params of p(x_0 | x_2))  ->  x_0
    choose(1, params of p(x_1 | x_2, x_0))  ->  x_1

Conditions `**c`: `label` [B] for a model with `num_classes`; `context` for one with `context_dim`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.distributions import log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.fields import conditions, require_classes
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

Choose = Callable[[Array, Array], jax.Array]  # (site [], params [B, P]) -> values [B]


class Autoregressive(ABC):
    """An autoregressive model, abstract. Subclasses are frozen dataclasses, and final.

    In `conditionals` and `generate`, `*args: Any, **condition: Any` stands for whatever a model
    takes besides: nothing, a label, the order of a member of an ensemble.
    """

    if TYPE_CHECKING:  # at run time fields of the dataclass, or properties

        @property
        def shape(self) -> tuple[int, ...]:
            """The shape of one example."""
            ...

        @property
        def observation(self) -> Any:
            """The distribution of an element (see `distributions.observation`)."""
            ...

    @property
    def num_classes(self) -> int:
        """The number of classes that the model is conditioned on; 0 for none."""
        return 0

    @property
    def context_dim(self) -> int:
        """The size of the context that the model is conditioned on; 0 for none."""
        return 0

    @property
    @abstractmethod
    def order(self) -> np.ndarray:
        """The flat indices in the order in which elements are drawn, [D]."""

    @abstractmethod
    def dependencies(self) -> np.ndarray:
        """Return whether p(x_i | ...) reads x_j, bool [D, D] at flat [i, j]."""

    @abstractmethod
    def init(self, key: Key) -> Variables:
        """Return fresh variables, {network: Linen variables}."""

    @abstractmethod
    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, which owns every network."""

    @abstractmethod
    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        *args: Any,
        **condition: Any,
    ) -> Float[jax.Array, "b ... p"]:
        """Return the parameters of every p(x_i | ...) at once, [B, *shape, P]."""

    @abstractmethod
    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        *args: Any,
        **condition: Any,
    ) -> Float[jax.Array, "b ..."]:
        """Return examples made element by element, [num, *shape]."""

    @property
    def given(self) -> tuple[str, ...]:
        """The fields that the model is conditioned on."""
        label = ("label",) if self.num_classes else ()
        context = ("context",) if self.context_dim else ()
        return label + context

    @property
    def optional(self) -> tuple[str, ...]:
        """The label: without it `log_prob` is the marginal under equally probable classes."""
        return ("label",)

    def likelihood_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -log p(x | conditions) in nats, mean over the batch."""
        arguments = self.in_training(key) | conditions(self, batch)
        log_prob = self.log_prob(variables, batch["image"], **arguments)
        return -log_prob.mean(), ({}, {})

    def in_training(self, key: Key) -> dict[str, Any]:
        """Return what `conditionals` is told in training alone, such as the key of dropout."""
        del key  # nothing is random in most models
        return {}

    def log_prob(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        **condition: Array | None,
    ) -> Float[jax.Array, " b"]:
        """Return log p(x) per example, exact, in nats.

        For a class-conditional model it is log p(x | label); without `label` the marginal under
        equally probable classes, log mean_y p(x | y).
        """
        if self.num_classes and condition.get("label") is None:
            return jnp.asarray(log_mean_exp(self.log_prob_per_class(variables, x, **condition)))
        if self.num_classes:
            require_classes(condition["label"], self.num_classes)
        params = self.conditionals(variables, x, **condition)
        # Flat arrays: XLA on CPU spends much time on the layouts of [B, *shape, P].
        params = params.reshape(x.shape[0], -1, params.shape[-1])  # [B, *shape, P] -> [B, D, P]
        elements = x.reshape(x.shape[0], -1)
        log_prob = self.observation.log_prob(params, elements)  # [B, D]
        return log_prob.sum(axis=-1)

    def log_prob_per_class(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        **condition: Array | None,
    ) -> Float[jax.Array, "k b"]:
        """Return log p(x | y) in nats for every class y of a class-conditional model."""

        def log_prob_given(label: jax.Array) -> jax.Array:
            labels = jnp.full(x.shape[0], label)
            return self.log_prob(variables, x, **{**condition, "label": labels})

        return jax.lax.map(log_prob_given, jnp.arange(self.num_classes))

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
        **condition: Array | None,
    ) -> Float[jax.Array, "b ..."]:
        """Return `num` draws from p(x | conditions); classes take turns without a `label`."""
        condition = self.with_label(num, condition)
        return self.generate(variables, drawing(self.observation, key), num, **condition)

    def complete(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
        mask: Bool[Array, "..."],
        **condition: Array | None,
    ) -> Float[jax.Array, "b ..."]:
        """Fill in what is unknown, each element given those before it in the model's order.

        Args:
          variables: of the model.
          key: of the draws.
          x: [B, *shape]; its values where `mask` is False do not matter.
          mask: [*shape] or [B, *shape], True where x is known; the result is equal to x there.
          **condition: as in `sample`.
        """
        choose = keeping(drawing(self.observation, key), x, mask)
        condition = self.with_label(x.shape[0], condition)
        return self.generate(variables, choose, x.shape[0], **condition)

    def with_label(
        self,
        num: int,
        condition: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the conditions, with the classes in turn where a label is wanted and not given.

        Raises:
          ConfigError: a label for a model that is not conditioned on one.
        """
        if not self.num_classes:
            if condition.get("label") is not None:
                raise ConfigError(f"{type(self).__name__} is not conditioned on a label")
            return condition
        require_classes(condition.get("label"), self.num_classes)
        if condition.get("label") is None:
            return {**condition, "label": jnp.arange(num) % self.num_classes}
        return condition


class Ordered(Autoregressive, ABC):
    """An autoregressive model whose order is a setting, and which reads all that comes before."""

    if TYPE_CHECKING:

        @property
        def ordering(self) -> Ordering:
            """The order in which elements are drawn."""
            ...

    @property
    def order(self) -> np.ndarray:
        """The flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def dependencies(self) -> np.ndarray:
        """Return every earlier element, bool [D, D] at flat [i, j]."""
        return earlier(self.order)

    def in_drawing_order(
        self,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "d b"]:
        """Return the elements of examples [B, *shape] as rows, the first to be drawn first."""
        elements = jnp.asarray(x).reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        return elements.T[self.order]

    def in_raster_order(
        self,
        drawn: Float[jax.Array, "d b"],
    ) -> Float[jax.Array, "b ..."]:
        """Return the examples [B, *shape] of which these are the elements, as they were drawn."""
        rows = drawn[np.argsort(self.order)]  # [D, B], now in raster order
        return rows.T.reshape(drawn.shape[1], *self.shape)


def drawing(observation: Any, key: Key) -> Choose:
    """Return a `choose` that draws site i with `fold_in(key, i)`.

    It is the same number whoever asks, and in whatever order.
    """

    def draw(site: Array, params: Array) -> jax.Array:
        return observation.sample(params, jax.random.fold_in(key, site))

    return draw


def keeping(
    choose: Choose,
    x: Float[Array, "b ..."],
    mask: Bool[Array, "..."],
) -> Choose:
    """Return a `choose` that takes x where `mask` is True, and asks `choose` elsewhere."""
    num = x.shape[0]
    # [B, *shape] -> [D, B]: a site is a row
    known = jnp.broadcast_to(mask, x.shape).reshape(num, -1).T
    values = jnp.asarray(x).reshape(num, -1).T

    def keep(site: Array, params: Array) -> jax.Array:
        return jnp.where(known[site], values[site], choose(site, params))

    return keep
