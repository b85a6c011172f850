"""How long a run takes to start: the second command of `experiments.benchmark`.

The time is from the start of the process `python -m experiments.vae_digits --steps 1` to its line
'compiled in', which it writes when the first step is computed. *cold* has an empty compilation
cache, *warm* one that an earlier start has filled; the files of Python and of its packages are in
the system's cache, and the digits are prepared, for one start goes before.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.benchmark_harness import (
    ROOT,
    Spread,
    conditions,
    judged,
    machine,
    verdict,
)
from jaxgen.errors import JaxgenError
from jaxgen.files import read_json

TARGETS = {"cold": 5.0, "warm": 2.5}  # seconds
FIRST_STEP = "compiled in"


def measure(rounds: int) -> dict[str, Any]:
    """Starts the recipe with and without a filled cache, in turns."""
    before = conditions()
    times = {name: {"first_step": [], "whole": []} for name in TARGETS}
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        folder = Path(folder)
        one_start(folder / "first", folder / "warm")
        for number in range(rounds):
            for name in TARGETS:
                cache = folder / (name if name == "warm" else f"cold{number}")
                seconds = one_start(folder / f"run_{name}_{number}", cache)
                for field, value in zip(("first_step", "whole"), seconds, strict=True):
                    times[name][field].append(value)
        said = read_json(folder / "first" / "environment.json")
    report = {"environment": said, "before": before, "after": conditions(), "times": times}
    return report | {"rows": {name: _row(name, times[name]) for name in TARGETS}}


def one_start(workdir: Path, cache: Path) -> tuple[float, float]:
    """Seconds from the start of the process to the end of its first step, and to its own end."""
    command = [sys.executable, "-m", "experiments.vae_digits", "--steps", "1"]
    command += ["--workdir", str(workdir)]
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    first, line, begin = None, "it said nothing", time.perf_counter()
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT, env=env
    ) as process:
        for line in process.stderr:
            if line.startswith(FIRST_STEP):
                first = time.perf_counter() - begin
    if process.returncode or first is None:
        raise JaxgenError(f"{' '.join(command[1:3])} ended with {process.returncode}: {line}")
    return first, time.perf_counter() - begin


def show(report: dict[str, Any]) -> None:
    """Prints the figures."""
    rounds = len(report["times"]["cold"]["first_step"])
    print(f"python -m experiments.vae_digits --steps 1, {rounds} starts each, in turns")
    print(machine(report["environment"]))
    for when in ("before", "after"):
        print("{date}, load average {load_average}".format(**report[when]))
    print(f"\n{'compilation cache':18}{'first step':>12}{'range':>14}{'process ends':>14}  s")
    for name, found in report["rows"].items():
        ends = f"{found['low']:.2f}-{found['high']:.2f}"
        print(f"{name:18}{found['median']:12.2f}{ends:>14}{found['whole']:14.2f}  ", end="")
        print(f"  {verdict(found)}")


def _row(name, times):
    spread, whole = Spread.of(times["first_step"]), Spread.of(times["whole"])
    found = {"median": spread.median, "low": spread.low, "high": spread.high, "whole": whole.median}
    return found | judged(spread.median, at_most=TARGETS[name])
