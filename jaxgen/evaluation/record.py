"""A measured number, and the mean over examples with its standard error."""

from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Record:
    """A measured number and how it was measured.

    Attributes:
      metric: its name, 'elbo' or 'iwae_500'.
      value: the mean over examples.
      standard_error: of the mean over examples; None where the number is no mean.
      unit: 'nats', 'bits/dim', 'units', ...
      split: which data.
      num: how many examples.
      protocol: everything else that the number depends on, for a person.
    """

    metric: str
    value: float | int
    standard_error: float | None
    unit: str
    split: str
    num: int
    protocol: str


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return the mean over examples and its standard error (NaN for a single example)."""
    values = values.astype(np.float64)
    if len(values) < 2:
        return float(values.mean()), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(error)
