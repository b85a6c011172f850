"""A model and its data: do they fit?"""

from typing import Any

import numpy as np

from jaxgen.data import Dataset
from jaxgen.errors import ConfigError
from jaxgen.fields import IMAGE, given, optional, target


def require_fit(model: Any, dataset: Dataset) -> None:
    """Compare what a model makes and is given with what the data have.

    The fields must be there and the shapes agree. A model with an observation must be over as many
    values as the data take (a density of whole numbers, or a Bernoulli of grey pixels, is no
    likelihood), and one that is conditioned on a class, or names classes, needs data with as many.
    A model that is given the class of each example needs data in which every class is known; one
    that names classes leaves those without out of its loss. The bounded samples of a generator must
    lie where the data lie.

    Raises:
      ConfigError: one of these fails; names the flag and both sides.
    """
    _require_shape(model, dataset)
    _require_values(model, dataset)
    for name, role in (("num_classes", "is conditioned on"), ("num_labels", "names")):
        num = getattr(model, name, 0)
        if num and num != dataset.num_classes:
            raise ConfigError(
                f"--data.name {dataset.config.name}: has {dataset.num_classes or 'no'} classes, "
                f"the model {role} {num}"
            )
    _require_given(model, dataset)
    _require_known_classes(model, dataset)
    _require_range(getattr(model, "range", None), dataset)


def _require_shape(model: Any, dataset: Dataset) -> None:
    """Raise ConfigError unless the data have the field that the model makes, in its shape."""
    name = target(model)
    if name == IMAGE:
        shape: tuple[int, ...] | None = dataset.shape
        noun = "examples are"
    else:
        shape = dataset.fields.get(name)
        noun = f"the field {name!r} is"
    if shape is None:
        raise ConfigError(_without(dataset, name, f"{type(model).__name__} makes"))
    if tuple(model.shape) != tuple(shape):
        raise ConfigError(
            f"--data.name {dataset.config.name}: {noun} {list(shape)}, "
            f"the model is for {list(model.shape)}"
        )


def _require_given(model: Any, dataset: Dataset) -> None:
    """Raise ConfigError unless the data have every field that the model cannot do without."""
    for name in given(model):
        if name not in optional(model) and name not in dataset.fields:
            raise ConfigError(_without(dataset, name, f"{type(model).__name__} is given"))


def _require_known_classes(model: Any, dataset: Dataset) -> None:
    """Raise ConfigError where a model is given classes and those of some examples are unknown.

    As an index -1 is the last class, and as a one-hot vector none.
    """
    if "label" not in given(model) or not dataset.unknown:
        return
    split, num = next(iter(dataset.unknown.items()))
    cure = "Leave them out, or use a model without classes"
    if dataset.config.labels is not None:
        cure = "Leave out --data.labels"
    raise ConfigError(
        f"--data.name {dataset.config.name}: {num} {split} examples are of no known class (label "
        f"-1), and {type(model).__name__} is given the class of each.\n{cure}"
    )


def _without(dataset: Dataset, name: str, role: str) -> str:
    """Return the message about a field that the data do not have."""
    known = ", ".join(dataset.fields)
    return f"--data.name {dataset.config.name}: has no field {name!r}, which {role}; it has {known}"


def _require_values(model: Any, dataset: Dataset) -> None:
    """Raise ConfigError unless an element takes as many values as the model is over."""
    observation = getattr(model, "observation", None)
    part = model if observation is None else observation
    if hasattr(part, "values") and part.values != dataset.values:
        raise ConfigError(
            f"--data.transform {dataset.config.transform}: gives {_kind(dataset.values)}, but "
            f"{type(part).__name__} is for {_kind(part.values)}.\n{_other_form(dataset)}"
        )


def _other_form(dataset: Dataset) -> str:
    """Return what to try where the values of the data are not those of the model."""
    if dataset.levels is None:  # of real numbers there is no other form
        return "Try: a Gaussian observation, or data of whole numbers in 0..levels-1"
    return (
        "Try: binarise for Bernoulli, levels for Categorical or DiscretizedLogistic, "
        "dequantise for Gaussian"
    )


def _require_range(samples: tuple[float, float] | None, dataset: Dataset) -> None:
    """Raise ConfigError unless samples have the bounds of the data.

    A discriminator tells -1 from 0 at a glance: samples of other bounds than the data's lose.
    """
    data = dataset.range
    if samples is None or not np.isfinite(samples).all() or tuple(samples) == data:
        return
    low, high = samples
    bounds = f"values in [{data[0]:g}, {data[1]:g}]" if data else "numbers without bounds"
    hint = "Try: symmetric for tanh, unit for sigmoid"
    if dataset.levels is None:
        hint = "Try: a generator without a final activation, or data of whole numbers"
    raise ConfigError(
        f"--data.transform {dataset.config.transform}: gives {bounds}, but samples lie in "
        f"[{low:g}, {high:g}].\n{hint}"
    )


def _kind(values: int | None) -> str:
    """Return what an element can be, in words."""
    return "real numbers" if values is None else f"{values} values"
