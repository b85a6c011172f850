"""The measures: one table from what a model can do to the numbers that this gives.

A row names the capabilities that a model needs, the function that computes numbers of each example,
and how they are shown. `jaxgen evaluate`, the validation while training and the choice of the best
checkpoint read this table, and there is no other list. A new capability is a protocol and a row:

    def energy(given: Given) -> dict[str, Array]:
        return {"energy": given.model.energy(given.variables, given.x, **given.conditions)}

    Measure((Energy,), energy, (Shown("energy", "nats", better=-1),))

Rows are computed from the first to the last, and a row may use what those above it found.
"""

import itertools
from collections.abc import Collection, Mapping
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from jaxgen import fields
from jaxgen.distributions import log_mean_exp
from jaxgen.evaluation.codes import ROWS as CODES
from jaxgen.evaluation.likelihood import active_units, importance_weights, log_prob_by_class
from jaxgen.evaluation.row import Given, Measure, Shown, Values
from jaxgen.evaluation.unnormalised import ROWS as UNNORMALISED
from jaxgen.typing import (
    Array,
    Bounded,
    BoundedBySteps,
    Classifier,
    Denoises,
    Density,
    Encoder,
    Key,
    Sampler,
    Variables,
)

IWAE = "iwae_{k}"


@runtime_checkable
class DensityOfClasses(Protocol):
    """A model with an exact density of each class."""

    def log_prob_per_class(
        self,
        variables: Variables,
        x: Any,
        **conditions: Any,
    ) -> Array:
        """Return log p(x | y) in nats for every class y, [K, B]."""
        ...


@runtime_checkable
class Variational(Bounded, Encoder, Protocol):
    """A model whose bound has a divergence from the prior in closed form."""

    def terms(
        self,
        variables: Variables,
        x: Any,
        key: Key,
        **conditions: Any,
    ) -> Any:
        """Return the terms of the bound; `kl` [B, Z] among them."""
        ...


@runtime_checkable
class SquaredError(Protocol):
    """A model with an error of its reconstructions."""

    def squared_error(
        self,
        variables: Variables,
        x: Any,
        **conditions: Any,
    ) -> Array:
        """Return the squared error per example, [B]."""
        ...


def is_given_classes(model: Any) -> bool:
    """Return whether the model is conditioned on the class."""
    return "label" in fields.given(model)


def names_classes(model: Any) -> bool:
    """Return whether the model tells any classes apart."""
    return model.num_labels > 0


def density_of_classes(given: Given) -> Values:
    """Compute the marginal, the density given the label, and the accuracy of Bayes' rule."""
    return log_prob_by_class(given.model, given.variables, given.x, **given.conditions)


def density(given: Given) -> Values:
    """Compute log p(x)."""
    log_prob = given.model.log_prob(given.variables, given.x, **given.conditions)
    return {"log_prob": log_prob}


def bounds(given: Given) -> Values:
    """Compute the bounds with one draw and with k of them, from one set of weights."""
    k = given.num_samples
    weights = importance_weights(
        given.model, given.variables, given.x, given.key, k, **given.conditions
    )  # [k, B]
    return {"elbo": weights.mean(axis=0), IWAE: log_mean_exp(weights, axis=0)}


def bound_by_steps(given: Given) -> Values:
    """Compute the bound of a chain by k of its steps."""
    elbo = given.model.elbo(
        given.variables, given.x, given.key, given.num_samples, **given.conditions
    )
    return {"elbo_by_steps": elbo}


def denoising_error(given: Given) -> Values:
    """Compute the error of a denoiser by one corrupted copy of each example."""
    error = given.model.denoising_error(given.variables, given.x, given.key, **given.conditions)
    return {"denoising_error": error}


def gap(given: Given) -> Values:
    """Compute how far the bound stays below log p(x): >= 0 in expectation."""
    return {"gap": given.found["log_prob"] - given.found[IWAE]}


def divergence(given: Given) -> Values:
    """Compute KL(q(z | x) || p(z)) and the code."""
    terms = given.model.terms(given.variables, given.x, given.key, **given.conditions)
    code = given.model.encode(given.variables, given.x, **given.conditions)
    return {"kl": terms.kl.sum(axis=-1), "code": code}


