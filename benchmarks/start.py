"""The time that a run takes to start.

The time is from the start of the process `jaxgen train vae_digits --steps 1` to its line
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

from benchmarks.harness import ROOT, Spread, conditions, judged, opening, verdict
from jaxgen.errors import JaxgenError
from jaxgen.files import read_json

TARGETS = {"cold": 5.0, "warm": 2.5}  # seconds
FIRST_STEP = "compiled in"


def measure(rounds: int) -> dict[str, Any]:
    """Start the recipe with and without a filled cache, in turns."""
    before = conditions()
    times: dict[str, dict[str, list[float]]] = {
        name: {"first_step": [], "whole": []} for name in TARGETS
    }
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as made:
        folder = Path(made)
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
    """Return the seconds from a start to the end of the first step, and to that of the process."""
    command = [sys.executable, "-m", "jaxgen", "train", "vae_digits"]
    command += ["--steps", "1", "--workdir", str(workdir)]
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    first = None
    line = "it said nothing"
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT, env=env
    ) as process:
        for line in process.stderr or ():
            if line.startswith(FIRST_STEP):
                first = time.perf_counter() - begin
    if process.returncode or first is None:
        raise JaxgenError(f"{' '.join(command[1:5])} ended with {process.returncode}: {line}")
    return first, time.perf_counter() - begin


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    rounds = len(found["times"]["cold"]["first_step"])
    title = f"jaxgen train vae_digits --steps 1, {rounds} starts each, in turns"
    lines = opening(title, found["environment"], found)
    lines += ["", f"{'compilation cache':18}{'first step':>12}{'range':>14}{'process ends':>14}  s"]
    for name, row in found["rows"].items():
        ends = f"{row['low']:.2f}-{row['high']:.2f}"
        line = f"{name:18}{row['median']:12.2f}{ends:>14}{row['whole']:14.2f}"
        lines.append(f"{line}    {verdict(row)}")
    return lines


def _row(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    spread = Spread.of(times["first_step"])
    whole = Spread.of(times["whole"])
    found = {
        "median": spread.median,
        "low": spread.low,
        "high": spread.high,
        "whole": whole.median,
    }
    return found | judged(spread.median, at_most=TARGETS[name])
