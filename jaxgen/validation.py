"""What a run measures on its validation split, and what tells its best checkpoint."""

import math
from collections.abc import Mapping
from typing import Any

import jax

from jaxgen.data import Dataset
from jaxgen.evaluation import mean_and_error, measure
from jaxgen.evaluation.guard import vital_signs, watches
from jaxgen.train import TrainState, evaluation_variables

SAMPLES = 20  # importance samples per example
_EXAMPLES = 1000
_SCORES = {"log_prob": 1, f"iwae_{SAMPLES}": 1, "elbo": 1, "squared_error": -1}


def validate(model: Any, state: TrainState, dataset: Dataset) -> dict[str, float]:
    """Means over (at most 1000 examples of) the validation split, of what the model can say."""
    fields = dataset.batch("validation", _EXAMPLES)
    x, key, variables = fields.pop("image"), jax.random.key(0), evaluation_variables(state)
    found = measure(model, variables, x, key, num_samples=SAMPLES, fields=fields)
    found.pop("code", None)
    if "iwae" in found:
        found[f"iwae_{SAMPLES}"] = found.pop("iwae")
    values = {name: mean_and_error(each)[0] for name, each in found.items()}
    if "gap" in found:
        values["gap_standard_error"] = mean_and_error(found["gap"])[1]
    if watches(model):
        values |= vital_signs(model, variables, x, key)
    return {name: round(value, 7) for name, value in values.items()}


def score(signs: Mapping[str, Any]) -> float:
    """What tells the best checkpoint, higher is better; NaN if the model has no such sign."""
    return next((s * signs[name] for name, s in _SCORES.items() if name in signs), math.nan)
