"""A law: a statement about a model that a figure settles."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.experiment import Experiment
from jaxgen.train import Key, Variables


@dataclass(frozen=True)
class Subject:
    """What a law is tested on.

    Attributes:
      experiment: the model at its real configuration, and its training settings.
      variables: of the model, trained or fresh.
      x: [N, *shape] examples in the model's space.
      key: randomness of the tests.
    """

    experiment: Experiment
    variables: Variables
    x: jax.Array
    key: Key

    @property
    def model(self) -> Any:
        """The model."""
        return self.experiment.model


class Law(NamedTuple):
    """The outcome of a test.

    Attributes:
      law: the statement.
      figure: what was measured.
      bound: what the figure was compared with.
      passed: whether it holds.
      unit: of figure and bound.
      meaning: a sentence for a person.
    """

    law: str
    figure: float
    bound: float
    passed: bool
    unit: str
    meaning: str


def at_most(law: str, figure: Any, bound: float | int, unit: str, meaning: str) -> Law:
    """Holds if figure <= bound; a figure that is not finite fails."""
    figure = float(figure)
    return Law(law, figure, bound, bool(np.isfinite(figure) and figure <= bound), unit, meaning)


def at_least(law: str, figure: Any, bound: float | int, unit: str, meaning: str) -> Law:
    """Holds if figure >= bound; a figure that is not finite fails."""
    figure = float(figure)
    return Law(law, figure, bound, bool(np.isfinite(figure) and figure >= bound), unit, meaning)


def largest_difference(a: Any, b: Any) -> float:
    """The largest absolute difference of two trees of arrays; keys compare by their data."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max((_difference(x, y) for x, y in pairs), default=0.0)


def _difference(x, y):
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x, y = jax.random.key_data(x), jax.random.key_data(y)
    return float(np.max(np.abs(np.asarray(x, np.float64) - np.asarray(y, np.float64)), initial=0))
