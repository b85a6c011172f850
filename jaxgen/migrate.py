"""Old checkpoints load for ever: what their records say, in today's words.

A record bears the number of its format. Each step below turns one format into the next; none is
ever taken out. `tests/golden` holds a small checkpoint of every format.
"""

from collections.abc import Callable
from typing import Any

from jaxgen.errors import CheckpointError

FORMAT = 2
_ONCE_IN_VAE = ("Bernoulli", "DiscretizedLogistic", "Gaussian")


def migrated(record: Any) -> dict[str, Any]:
    """The record in today's format. Raises CheckpointError if it has none that is known."""
    number = record.get("format") if isinstance(record, dict) else None
    if not isinstance(number, int) or not 1 <= number <= FORMAT:
        known = f"1..{FORMAT}" if FORMAT > 1 else "1"
        raise CheckpointError(f"not of a format that is known here ({known})")
    for step in range(number, FORMAT):
        record = _STEPS[step](record)
    return record


def _observations_have_a_module(record):
    """1 -> 2: `vae.Bernoulli` is `observation.Bernoulli`; a window may be there."""
    return record | {"format": 2, "experiment": _renamed(record.get("experiment"))}


def _renamed(value):
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    package, _, name = str(value.get("type")).partition(".")
    if package == "vae" and name in _ONCE_IN_VAE:
        value = value | {"type": f"observation.{name}"}
    return {key: _renamed(item) for key, item in value.items()}


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _observations_have_a_module}
