"""A look at the first batch of a loop, on the host: are these the values that the model is for?

Inside a compiled step values cannot be looked at without a cost at every step. What compiles a step
(`parallel`) therefore notes which models its first call trains, and how their batches are prepared,
and looks at that one batch from outside. A step that is compiled elsewhere knows the kind of its
numbers alone: bytes are stored values, which no model of other bounds sees as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from jaxgen.errors import DataError
from jaxgen.fields import require_values, target, values
from jaxgen.state import Player
from jaxgen.typing import Batch, Key

Prepare = Callable[[Batch, Key], Batch]


class Trained(NamedTuple):
    """The models of a step, and how it prepares a batch."""

    models: tuple[Any, ...]
    prepare: Prepare | None


_NOTED: ContextVar[list[Trained] | None] = ContextVar("noted", default=None)


@contextmanager
def noted() -> Iterator[list[Trained]]:
    """Note what the steps traced in this context train."""
    found: list[Trained] = []
    token = _NOTED.set(found)
    try:
        yield found
    finally:
        _NOTED.reset(token)


def look_or_note(players: tuple[Player, ...], batch: Batch, prepare: Prepare | None) -> None:
    """Look at the values of a batch; of a traced one, note its models or look at its dtype alone.

    Raises:
      DataError: a value that a model is not for.
    """
    trained = Trained(_models(players), prepare)
    if not _is_traced(batch):
        look(trained, batch)
        return
    found = _NOTED.get()
    if found is not None:
        found.append(trained)
    elif prepare is None:
        _require_prepared(trained.models, batch)


def look_at_prepared(player: Player, batch: Batch) -> None:
    """Look at the values of a batch as a loss will see it; of a traced one, at its dtype alone.

    Raises:
      DataError: a value that the player's model is not for.
    """
    models = _models((player,))
    if _is_traced(batch):
        _require_prepared(models, batch)
    else:
        look(Trained(models, None), batch)


def look(trained: Trained, batch: Batch) -> None:
    """Look at a batch of numbers, prepared as the step does. Raises DataError."""
    if trained.prepare is not None:
        batch = trained.prepare(batch, jax.random.key(0))
    for model in trained.models:
        require_values(model, batch)


def _is_traced(batch: Batch) -> bool:
    """Return whether a batch has shapes alone, inside what is being compiled."""
    return any(isinstance(x, Tracer) for x in jax.tree.leaves(dict(batch)))


def _require_prepared(models: tuple[Any, ...], batch: Batch) -> None:
    """Raise DataError where a model of other bounds would see bytes."""
    largest = np.iinfo(np.uint8).max
    for model in models:
        name = target(model)
        field = batch.get(name)
        if field is not None and field.dtype == np.uint8 and values(model).high < largest:
            raise DataError(
                f"field {name!r}: bytes, as they are stored, but {type(model).__name__} is for "
                f"{values(model).low:g} .. {values(model).high:g}\n"
                "Try: prepare=dataset.prepare, or give it as float32 if it is prepared"
            )


def _models(players: tuple[Player, ...]) -> tuple[Any, ...]:
    """Return the models whose methods are the players' losses."""
    found: list[Any] = []
    for player in players:
        loss = getattr(player.loss, "func", player.loss)  # of a partial its function
        model = getattr(loss, "__self__", None)
        if model is not None and all(model is not other for other in found):
            found.append(model)
    return tuple(found)
