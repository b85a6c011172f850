"""Evaluation: numbers from a model, its variables and data, as pure functions."""

from jaxgen.evaluation.estimates import Measured, measure
from jaxgen.evaluation.real import Real, real_examples
from jaxgen.evaluation.record import Record, mean_and_error
from jaxgen.evaluation.row import Given, Measure, Shown
from jaxgen.evaluation.samples import measure_samples

__all__ = [
    "Given",
    "Measure",
    "Measured",
    "Real",
    "Record",
    "Shown",
    "mean_and_error",
    "measure",
    "measure_samples",
    "real_examples",
]
