"""The validation of a run, and the score that tells its best checkpoint."""

import math
from collections.abc import Mapping
from typing import Any

import jax

from jaxgen.data import Dataset
from jaxgen.evaluation import measure, measures
from jaxgen.evaluation.collapse import vital_signs, watches
from jaxgen.step import TrainState, evaluation_variables

SAMPLES = 20  # importance samples per example
_EXAMPLES = 1000


def validate(model: Any, state: TrainState, dataset: Dataset) -> dict[str, float]:
    """Return the means over (at most 1000 examples of) the validation split."""
    batch = dataset.batch("validation", _EXAMPLES)
    variables = evaluation_variables(state)
    key = jax.random.key(0)
    signs = measure(model, variables, batch, key, num_samples=SAMPLES).means()
    if watches(model):
        # The game is played by the parameters: an average of early ones may say what they do not.
        signs |= vital_signs(model, state.variables, batch, key)
    return {name: round(value, 7) for name, value in signs.items()}


def score(signs: Mapping[str, Any]) -> float:
    """Return what tells the best checkpoint, higher is better; NaN if the model has no such sign.

    Args:
      signs: as `validate` returns them.
    """
    for name, better in measures.directions(SAMPLES).items():
        if name in signs:
            return better * signs[name]
    return math.nan
