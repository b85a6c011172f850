"""A law: a statement about a model that a figure settles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgen.autoregressive import chain_rule
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
      fields: what else is known of the examples: {'label': [N]}.
    """

    experiment: Experiment
    variables: Variables
    x: jax.Array
    key: Key
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> Any:
        """The model."""
        return self.experiment.model

    @property
    def batch(self) -> dict[str, Any]:
        """The examples as a loss takes them."""
        return {**self.fields, "image": self.x}

    def conditions(self, num: int) -> dict[str, Any]:
        """What the model is conditioned on, for `num` examples: those of the first ones, again."""
        found = chain_rule.conditions(self.model, self.fields)
        return {name: np.resize(value, (num, *value.shape[1:])) for name, value in found.items()}


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
