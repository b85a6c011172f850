"""May a run go on? How the experiment and the data in a folder differ from those asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgen.errors import ConfigError

_MAY_CHANGE = (
    ".log_every",
    ".evaluate_every",
    ".sample_every",
    ".checkpoint_every",
    ".data.dir",  # the data are known by their hashes
    ".data.download",
    ".data.rules",
)
_STEPS = ".settings.steps"
_LATER = ("class_names",)  # entries of a record of data that older records lack


def require_same(path: Path, old: Any, new: dict[str, Any], *, newest: int) -> None:
    """Compare two experiments as JSON, stage by stage.

    How often is logged may change, and the length of a stage that is not over and whose optimisers
    have no schedule.

    Args:
      path: the run folder, for messages.
      old: the experiment in it.
      new: the experiment that is asked for.
      newest: the step of the newest checkpoint.

    Raises:
      ConfigError: another difference; names the first setting that differs.
    """
    old_stages = _stages(old)
    new_stages = _stages(new)
    if len(old_stages) != len(new_stages):
        raise ConfigError(
            f"{path} holds another run: its number of stages is {len(old_stages)} there, "
            f"{len(new_stages)} here.\n"
            "Try: another --workdir"
        )
    end = 0
    for number, (was, now) in enumerate(zip(old_stages, new_stages, strict=True), start=1):
        last = number == len(new_stages)
        title = "" if last and number == 1 else f"stage {number} of {len(new_stages)}: "
        end += _length(was)
        _require_same_stage(path, was, now, title)
        over = not last and newest >= end
        if over and _length(was) != _length(now):
            raise ConfigError(
                f"{path}: {title}finished at step {end}, so its length may not change: "
                f"{_STEPS[1:]} is {_length(was)} there, {_length(now)} here.\n"
                "Try: another --workdir"
            )
        if not last and not over and newest > end - _length(was) + _length(now):
            raise ConfigError(
                f"{path}: {title}at step {newest} already, beyond the end that is asked for: "
                f"{_STEPS[1:]} is {_length(was)} there, {_length(now)} here.\n"
                "Try: another --workdir"
            )


def is_same_data(old: Any, new: Any) -> bool:
    """Return whether two records of data agree; entries that came later may be absent in `old`."""
    if isinstance(old, dict) and isinstance(new, dict):
        later = {name for name in _LATER if name not in old}
        names = (old.keys() | new.keys()) - later
        return all(is_same_data(old.get(name), new.get(name)) for name in names)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return all(is_same_data(was, now) for was, now in zip(old, new, strict=True))
    return old == new


def _require_same_stage(path: Path, old: Any, new: dict[str, Any], title: str) -> None:
    """Raise ConfigError unless two stages agree in all that may not change."""
    scheduled = any(optimizer["schedule"] != "constant" for optimizer in new["optimizers"])
    may_change = _MAY_CHANGE if scheduled else (*_MAY_CHANGE, _STEPS)
    for field, was, now in _differences(old, new, ""):
        if not field.endswith(may_change):
            raise ConfigError(
                f"{path} holds another run: {title}{field.lstrip('.')} is {was} there, {now} here."
                "\nTry: another --workdir"
            )


def _stages(experiment: Any) -> list[Any]:
    """Return the stages of an experiment as JSON, the first one first, each without `after`."""
    stages: list[Any] = []
    while isinstance(experiment, dict):
        alone = {name: value for name, value in experiment.items() if name != "after"}
        stages.insert(0, alone)
        experiment = experiment.get("after")
    return stages


def _length(stage: Any) -> int:
    """Return the number of steps of a stage as JSON, 0 if it has none that is a number."""
    settings = stage.get("settings")
    steps = settings.get("steps") if isinstance(settings, dict) else 0
    return steps if isinstance(steps, int) else 0


def _differences(old: Any, new: Any, field: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted field, old, new) wherever two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(name), new.get(name), f"{field}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _differences(was, now, f"{field}.{i}")
    elif old != new:
        yield field, old, new
