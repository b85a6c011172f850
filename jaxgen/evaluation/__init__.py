"""Evaluation: numbers from a model, its variables and data, as pure functions."""

from jaxgen.evaluation.likelihood import Record, mean_and_error, measure, records
from jaxgen.evaluation.samples import Real, measure_samples, real_examples

__all__ = [
    "Real",
    "Record",
    "mean_and_error",
    "measure",
    "measure_samples",
    "real_examples",
    "records",
]
