"""Steps that would wait for themselves with a thread for each core."""

import os
import subprocess
import sys
from pathlib import Path

from jaxgen.loop.host import cores, spare_thread

ROOT = Path(__file__).parents[2]


def test_there_is_a_thread_more_than_cores(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    assert spare_thread() == cores() + 1
    assert os.environ["NPROC"] == str(cores() + 1)


def test_cores_are_those_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    code += "from jaxgen.loop.host import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert int(done.stdout) == 1


def test_a_number_that_is_set_stays(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    assert spare_thread() == 7


def test_ten_seeds_at_once_come_to_an_end(tmp_path):
    """On two cores they did not, without a spare thread; on many they always did."""
    flags = ["--arms", "minimax", "--seeds", "10", "--steps", "5", "--out", str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if k not in ("NPROC", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.studies.modes", *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
