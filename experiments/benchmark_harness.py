"""How `experiments.benchmark` measures: one process a variant, in turns, and ratios within a turn.

On a machine that others use as well, a time says little and the ratio of two times taken one after
the other says much. So all workers are started and warmed up, and then take turns, A B C C B A ...,
a block of steps each; a ratio is taken between the blocks of one round, and its spread over the
rounds is reported with it.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.errors import ConfigError, JaxgenError

ROOT = Path(__file__).resolve().parents[1]
# Several processes share one accelerator: none may take most of its memory in advance.
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


@dataclass(frozen=True)
class Spread:
    """Median of some numbers, with how far they scatter."""

    median: float
    p10: float
    lower: float  # quartiles
    upper: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one number."""
        p10, lower, median, upper = np.percentile(values, [10, 25, 50, 75])
        return cls(*map(float, (median, p10, lower, upper, min(values), max(values))))


class Worker:
    """A process that runs a block of steps whenever it is told to.

    Args:
      name: of the variant.
      command: starts it.
      steps: in a block; a fraction where a block is a part of one, which all parts are like.
      folder: where its stderr is kept.
    """

    def __init__(self, name: str, command: Sequence[str], steps: float, folder: Path):
        self.name, self.steps = name, steps
        self._log = folder / f"{name}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | SHARED,
            )

    def ready(self) -> dict[str, Any]:
        """Waits for the end of the warm-up: what the worker says of itself."""
        return self._answer("ready")

    def block(self) -> float:
        """Milliseconds per step over one block."""
        with contextlib.suppress(BrokenPipeError):
            print("go", file=self._process.stdin, flush=True)
        return 1000 * self._answer("seconds") / self.steps

    def close(self) -> None:
        """Ends the process, in whatever it is doing: it keeps nothing."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _answer(self, field):
        line = self._process.stdout.readline()
        if line.startswith("{"):
            return json.loads(line)[field]
        said = self._log.read_text().strip().splitlines() or ["it said nothing"]
        raise JaxgenError(f"the worker {self.name!r} ended: {said[-1][:300]}")


@contextlib.contextmanager
def closing_all(workers: Sequence[Worker]) -> Iterator[Sequence[Worker]]:
    """Ends all workers, whatever happens."""
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def take_turns(workers: Sequence[Worker], rounds: int) -> dict[str, list[float]]:
    """{variant: milliseconds per step of its block of each round}; every other round backwards.

    Interrupted, it returns the rounds that are complete, if there are any.
    """
    complete: list[dict[str, float]] = []
    try:
        for number in range(rounds):
            turn = workers[:: -1 if number % 2 else 1]
            complete.append({worker.name: worker.block() for worker in turn})
    except KeyboardInterrupt:
        if not complete:
            raise
    return {worker.name: [found[worker.name] for found in complete] for worker in workers}


def row(times: Sequence[float], batch_size: int) -> dict[str, float]:
    """Median and p10 of milliseconds per step, and images per second at the median."""
    spread = Spread.of(times)
    rate = batch_size / spread.median * 1000
    return {"median_ms": spread.median, "p10_ms": spread.p10, "images_per_second": rate}


def ratio(
    above: Sequence[float],
    below: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> dict[str, Any]:
    """The spread of above / below over the rounds, and whether its median meets the target."""
    spread = Spread.of([a / b for a, b in zip(above, below, strict=True)])
    return asdict(spread) | judged(spread.median, at_least=at_least, at_most=at_most)


def torch_python(given: Path | None) -> str | None:
    """The interpreter for the PyTorch workers, or None. Raises ConfigError."""
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise ConfigError(f"--torch-python {given}: no such program")
        return found
    return sys.executable if importlib.util.find_spec("torch") else None


def chosen(only: Sequence[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that `only` has; all without. Raises ConfigError."""
    for name in only:
        if name not in names:
            raise ConfigError(f"--only {name}: choose from {', '.join(names)}")
    return [name for name in names if name in only or not only]


def judged(
    value: float, *, at_least: float | None = None, at_most: float | None = None
) -> dict[str, Any]:
    """The target of a value and whether it is met; {} if there is none."""
    if at_least is not None:
        return {"target": f"at least {at_least:g}", "holds": value >= at_least}
    if at_most is not None:
        return {"target": f"at most {at_most:g}", "holds": value <= at_most}
    return {}


def verdict(entry: Mapping[str, Any]) -> str:
    """The target, for a line of print; empty without one."""
    if "target" not in entry:
        return ""
    return f"{entry['target']}: {'holds' if entry['holds'] else 'MISSED'}"


def quartiles(entry: Mapping[str, Any]) -> str:
    """Of a ratio, for a line of print."""
    return f"{entry['lower']:.3g}-{entry['upper']:.3g}"


def conditions() -> dict[str, Any]:
    """Date and load of this machine."""
    load = [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "load_average": load}


def machine(said: Mapping[str, Any]) -> str:
    """One line of what `jaxgen.folder.environment` says."""
    versions = "  ".join(f"{name} {said[name]}" for name in ("jaxgen", "jax", "flax", "python"))
    device = f"{said['num_devices']} {said['platform']} ({said['device']})"
    return f"{said['processor']}, {said['cpu_count']} cores; device {device}; {versions}"
