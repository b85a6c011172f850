"""STATUS.json: where a run stands, for schedulers and people; written whole or not at all.

state            training, finished, preempted, failed
step, steps      the last step that was reported, and how many there shall be
last_checkpoint  the newest step on disk, or null
best             the step on disk with the best validation score and that score, or null
exit_code        of the process that ended, null while it runs
restarts         processes after the first
lost_steps       steps that were taken, and taken again by a later process
skipped_steps    steps that were left out for a NaN (`--on-nan skip:K`)
seconds          of all processes, from the look at the data on, without imports; what a killed one
                 did after its last report is not known
goodput          the part of these that went into steps that were kept
"""

import time
from pathlib import Path
from typing import Any

from jaxgen.errors import CheckpointError
from jaxgen.files import read_json, write_json

STATUS = "STATUS.json"


class Status:
    """The status of a run, carried over from the processes before.

    Args:
      folder: the run folder.
      steps: how many there shall be.
      begin: the step this process goes on from.
      origin: when it began, by `time.monotonic`.
    """

    def __init__(self, folder: Path, *, steps: int, begin: int, origin: float):
        before = _before(folder)
        old = _numbers(before)
        self._path = folder / STATUS
        self._origin = origin
        self._earlier = old["seconds"]
        self._kept = old["kept_seconds"] if begin else 0.0
        self._productive = self._kept
        self.was_finished = before.get("state") == "finished"
        self._value: dict[str, Any] = {
            "state": "training",
            "step": begin,
            "steps": steps,
            "last_checkpoint": begin or None,
            "best": None,
            "exit_code": None,
            "restarts": int(old["restarts"]) + bool(before),
            "lost_steps": int(old["lost_steps"] + max(0, old["step"] - begin)),
            "skipped_steps": 0,
        }

    def trained(self, step: int, seconds: float) -> None:
        """Count so many more seconds for the steps up to `step`."""
        self._value["step"] = step
        self._productive += seconds

    def saved(self, step: int, best: tuple[int, float] | None) -> None:
        """Note a checkpoint that is on disk."""
        self._kept = self._productive
        self._value["step"] = step
        self._value["last_checkpoint"] = step
        self.best(best)

    def best(self, best: tuple[int, float] | None) -> None:
        """Note (step, score) of the best checkpoint, or that there is none in this stage."""
        self._value["best"] = None if best is None else {"step": best[0], "score": best[1]}

    def write(self, **changed: Any) -> None:
        """Write the file, with `state` or `exit_code` changed. Raises StorageError."""
        self._value |= changed
        seconds = self._earlier + time.monotonic() - self._origin
        times = {"seconds": seconds, "kept_seconds": self._kept}
        times["goodput"] = min(1.0, self._productive / seconds) if seconds else 0.0
        write_json(self._path, self._value | {k: round(v, 3) for k, v in times.items()})


def _before(folder: Path) -> dict[str, Any]:
    """Return what the process before left; {} if damaged, which must not keep a run from going."""
    try:
        return read_json(folder / STATUS)
    except CheckpointError:
        return {}


def _numbers(old: dict[str, Any]) -> dict[str, int | float]:
    """Return what is carried over, 0 for what is no number."""
    names = ("step", "seconds", "kept_seconds", "restarts", "lost_steps")
    return {name: _number(old.get(name)) for name in names}


def _number(value: Any) -> int | float:
    return value if isinstance(value, int | float) and value >= 0 else 0
