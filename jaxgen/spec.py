"""A model, and everything else made of dataclasses, as plain JSON and back.

A dataclass becomes `{"type": "vae.VAE", field: value, ...}`; tuples become lists. Reading looks the
type up in a table of classes that the caller gives and never imports a name found in a file.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn

from jaxgen.errors import CheckpointError, ConfigError


def type_name(cls: type) -> str:
    """'vae.VAE' for a class of jaxgen, 'module.Class' for anybody else's."""
    module = cls.__module__.removeprefix("jaxgen.")
    if module != cls.__module__:
        module = module.split(".")[0]
    return f"{module}.{cls.__qualname__}"


def class_table(classes: Iterable[type]) -> dict[str, type]:
    """{type name: class}, as `from_json` takes it."""
    return {type_name(cls): cls for cls in classes}


def types_in(value: Any) -> set[type]:
    """The dataclasses that it is made of."""
    if isinstance(value, tuple | list):
        return set().union(*map(types_in, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return set()
    return {type(value)}.union(*(types_in(getattr(value, name)) for name in _fields(value)))


def to_json(value: Any, path: str = "spec") -> Any:
    """`value` as plain JSON. Raises ConfigError naming the field that has no plain form."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{path}: got {value}, expected a finite number")
        return value
    if isinstance(value, tuple | list):
        return [to_json(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {name: to_json(getattr(value, name), f"{path}.{name}") for name in _fields(value)}
        return {"type": type_name(type(value)), **fields}
    raise ConfigError(f"{path}: {type(value).__name__} {value!r} has no form in JSON")


def from_json(value: Any, classes: Mapping[str, type], path: str = "spec") -> Any:
    """The inverse of `to_json`; lists come back as tuples.

    Raises:
      CheckpointError: a type that is not in `classes`, a field that the class does not have, or a
        value that the class refuses, with the path of the field.
    """
    if isinstance(value, list):
        return tuple(from_json(item, classes, f"{path}[{i}]") for i, item in enumerate(value))
    if isinstance(value, str) and not value.isprintable():
        raise CheckpointError(f"{path}: got {value[:80]!r}, expected printable characters")
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    name = fields.pop("type", None)
    if not isinstance(name, str) or name not in classes:
        raise CheckpointError(
            f"{path}: unknown type {repr(name)[:80]}. A class of your own must be passed: "
            "jaxgen.load(path, classes=[MyClass])"
        )
    unknown = sorted(set(fields) - set(_fields(classes[name])))
    if unknown:
        raise CheckpointError(f"{path}: {name} has no field {unknown[0][:80]!r}")
    fields = {key: from_json(item, classes, f"{path}.{key}") for key, item in fields.items()}
    try:
        return classes[name](**fields)
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: {name} cannot be made from it: {reason}") from error


def _fields(value):
    """The names of a dataclass's fields, without the two that Linen adds for its own use."""
    cls = value if isinstance(value, type) else type(value)
    linen = ("parent", "name") if issubclass(cls, nn.Module) else ()
    return [field.name for field in dataclasses.fields(cls) if field.name not in linen]
