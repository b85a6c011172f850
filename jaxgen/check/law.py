"""A law: a statement about a model that a figure settles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.experiment import Experiment
from jaxgen.fields import conditions, repeated, target
from jaxgen.typing import Key, Variables


@dataclass(frozen=True)
class Subject:
    """A model at its real configuration, with examples: what a law is tested on.

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
        """The examples, as a loss takes them."""
        return {**self.fields, target(self.model): self.x}

    def conditions(self, num: int) -> dict[str, Any]:
        """Return what the model is conditioned on, for `num` examples.

        It is that of the first examples, again and again.
        """
        found = conditions(self.model, self.fields)
        return repeated(found, num)


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
    """Return a law that holds if figure <= bound; a figure that is not finite fails."""
    number = float(figure)
    passed = bool(np.isfinite(number) and number <= bound)
    return Law(law, number, bound, passed, unit, meaning)


def at_least(law: str, figure: Any, bound: float | int, unit: str, meaning: str) -> Law:
    """Return a law that holds if figure >= bound; a figure that is not finite fails."""
    number = float(figure)
    passed = bool(np.isfinite(number) and number >= bound)
    return Law(law, number, bound, passed, unit, meaning)


def largest_difference(a: Any, b: Any) -> float:
    """Return the largest absolute difference of two trees of arrays; keys compare by their data."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max((_difference(x, y) for x, y in pairs), default=0.0)


def _difference(x: Any, y: Any) -> float:
    """Return the largest absolute difference of two arrays, 0 for empty ones."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
        y = jax.random.key_data(y)
    difference = np.asarray(x, np.float64) - np.asarray(y, np.float64)
    return float(np.max(np.abs(difference), initial=0))
