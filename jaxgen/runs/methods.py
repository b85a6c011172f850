"""The methods of a loaded model: which of them a run offers, compiled once each."""

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, get_origin

import jax

from jaxgen.fields import require_classes
from jaxgen.typing import Variables

_STATIC = ("num", "num_samples")


def is_offered(model: Any, name: str) -> bool:
    """Return whether a run has the model's method: one of variables and arrays, and no loss."""
    method = getattr(model, name, None)
    if name.startswith("_") or name.endswith("_loss") or not callable(method):
        return False
    try:
        parameters = signature(method).parameters
    except (TypeError, ValueError):  # a class or a builtin without a signature
        return False
    functions = [p for p in parameters.values() if get_origin(p.annotation) is Callable]
    return list(parameters)[:1] == ["variables"] and not functions


def called(model: Any, name: str, variables: Variables, /, *args: Any, **named: Any) -> Any:
    """Return what the model's method returns, once labels are known to be its classes."""
    if getattr(model, "num_classes", 0):
        require_classes(named.get("label"), model.num_classes)
    return _compiled(model, name)(variables, *args, **named)


@lru_cache(maxsize=64)
def _compiled(model: Any, name: str) -> Callable[..., Any]:
    """Return the model's method, compiled; numbers of examples are fixed at compilation."""
    method = getattr(model, name)
    static = [name for name in _STATIC if name in signature(method).parameters]
    return jax.jit(method, static_argnames=static)
