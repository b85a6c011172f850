"""Evaluation: numbers from a model, its variables and data, as pure functions."""

from jaxgen.evaluation.likelihood import Record, mean_and_error, measure, records

__all__ = ["Record", "mean_and_error", "measure", "records"]
