"""A run of stages, killed at any moment around their boundaries, ends as one that was not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loop.test_stages import machine, two_stages
from tiny_runs import assert_same, metrics

from jaxgen.loop import loop

TESTS = Path(__file__).parents[1]
KILLED = """
import os, signal, sys
import conftest
from loop import test_stages
from jaxgen.loop import loop
from jaxgen.runs.checkpoint import Checkpoints

method, times, folder, stages = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
real, calls = getattr(Checkpoints, method), []

def killed(self, *args, **more):
    calls.append(1)
    if len(calls) >= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *args, **more)

setattr(Checkpoints, method, killed)
loop.run(getattr(test_stages, stages)(), folder)
"""
# Saves are at steps 3, 4 (twice: the last of a stage is waited for), 6, 9 and 10.
RARE = pytest.mark.chaos
MOMENTS = [
    ("save", 2),
    *[pytest.param("save", number, marks=RARE) for number in (1, 3, 4, 5, 6)],
    pytest.param("wait", 4, marks=RARE),
    pytest.param("check", 3, marks=RARE),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, loop.run(two_stages(), folder)


@pytest.mark.parametrize(("method", "times"), MOMENTS)
def test_a_kill_around_a_boundary_costs_nothing(whole, method, times, tmp_path):
    folder, state = whole
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    line = [sys.executable, "-c", KILLED, method, str(times), str(run), "two_stages"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    resumed = loop.run(two_stages(), run)
    assert_same(resumed, state)
    assert metrics(run) == metrics(folder)
    status = json.loads((run / "STATUS.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 10)
    assert status["best"] == json.loads((folder / "STATUS.json").read_text())["best"]


# Saves of the machine are at steps 2, 3 (twice), 4, 6, 7 (twice), 8, 10 and 12.
@pytest.mark.chaos
@pytest.mark.parametrize("times", [2, 3, 4, 6, 7, 8, 9])
def test_a_kill_around_the_boundaries_of_a_deep_machine_costs_nothing(times, tmp_path):
    state = loop.run(machine(), tmp_path / "whole")
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    line = [sys.executable, "-c", KILLED, "save", str(times), str(run), "machine"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert_same(loop.run(machine(), run), state)
    assert metrics(run) == metrics(tmp_path / "whole")
