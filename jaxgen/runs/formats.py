"""Old checkpoints load for ever: what their records say, in today's words.

A record bears the number of its format. Each step below turns one format into the next; none is
ever taken out. `tests/golden` holds a small checkpoint of every format.
"""

from collections.abc import Callable
from typing import Any

from jaxgen.errors import CheckpointError

FORMAT = 4
_ONCE_IN_VAE = ("Bernoulli", "DiscretizedLogistic", "Gaussian")


def migrated(record: Any) -> dict[str, Any]:
    """Return the record in today's format.

    Raises:
      CheckpointError: it has no format that is known here.
    """
    number = record.get("format") if isinstance(record, dict) else None
    if not isinstance(number, int) or not 1 <= number <= FORMAT:
        known = f"1..{FORMAT}" if FORMAT > 1 else "1"
        raise CheckpointError(f"not of a format that is known here ({known})")
    for step in range(number, FORMAT):
        record = _STEPS[step](record)
    if "experiment" in record:
        record = record | {"experiment": _with_rules_of_data(record["experiment"])}
    return record


def _with_rules_of_data(stage: Any) -> Any:
    """Return a stage as JSON whose data say by which rules they are read: 1 before any said so."""
    if not isinstance(stage, dict):
        return stage
    stage = stage | {"after": _with_rules_of_data(stage["after"])} if "after" in stage else stage
    data = stage.get("data")
    return stage | {"data": {"rules": 1} | data} if isinstance(data, dict) else stage


def _observations_have_a_module(record: dict[str, Any]) -> dict[str, Any]:
    """Turn format 1 into 2: `vae.Bernoulli` is `observation.Bernoulli`."""
    return record | {"format": 2, "experiment": _renamed(record.get("experiment"))}


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    package, _, name = str(value.get("type")).partition(".")
    if package == "vae" and name in _ONCE_IN_VAE:
        value = value | {"type": f"observation.{name}"}
    return {key: _renamed(item) for key, item in value.items()}


def _classes_have_bare_names(record: dict[str, Any]) -> dict[str, Any]:
    """Turn format 2 into 3: `vae.VAE` is `VAE`, wherever its file lies."""
    return record | {"format": 3, "experiment": _bare(record.get("experiment"))}


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("type"), str):
        value = value | {"type": value["type"].rpartition(".")[2]}
    return {key: _bare(item) for key, item in value.items()}


def _rules_are_named(record: dict[str, Any]) -> dict[str, Any]:
    """Turn format 3 into 4: each stage says by which rules its average and schedules count.

    A mixture of logistics says how narrow its components may be.
    """
    experiment = _by_old_rules(_with_least_scales(record.get("experiment")))
    return record | {"format": 4, "experiment": experiment}


def _with_least_scales(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_least_scales(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = {"least_log_scale": -7.0} if value.get("type") == "MixtureOfLogistics" else {}
    return own | {key: _with_least_scales(item) for key, item in value.items()}


def _by_old_rules(stage: Any) -> Any:
    if not isinstance(stage, dict):
        return stage
    before = {"after": _by_old_rules(stage["after"])} if stage.get("after") else {}
    return stage | before | {"rules": 1}


_STEPS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _observations_have_a_module,
    2: _classes_have_bare_names,
    3: _rules_are_named,
}
