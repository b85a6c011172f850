"""A model, and everything else made of dataclasses, as plain JSON and back.

A dataclass becomes `{"type": "VAE", field: value, ...}`, whatever file its class lives in; tuples
become lists. Reading looks the type up in a table of classes that the caller gives and never
imports a name found in a file.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn

from jaxgen.console import is_printable
from jaxgen.errors import CheckpointError, ConfigError


def type_name(cls: type) -> str:
    """Return the name of a class on disk: its bare name, so that a file may move."""
    return cls.__name__


def class_table(classes: Iterable[type]) -> dict[str, type]:
    """Return {type name: class}, as `from_json` takes it.

    Raises:
      ConfigError: two classes have the same name.
    """
    table: dict[str, type] = {}
    for cls in classes:
        known = table.setdefault(type_name(cls), cls)
        if known is not cls:
            raise ConfigError(
                f"two classes are called {type_name(cls)}: {known.__module__} and {cls.__module__} "
                "each have one; rename yours"
            )
    return table


def types_in(value: Any) -> set[type]:
    """Return the dataclasses that a value is made of."""
    if isinstance(value, tuple | list):
        parts = value
        found: set[type] = set()
    elif _is_plain_data(value):
        parts = [getattr(value, name) for name in _fields(type(value))]
        found = {type(value)}
    else:
        return set()
    return found.union(*[types_in(part) for part in parts])


def to_json(value: Any, path: str = "spec") -> Any:
    """Return a value as plain JSON.

    Raises:
      ConfigError: a part has no plain form; names its path.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{path}: got {value}, expected a finite number")
        return value
    if isinstance(value, tuple | list):
        return [to_json(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if _is_plain_data(value):
        names = _fields(type(value))
        fields = {name: to_json(getattr(value, name), f"{path}.{name}") for name in names}
        return {"type": type_name(type(value)), **fields}
    raise ConfigError(f"{path}: {type(value).__name__} {value!r} has no form in JSON")


def from_json(value: Any, classes: Mapping[str, type], path: str = "spec") -> Any:
    """Return what `to_json` was given; lists come back as tuples.

    Args:
      value: plain JSON.
      classes: {name on disk: class}, the only ones that it may name.
      path: of the value, for messages.

    Raises:
      CheckpointError: a type that is not in `classes`, a field that the class does not have, or a
        value that the class refuses, with the path of the field.
    """
    if isinstance(value, list):
        return tuple(from_json(item, classes, f"{path}[{i}]") for i, item in enumerate(value))
    if isinstance(value, str) and not is_printable(value):
        raise CheckpointError(f"{path}: got {value[:80]!r}, expected printable characters")
    if not isinstance(value, dict):
        return value
    found = dict(value)
    name = found.pop("type", None)
    if not isinstance(name, str) or name not in classes:
        raise CheckpointError(
            f"{path}: unknown type {repr(name)[:80]}. A class of your own must be passed: "
            "jaxgen.load(path, classes=[MyClass])"
        )
    cls = classes[name]
    unknown = sorted(set(found) - set(_fields(cls)))
    if unknown:
        raise CheckpointError(f"{path}: {name} has no field {unknown[0][:80]!r}")
    fields = {key: from_json(item, classes, f"{path}.{key}") for key, item in found.items()}
    try:
        return cls(**fields)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: {name} cannot be made from it: {reason}") from error


def _is_plain_data(value: Any) -> bool:
    """Return whether it is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(cls: type) -> list[str]:
    """Return the names of a class's fields, without the two that Linen adds for its own use."""
    linen = ("parent", "name") if issubclass(cls, nn.Module) else ()
    return [field.name for field in dataclasses.fields(cls) if field.name not in linen]
