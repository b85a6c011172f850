"""The chain rule, of which every autoregressive model is an instance.

    log p(x) = sum_t log p(x_o(t) | x_o(1), ..., x_o(t-1)),

and what follows from it alone: the loss, the density, samples and completions. A model brings

    shape, observation          of an example, and what the outputs mean for one element of it
    order                       int [D], flat indices in the order in which elements are drawn
    dependencies()              bool [D, D], whether p(x_i | ...) reads x_j, at flat [i, j]
    conditionals(v, x, **c)     [B, *shape, P], parameters of every p(x_i | ...) at once
    generate(v, choose, num, **c)   [num, *shape], element by element, as fast as it can

and takes the functions here into its class body. `choose(site, params)` gives the values [B] of one
element, a flat index, from its parameters [B, P]: a draw, or what is known there. The draw of a
site depends on the key and the site alone, so that any correct sampler gives the same sample.

Conditions `**c`: `label` [B] for a model with `num_classes`; `context` for one with `context_dim`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxgen.distributions import log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.train import Batch, Key, Metrics, Mutated, Variables
from jaxgen.typing import Array

Choose = Callable[[Array, Array], jax.Array]  # (site [], params [B, P]) -> values [B]


def negative_log_prob(
    self: Any, variables: Variables, batch: Batch, key: Key
) -> tuple[Array, tuple[Metrics, Mutated]]:
    """-log p(x | conditions) in nats, mean over the batch."""
    del key  # nothing is random here
    x = batch["image"]
    return -self.log_prob(variables, x, **conditions(self, batch)).mean(), ({}, {})


def log_prob(
    self: Any, variables: Variables, x: Float[Array, "b ..."], **condition: Array | None
) -> Float[Array, " b"]:
    """log p(x) per example, exact, in nats.

    For a class-conditional model it is log p(x | label); without `label` the marginal under equally
    probable classes, log mean_y p(x | y).
    """
    if _classes(self) and condition.get("label") is None:
        return log_mean_exp(log_prob_per_class(self, variables, x, **condition))
    params = self.conditionals(variables, x, **condition)
    params = params.reshape(x.shape[0], -1, params.shape[-1])  # flat: see VAE.log_likelihood
    return self.observation.log_prob(params, x.reshape(x.shape[0], -1)).sum(axis=-1)


def log_prob_per_class(
    model: Any, variables: Variables, x: Float[Array, "b ..."], **condition: Array | None
) -> Float[Array, "k b"]:
    """log p(x | y) for every class y of a class-conditional model."""

    def given(label):
        labels = jnp.full(x.shape[0], label)
        return model.log_prob(variables, x, **{**condition, "label": labels})

    return jax.lax.map(given, jnp.arange(model.num_classes))


def sample(
    self: Any, variables: Variables, key: Key, num: int, **condition: Array | None
) -> Float[Array, "b ..."]:
    """`num` draws from p(x | conditions); classes take turns where no `label` is given."""
    condition = with_label(self, num, condition)
    return self.generate(variables, drawing(self.observation, key), num, **condition)


def complete(
    self: Any,
    variables: Variables,
    key: Key,
    x: Float[Array, "b ..."],
    mask: Bool[Array, "..."],
    **condition: Array | None,
) -> Float[Array, "b ..."]:
    """Fills in what is unknown, each element given those before it in the model's order.

    Args:
      self: the model.
      variables: of the model.
      key: of the draws.
      x: [B, *shape]; its values where `mask` is False do not matter.
      mask: [*shape] or [B, *shape], True where x is known; the result is equal to x there.
      **condition: as in `sample`.
    """
    choose = keeping(drawing(self.observation, key), x, mask)
    condition = with_label(self, x.shape[0], condition)
    return self.generate(variables, choose, x.shape[0], **condition)


def conditions(model: Any, batch: Batch) -> dict[str, Any]:
    """What of a batch the model is conditioned on."""
    found = {"label": batch.get("label")} if _classes(model) else {}
    if getattr(model, "context_dim", 0):
        found["context"] = batch["context"]
    return {name: value for name, value in found.items() if value is not None}


def with_label(model: Any, num: int, condition: dict[str, Any]) -> dict[str, Any]:
    """The conditions, with the classes in turn where a label is wanted and none is given."""
    if not _classes(model):
        if condition.get("label") is not None:
            raise ConfigError(f"{type(model).__name__} is not conditioned on a label")
        return condition
    if condition.get("label") is None:
        return {**condition, "label": jnp.arange(num) % model.num_classes}
    return condition


def drawing(observation: Any, key: Key) -> Choose:
    """Draws site i with `fold_in(key, i)`: the same number whoever asks, and in whatever order."""
    return lambda site, params: observation.sample(params, jax.random.fold_in(key, site))


def keeping(choose: Choose, x: Float[Array, "b ..."], mask: Bool[Array, "..."]) -> Choose:
    """Takes the values of x where `mask` is True, and those of `choose` elsewhere."""
    known = jnp.broadcast_to(mask, x.shape).reshape(x.shape[0], -1).T
    values = jnp.asarray(x).reshape(x.shape[0], -1).T
    return lambda site, params: jnp.where(known[site], values[site], choose(site, params))


def naive(
    model: Any, variables: Variables, choose: Choose, num: int, **condition: Array | None
) -> Float[Array, "b ..."]:
    """The oracle: a full forward pass for each element, of which one site is used."""
    order = jnp.asarray(model.order)

    def draw(x, site):
        params = model.conditionals(variables, x.reshape(num, *model.shape), **condition)
        params = params.reshape(num, -1, params.shape[-1])
        return x.at[:, site].set(choose(site, params[:, site])), None

    x, _ = jax.lax.scan(draw, jnp.zeros((num, math.prod(model.shape))), order)
    return x.reshape(num, *model.shape)


def jacobi(
    model: Any, variables: Variables, choose: Choose, num: int, **condition: Array | None
) -> Float[Array, "b ..."]:
    """The fixed point: all sites at once, from the last iterate, until nothing changes.

    After t passes the first t elements of the order are final, so that it ends, with the naive
    sampler's result, after at most D + 1 passes; most samples take far fewer. For any model,
    without a cache. (Song et al., 2021, "Accelerating feedforward computation via parallel
    nonlinear equation solving", arXiv 2002.03629, algorithm 1.)
    """
    sites = jnp.arange(math.prod(model.shape))

    def sweep(x):
        params = model.conditionals(variables, x.reshape(num, *model.shape), **condition)
        params = params.reshape(num, sites.size, -1)
        return jax.vmap(choose, in_axes=(0, 1), out_axes=1)(sites, params)

    def change(carry):
        _, new = carry
        return new, sweep(new)

    first = jnp.zeros((num, sites.size))
    x, _ = jax.lax.while_loop(
        lambda carry: jnp.any(carry[0] != carry[1]), change, (first, sweep(first))
    )
    return x.reshape(num, *model.shape)


def _classes(model):
    return getattr(model, "num_classes", 0)
