"""A row of the table of measures: what it needs, how it is computed, and how it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from jaxgen import fields
from jaxgen.typing import Array, Batch, Key, Variables

Values = Mapping[str, Array]  # {name: [B, ...]}
Estimate = tuple[float, float]  # a number and its standard error
DRAWS = "{k} draws per example, seed {seed}"


@final
@dataclass(frozen=True)
class Given:
    """The values that a row computes from.

    Attributes:
      model: with the capabilities that the row needs.
      variables: of the model.
      batch: the model's target and conditions, and the fields that the rows ask for, [B, ...] each.
      key: randomness of the draws.
      num_samples: k, the draws per example.
      found: what the rows above found, [B, ...], and the numbers of `once`, [].
    """

    model: Any
    variables: Variables
    batch: Batch
    key: Key
    num_samples: int
    found: Values

    @property
    def x(self) -> Any:
        """The examples: the field that the model makes, [B, *shape]."""
        return self.batch[fields.target(self.model)]

    @property
    def conditions(self) -> dict[str, Any]:
        """The fields that the model is given beside them, for its methods' keywords."""
        return fields.conditions(self.model, self.batch)


@final
@dataclass(frozen=True)
class Shown:
    """The form in which a number is shown.

    Attributes:
      name: what its row calls it; `{k}` stands for the number of draws.
      unit: 'nats', 'share', 'squared', ...
      better: +1 if the checkpoint with the highest value is the best one, -1 if that with the
        lowest; 0 if the number does not choose. The first in the table that a model has chooses.
      bits: convert it to bits per dimension too.
      title: its name in the table of `evaluate`, where that is longer.
      with_error: the validation tells the standard error too.
      labelled: it is of the examples whose class is known alone.
    """

    name: str
    unit: str
    better: int = 0
    bits: bool = False
    title: str = ""
    with_error: bool = False
    labelled: bool = False


def everything(model: Any) -> bool:
    """Return True: a row applies to every model with the capabilities."""
    del model
    return True


@final
@dataclass(frozen=True)
class Measure:
    """A row: numbers that a model with some capabilities gives.

    Attributes:
      needs: protocols that the model must satisfy.
      of: the numbers of each example, [B, ...] each; compiled.
      shown: those of them that are told, in their order.
      where: a further condition on the model.
      fields: what the batch must have beside the model's own fields.
      unless: a number of an earlier row, in the presence of which this row is left out.
      once: numbers of the model itself with their standard errors: the log Z of an energy. They are
        estimated once, of all examples as the batch, and `of` finds them in `given.found`.
      whole: what `evaluate` computes of the numbers of all examples, [N, ...]: more numbers per
        example, [N], or counts.
      protocol: how the numbers came about, for a person; {k} draws, {seed}.
    """

    needs: tuple[type, ...]
    of: Callable[[Given], Values]
    shown: tuple[Shown, ...]
    where: Callable[[Any], bool] = everything
    fields: tuple[str, ...] = ()
    unless: str = ""
    once: Callable[[Given], Mapping[str, Estimate]] | None = None
    whole: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray | int]] | None = None
    protocol: str = DRAWS
