"""Steps that would wait for themselves with a thread for each core."""

import os
import subprocess
import sys
from pathlib import Path

from jaxgen.threads import spare_thread

ROOT = Path(__file__).parents[1]


def test_there_is_a_thread_more_than_cores(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    assert spare_thread() == os.cpu_count() + 1
    assert os.environ["NPROC"] == str(os.cpu_count() + 1)


def test_a_number_that_is_set_stays(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    assert spare_thread() == 7


def test_ten_seeds_at_once_come_to_an_end(tmp_path):
    flags = ["--arms", "minimax", "--seeds", "10", "--steps", "5", "--out", str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if k not in ("NPROC", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.modes", *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