def parts_of_the_bound(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | int]:
    """Compute what is left of the bound without its divergence, and the active units."""
    reconstruction = -(found["elbo"] + found["kl"])
    return {"reconstruction": reconstruction, "active_units": active_units(found["code"])}


def accuracy(given: Given) -> Values:
    """Compute 1 where the most probable class is the label, else 0."""
    log_posterior = given.model.classify(given.variables, given.x, **given.conditions)
    right = log_posterior.argmax(axis=-1) == given.batch["label"]
    return {"accuracy": right.astype(jnp.float32)}


def squared_error(given: Given) -> Values:
    """Compute the squared error of the reconstruction."""
    error = given.model.squared_error(given.variables, given.x, **given.conditions)
    return {"squared_error": error}


MEASURES: tuple[Measure, ...] = (
    Measure(
        needs=(DensityOfClasses,),
        where=is_given_classes,
        fields=("label",),
        of=density_of_classes,
        shown=(
            Shown("log_prob", "nats", better=+1, bits=True),
            Shown("log_prob_given_label", "nats", bits=True, labelled=True),
            Shown("bayes_accuracy", "share", labelled=True),
        ),
    ),
    Measure(
        needs=(Density,),
        unless="log_prob",
        of=density,
        shown=(Shown("log_prob", "nats", better=+1, bits=True),),
    ),
    *UNNORMALISED,
    Measure(
        needs=(Bounded,),
        of=bounds,
        shown=(
            Shown("elbo", "nats", bits=True),  # the bound with k draws is the tighter: it chooses
            Shown(IWAE, "nats", better=+1, bits=True),
        ),
    ),
    Measure(
        needs=(BoundedBySteps,),
        of=bound_by_steps,
        shown=(Shown("elbo_by_steps", "nats", better=+1, bits=True, title="elbo"),),
        protocol="{k} steps of the chain drawn per example, seed {seed}",
    ),
    Measure(
        needs=(Classifier,),
        where=names_classes,
        fields=("label",),
        of=accuracy,
        shown=(Shown("accuracy", "share", labelled=True),),
        protocol="the class of largest probability",
    ),
    Measure(
        needs=(Density, Bounded),
        of=gap,
        shown=(Shown("gap", "nats", title=f"log_prob_minus_{IWAE}", with_error=True),),
    ),
    Measure(
        needs=(Variational,),
        of=divergence,
        whole=parts_of_the_bound,
        shown=(
            Shown("kl", "nats"),
            Shown("reconstruction", "nats"),
            Shown("active_units", "units"),
        ),
    ),
    Measure(
        needs=(SquaredError,),
        of=squared_error,
        shown=(Shown("squared_error", "squared", better=-1),),
    ),
    Measure(
        needs=(Denoises,),
        of=denoising_error,
        shown=(Shown("denoising_error", "of the noise", better=-1),),
        protocol="one corrupted copy of each example, seed {seed}",
    ),
    *CODES,
)


def applicable(model: Any, names: Collection[str]) -> tuple[Measure, ...]:
    """Return the rows that apply to a model and to a batch with fields of these names."""
    rows: list[Measure] = []
    told: set[str] = set()
    for row in MEASURES:
        able = all(isinstance(model, capability) for capability in row.needs)
        known = set(row.fields) <= set(names)
        if able and known and row.unless not in told and row.where(model):
            rows.append(row)
            told |= {shown.name for shown in row.shown}
    return tuple(rows)


def by_samples(model: Any, rows: tuple[Measure, ...]) -> bool:
    """Return whether samples must speak for the model: it has some, and no measure in nats."""
    shown = itertools.chain.from_iterable(row.shown for row in rows)
    return isinstance(model, Sampler) and all(each.unit != "nats" for each in shown)


def directions(num_samples: int) -> dict[str, int]:
    """Return {name: +1 or -1} of the numbers that tell the best checkpoint, the first choice first.

    Args:
      num_samples: k of the names.
    """
    shown = itertools.chain.from_iterable(row.shown for row in MEASURES)
    chosen = {each.name.format(k=num_samples): each.better for each in shown}
    return {name: better for name, better in chosen.items() if better}
