"""The method of `benchmarks`: one process a variant, in turns, and ratios within a turn.

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
from typing import Any, Protocol

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
        """Return the spread of at least one number."""
        p10, lower, median, upper = np.percentile(values, [10, 25, 50, 75])
        return cls(*map(float, (median, p10, lower, upper, min(values), max(values))))


class TakesTurns(Protocol):
    """A variant that does a block of work when it is told to."""

    @property
    def name(self) -> str:
        """The variant."""
        ...

    def block(self) -> float:
        """Do a block and return its milliseconds per step."""
        ...


class Worker:
    """A process that runs a block of steps whenever it is told to.

    Args:
      name: of the variant.
      command: starts it.
      steps: in a block; a fraction where a block is a part of one, which all parts are like.
      folder: where its stderr is kept.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        steps: float,
        folder: Path,
    ):
        self.name = name
        self.steps = steps
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
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout

    def ready(self) -> dict[str, Any]:
        """Wait for the end of the warm-up and return what the worker says of itself."""
        return self._answer("ready")

    def block(self) -> float:
        """Run a block and return its milliseconds per step."""
        with contextlib.suppress(BrokenPipeError):
            print("go", file=self._stdin, flush=True)
        return 1000 * self._answer("seconds") / self.steps

    def close(self) -> None:
        """End the process, in whatever it is doing: it keeps nothing."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()

    def _answer(self, field: str) -> Any:
        line = self._stdout.readline()
        if line.startswith("{"):
            return json.loads(line)[field]
        said = self._log.read_text().strip().splitlines() or ["it said nothing"]
        raise JaxgenError(f"the worker {self.name!r} ended: {said[-1][:300]}")


@contextlib.contextmanager
def closing_all(workers: Sequence[Worker]) -> Iterator[Sequence[Worker]]:
    """End all workers, whatever happens."""
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def take_turns(workers: Sequence[TakesTurns], rounds: int) -> dict[str, list[float]]:
    """Let workers take turns, in every other round backwards.

    Interrupted, it returns the rounds that are complete, if there are any.

    Returns:
      {variant: milliseconds per step of its block of each round}.
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
    """Return median and p10 of milliseconds per step, and images per second at the median."""
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
    """Return the spread of above / below over the rounds, and its median's judgement."""
    spread = Spread.of([a / b for a, b in zip(above, below, strict=True)])
    return asdict(spread) | judged(spread.median, at_least=at_least, at_most=at_most)


def torch_python(given: Path | None) -> str | None:
    """Return the interpreter for the PyTorch workers, or None. Raises ConfigError."""
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise ConfigError(f"--torch-python {given}: no such program")
        return found
    return sys.executable if importlib.util.find_spec("torch") else None


def chosen(only: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return those of `names` that `only` has; all without. Raises ConfigError."""
    for name in only:
        if name not in names:
            raise ConfigError(f"--only {name}: choose from {', '.join(names)}")
    return [name for name in names if name in only or not only]


def judged(
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> dict[str, Any]:
    """Return the target of a value and whether it is met; {} if there is none."""
    if at_least is not None:
        return {"target": f"at least {at_least:g}", "holds": value >= at_least}
    if at_most is not None:
        return {"target": f"at most {at_most:g}", "holds": value <= at_most}
    return {}


def verdict(entry: Mapping[str, Any]) -> str:
    """Return the target, for a line of print; empty without one."""
    if "target" not in entry:
        return ""
    return f"{entry['target']}: {'holds' if entry['holds'] else 'MISSED'}"


def quartiles(entry: Mapping[str, Any]) -> str:
    """Return the quartiles of a ratio, for a line of print."""
    return f"{entry['lower']:.3g}-{entry['upper']:.3g}"


def conditions() -> dict[str, Any]:
    """Return date and load of this machine."""
    load = [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "load_average": load}


def machine(said: Mapping[str, Any]) -> str:
    """Return one line of what `jaxgen.runs.folder.environment` says."""
    versions = "  ".join(f"{name} {said[name]}" for name in ("jaxgen", "jax", "flax", "python"))
    device = f"{said['num_devices']} {said['platform']} ({said['device']})"
    return f"{said['processor']}, {said['cpu_count']} cores; device {device}; {versions}"


def opening(
    title: str,
    said: Mapping[str, Any],
    found: Mapping[str, Any],
) -> list[str]:
    """Return the lines above a table: its title, the machine, date and load before and after."""
    lines = [title, machine(said)]
    for when in ("before", "after"):
        lines.append("{date}, load average {load_average}".format(**found[when]))
    return lines


def opponent(said: Mapping[str, Any] | None) -> str:
    """Return the line that says which PyTorch was measured; None: that there was none."""
    if said is None:
        return "PyTorch is left out: not found here; --torch-python names an interpreter with it"
    return "PyTorch {torch}, eager, on {device}, {threads} threads".format(**said)


def jaxgen_command(name: str) -> list[str]:
    """Return what starts jaxgen's side of a benchmark."""
    return [sys.executable, "-m", f"benchmarks.{name}_jaxgen"]


def torch_command(python: str, name: str) -> list[str]:
    """Return what starts PyTorch's side of a benchmark."""
    return [python, "-m", f"benchmarks.pytorch.{name}"]


def progress(what: str) -> None:
    """Say on stderr that a part is done."""
    print(f"{what}: done", file=sys.stderr, flush=True)
