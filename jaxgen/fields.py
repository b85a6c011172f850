"""Fields of a batch: what a model is given, and what it makes.

A batch is a mapping of named arrays, {'image': [B, H, W, C], 'label': [B], ...}. A model makes one
field, its *target* ('image' unless the model says otherwise), and may be *given* others ('label',
'context', a caption, a picture of low resolution). Whoever calls a model's method passes on what
`conditions` finds; nobody lists names.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from jaxgen.errors import ConfigError, DataError
from jaxgen.typing import Batch

IMAGE = "image"
UNKNOWN = -1  # the label of an example whose class is not known
_ROUNDING = 1e-5  # of the distance between the bounds


class Values(NamedTuple):
    """The values that a model's examples may take.

    Attributes:
      low: the least.
      high: the largest.
      whole: whole numbers alone. Two values, 0 and 1, may be mixed: shades of grey are usual.
    """

    low: float
    high: float
    whole: bool


def given(model: Any) -> tuple[str, ...]:
    """Return the names of the fields that the model is conditioned on; () for most models."""
    return tuple(getattr(model, "given", ()))


def optional(model: Any) -> tuple[str, ...]:
    """Return those of `given` without which the model has a density all the same (it sums)."""
    return tuple(getattr(model, "optional", ()))


def target(model: Any) -> str:
    """Return the name of the field that the model makes."""
    return str(getattr(model, "target", IMAGE))


def conditions(model: Any, batch: Batch) -> dict[str, Any]:
    """Return what of a batch the model is given, {name: [B, ...]}.

    Raises:
      DataError: the batch lacks a field that the model cannot do without.
    """
    missing = [name for name in given(model) if batch.get(name) is None]
    required = sorted(set(missing) - set(optional(model)))
    if required:
        raise DataError(
            f"{type(model).__name__} is given {required[0]!r}, and the batch has only "
            f"{', '.join(map(repr, sorted(batch)))}"
        )
    return {name: batch[name] for name in given(model) if name not in missing}


def require_classes(label: Any, num_classes: int) -> None:
    """Look at labels [B] whose values are known here, where a model is given the class of each.

    Under `jit` they are not: there the labels of a data set count, which are looked at when it is
    read. As an index -1 would be the last class, and as a one-hot vector none.

    Raises:
      ConfigError: a label that is not one of 0..num_classes-1; names its index.
    """
    if label is None or isinstance(label, Tracer):
        return
    values = np.atleast_1d(np.asarray(label))
    bad = (values < 0) | (values >= num_classes)
    if bad.any():
        first = int(np.argmax(bad))
        raise ConfigError(
            f"label: got {values.flat[first]} at index {first}, expected 0..{num_classes - 1}"
        )


def repeated(found: Batch, num: int) -> dict[str, Any]:
    """Return the fields for `num` examples: those of the first ones, again and again."""
    return {name: np.resize(value, (num, *value.shape[1:])) for name, value in found.items()}


def values(model: Any) -> Values:
    """Return the values that the model is for: those of its observation, else of its samples."""
    part = getattr(model, "observation", None) or model
    num = getattr(part, "values", None)
    if isinstance(num, int):
        return Values(0.0, num - 1.0, num > 2)
    low, high = getattr(model, "range", None) or (-math.inf, math.inf)
    return Values(float(low), float(high), False)


def require_values(model: Any, batch: Batch) -> None:
    """Look at examples on the host, before a model is trained or measured on them.

    Raises:
      DataError: one is not finite, or has a value or a label that the model is not for; names it.
    """
    _require_labels(model, batch)
    name = target(model)
    if batch.get(name) is None:
        return
    x = np.asarray(batch[name])
    expected = values(model)
    _require(np.isfinite(x), x, name, "expected finite numbers")
    kind = f"{type(model).__name__} is for"
    bounds = f"{expected.low:g} .. {expected.high:g}"
    _require(within(x, expected.low, expected.high), x, name, f"{kind} {bounds}")
    if expected.whole:
        _require(x == np.rint(x), x, name, f"{kind} whole numbers in {bounds}")


def _require_labels(model: Any, batch: Batch) -> None:
    """Raise DataError about the first label that is no class of the model.

    A model that is given classes needs the class of each example; one that names classes leaves
    those of no known class out of its loss.
    """
    label = batch.get("label")
    if label is None:
        return
    label = np.asarray(label).reshape(-1)
    for name, least in (("num_classes", 0), ("num_labels", UNKNOWN)):
        num = getattr(model, name, 0)
        bad = ~((label >= least) & (label < num))
        if num and bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"field 'label', example {first} of the batch: got {label[first]:g}, but "
                f"{type(model).__name__} is for {least} .. {num - 1}\n"
                "Leave such examples out, or number the classes from 0"
            )


def within(x: Any, low: float, high: float) -> np.ndarray:
    """Return whether each value lies between the bounds, but for rounding; NaN does."""
    slack = _ROUNDING * (high - low) if math.isfinite(high - low) else 0.0
    return ~((x < low - slack) | (x > high + slack))


def _require(good: np.ndarray, x: np.ndarray, name: str, expected: str) -> None:
    """Raise DataError about the first example with a value that is not good."""
    bad = ~good.reshape(len(good), -1)
    if not bad.any():
        return
    row = int(bad.any(axis=1).argmax())
    value = x.reshape(len(x), -1)[row, bad[row].argmax()]
    raise DataError(
        f"field {name!r}, example {row} of the batch: got {value:g}, but {expected}\n"
        "Try: prepare=dataset.prepare, which gives stored values the form that the model sees"
    )
