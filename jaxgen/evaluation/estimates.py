"""A model measured on one set of examples, by the table of `measures.py`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, final

import jax
import numpy as np

from jaxgen.evaluation.measures import applicable
from jaxgen.evaluation.per_example import per_example
from jaxgen.evaluation.record import Record, mean_and_error
from jaxgen.evaluation.row import Estimate, Given, Measure, Shown, Values
from jaxgen.fields import UNKNOWN, conditions, require_values, target
from jaxgen.typing import Batch, Key, Variables

Compiled = Callable[[Variables, Values, Batch, Key], dict[str, jax.Array]]


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """The numbers of a model on some examples.

    Attributes:
      rows: the measures that applied.
      num_samples: k, the draws per example.
      num: N, the examples.
      values: {name: [N, ...]} of each example.
      once: {name: (value, standard error)} of the model itself.
      labelled: [N], which examples have a known class; numbers of classes are of those alone, and
        are left out where there are none.
    """

    rows: tuple[Measure, ...]
    num_samples: int
    num: int
    values: Mapping[str, np.ndarray]
    once: Mapping[str, Estimate]
    labelled: np.ndarray | None = None

    def means(self) -> dict[str, float]:
        """Return the means over the examples, as the validation tells them."""
        found: dict[str, float] = {}
        for row in self.rows:
            for shown in row.shown:
                known = shown.name in self.values or shown.name in self.once
                if known and self._num(shown):
                    value, error = self._estimate(shown, {})
                    name = self._named(shown.name)
                    found[name] = value
                    if shown.with_error:
                        found[f"{name}_standard_error"] = error
        return found

    def records(
        self,
        *,
        split: str,
        protocol: Callable[[str], str],
        seed: int,
        bits_per_dim: Callable[[float], float | None],
    ) -> list[Record]:
        """Return the table of `evaluation.json`.

        Args:
          split: of the data.
          protocol: how a number came about -> the line of its record.
          seed: of the draws, for the protocol.
          bits_per_dim: nats per example (of a negative log-likelihood) to bits per dimension, or
            None where the conversion has no meaning.
        """
        table = []
        for row in self.rows:
            how = row.protocol.format(k=self.num_samples, seed=seed)
            make = partial(Record, split=split, protocol=protocol(how))
            more = row.whole(self.values) if row.whole else {}
            for shown in row.shown:
                num = self._num(shown)
                for number in self._numbers(shown, more, bits_per_dim) if num else ():
                    table.append(make(*number, num=num))
        return table

    def _num(self, shown: Shown) -> int:
        """Return how many examples a number is of."""
        if not shown.labelled or self.labelled is None:
            return self.num
        return int(self.labelled.sum())

    def _numbers(
        self,
        shown: Shown,
        more: Mapping[str, np.ndarray | int],
        bits_per_dim: Callable[[float], float | None],
    ) -> Iterator[tuple[str, float | int, float | None, str]]:
        """Return (metric, value, standard error, unit) of a number, and of it in bits."""
        metric = self._named(shown.title or shown.name)
        count = more.get(shown.name)
        if isinstance(count, int):
            yield metric, count, None, shown.unit
            return
        value, error = self._estimate(shown, more)
        yield metric, value, _finite(error), shown.unit
        bits = bits_per_dim(-value) if shown.bits else None
        if bits is not None:
            scale = (bits_per_dim(1.0) or 0.0) - (bits_per_dim(0.0) or 0.0)
            yield f"{metric}_bits_per_dim", bits, _finite(error * scale), "bits/dim"

    def _estimate(
        self,
        shown: Shown,
        more: Mapping[str, Any],
    ) -> Estimate:
        """Return the value of a number and its standard error."""
        name = shown.name
        if name in self.once:
            return self.once[name]
        values = more[name] if name in more else self.values[name]
        if shown.labelled and self.labelled is not None:
            values = values[self.labelled]
        return mean_and_error(values)

    def _named(self, name: str) -> str:
        """Return a name with the number of draws in it."""
        return name.format(k=self.num_samples)


def measure(
    model: Any,
    variables: Variables,
    batch: Batch,
    key: Key,
    *,
    num_samples: int,
) -> Measured:
    """Measure all that the model can say about each example.

    Args:
      model: with any capabilities; those without a measure add nothing.
      variables: of the model.
      batch: the examples in the model's space, {target: [N, *shape]}, and whatever else is known of
        them: the model's conditions, the labels.
      key: randomness of the draws.
      num_samples: k, the draws per example.

    Raises DataError where an example has a value that the model is not for.
    """
    require_values(model, batch)
    rows = applicable(model, batch)
    once: dict[str, Estimate] = {}
    for row in rows:
        if row.once is not None:
            once |= row.once(Given(model, variables, batch, key, num_samples, {}))
    if not rows:
        return Measured(rows, num_samples, 0, {}, once)
    wanted = {target(model), *conditions(model, batch)}
    wanted = wanted.union(*(row.fields for row in rows))
    batch = {name: batch[name] for name in sorted(wanted)}
    constants = {name: np.asarray(value, np.float32) for name, (value, _) in once.items()}
    function = partial(_compiled(model, rows, num_samples), variables, constants)
    values = per_example(function, batch, key)
    labelled = np.asarray(batch["label"]) != UNKNOWN if "label" in batch else None
    num = len(batch[target(model)])
    return Measured(rows, num_samples, num, values, once, labelled)


@lru_cache(maxsize=32)
def _compiled(
    model: Any,
    rows: tuple[Measure, ...],
    num_samples: int,
) -> Compiled:
    """Return the compiled function behind `measure`, one for each model, rows and k."""

    def function(
        variables: Variables,
        constants: Values,
        batch: Batch,
        key: Key,
    ) -> dict[str, jax.Array]:
        found: dict[str, Any] = {}
        for row in rows:
            above = {**constants, **found}
            given = Given(model, variables, batch, key, num_samples, above)
            found |= row.of(given)
        return found

    return jax.jit(function)


def _finite(error: float) -> float | None:
    """Return the error, or None for NaN, which JSON has not: one example has no error."""
    return error if np.isfinite(error) else None
