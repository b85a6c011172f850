"""Measures of models with a density up to a constant: rows of the table in `measures.py`.

log p(x) = -E(x) - log Z. Where log Z can be summed the figure is exact, `log_prob`. Else log Z is
estimated by annealed importance sampling, and the figure, `log_prob_ais`, is an estimate that errs
high: its name and its protocol say so. The standard error of log p(x) is that of the mean over
examples alone; that of log Z is beside it, and moves all examples alike.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from jaxgen.distributions.path import Path
from jaxgen.evaluation import annealed
from jaxgen.evaluation.row import Estimate, Given, Measure, Shown, Values
from jaxgen.fields import values
from jaxgen.typing import Array, Energy, Key, MeanField, Partition, Variables

EXACT = "log Z exact, by summation"
ESTIMATED = (
    f"log Z by annealed importance sampling, {{k}} runs of {annealed.TEMPERATURES} temperatures, "
    f"seed {{seed}}; {annealed.BIAS}"
)


BOUND = "mean field, a lower bound but for log Z"
LEARNT = "log Z learnt with the energy by noise-contrastive estimation: no bound on either side"


@runtime_checkable
class SelfNormalised(Energy, Protocol):
    """A model that has learnt its log Z."""

    def learnt_log_partition(self, variables: Variables) -> Array:
        """Return what was learnt of log Z, []."""
        ...


@runtime_checkable
class Annealed(Protocol):
    """A model with a path to it from a distribution whose log Z is known."""

    def annealing(self, variables: Variables, base: Array | None = None) -> Path:
        """Return the path; `base` [D] are the biases at its beginning."""
        ...


def is_tractable(model: Any) -> bool:
    """Return whether log Z of the model can be summed."""
    return bool(getattr(model, "is_tractable", False))


def is_intractable(model: Any) -> bool:
    """Return whether log Z of the model has to be estimated."""
    return not is_tractable(model)


def summed(given: Given) -> Mapping[str, Estimate]:
    """Compute log Z, which has no error."""
    log_z = jax.jit(given.model.log_partition)(given.variables)
    return {"log_partition": (float(log_z), 0.0)}


def annealed_runs(given: Given) -> Mapping[str, Estimate]:
    """Estimate log Z, on a path that begins at independent pixels of the means of the examples."""
    estimate = _compiled(given.model, given.num_samples)
    found = estimate(given.variables, base(given), given.key)
    return {"log_partition_ais": (float(found.value), float(found.standard_error))}


def base(given: Given) -> np.ndarray:
    """Return the biases of a path's beginning: of binary examples their rates, of others the means.

    Any choice gives an estimate without bias of Z; a near one has less variance.
    """
    x = np.asarray(given.x, np.float32)
    if values(given.model).high == 1:
        return annealed.base_rates(x).astype(np.float32)
    return x.reshape(len(x), -1).mean(axis=0)


@lru_cache(maxsize=32)
def _compiled(
    model: Any,
    num_runs: int,
) -> Callable[[Variables, Array, Key], annealed.Estimated]:
    """Return the compiled estimate, one for each model and number of runs."""

    def estimate(variables: Variables, base: Array, key: Key) -> annealed.Estimated:
        path = model.annealing(variables, base)
        return annealed.log_partition(path, key, num_runs=num_runs)

    return jax.jit(estimate)


def density(given: Given) -> Values:
    """Compute log p(x) by the sum."""
    return {"log_prob": _normalised(given, given.found["log_partition"])}


def density_by_annealing(given: Given) -> Values:
    """Compute log p(x) by the estimate, high on average."""
    return {"log_prob_ais": _normalised(given, given.found["log_partition_ais"])}


def bound(given: Given) -> Values:
    """Compute the lower bound of log p(x)."""
    return {"mean_field_bound": _bounded(given) - given.found["log_partition"]}


def bound_by_annealing(given: Given) -> Values:
    """Compute the bound with an estimate of log Z, which makes it none."""
    return {"mean_field_bound_ais": _bounded(given) - given.found["log_partition_ais"]}


def _bounded(given: Given) -> Array:
    """Return the bound before log Z is taken from it."""
    bound: Array = given.model.mean_field_bound(given.variables, given.x, **given.conditions)
    return bound


def learnt(given: Given) -> Mapping[str, Estimate]:
    """Tell what was learnt of log Z, whose error is not known."""
    log_z = given.model.learnt_log_partition(given.variables)
    return {"log_partition_nce": (float(log_z), float("nan"))}


def density_as_learnt(given: Given) -> Values:
    """Compute log p(x) by the learnt log Z."""
    return {"log_prob_nce": _normalised(given, given.found["log_partition_nce"])}


def _normalised(given: Given, log_z: Array) -> Array:
    """Return -E(x) - log Z."""
    energy = given.model.energy(given.variables, given.x, **given.conditions)
    return -energy - log_z


ROWS: tuple[Measure, ...] = (
    Measure(
        needs=(Energy, Partition),
        where=is_tractable,
        unless="log_prob",
        once=summed,
        of=density,
        shown=(
            Shown("log_prob", "nats", better=+1, bits=True),
            Shown("log_partition", "nats"),
        ),
        protocol=EXACT,
    ),
    Measure(
        needs=(Energy, Annealed),
        where=is_intractable,
        unless="log_prob",
        once=annealed_runs,
        of=density_by_annealing,
        shown=(
            Shown("log_prob_ais", "nats", better=+1, bits=True),
            Shown("log_partition_ais", "nats", with_error=True),
        ),
        protocol=ESTIMATED,
    ),
    Measure(
        needs=(MeanField, Partition),
        where=is_tractable,
        once=summed,
        of=bound,
        shown=(
            Shown("mean_field_bound", "nats", better=+1, bits=True),
            Shown("log_partition", "nats"),
        ),
        protocol=f"{BOUND}; {EXACT}",
    ),
    Measure(
        needs=(MeanField, Annealed),
        where=is_intractable,
        once=annealed_runs,
        of=bound_by_annealing,
        shown=(
            Shown("mean_field_bound_ais", "nats", better=+1, bits=True),
            Shown("log_partition_ais", "nats", with_error=True),
        ),
        protocol=f"{BOUND}; {ESTIMATED}",
    ),
    Measure(
        needs=(SelfNormalised,),
        once=learnt,
        of=density_as_learnt,
        shown=(
            Shown("log_prob_nce", "nats", better=+1, bits=True),
            Shown("log_partition_nce", "nats"),
        ),
        protocol=LEARNT,
    ),
)
