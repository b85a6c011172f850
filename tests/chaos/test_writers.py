"""Two that would train in one folder at once: one does; who only reads never waits."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from nursery import many

import jaxgen
from jaxgen.errors import ConfigError
from jaxgen.runs.lock import LOCK, sole_writer

FAST, ALL = 2, 20


@pytest.fixture(scope="module")
def nurseries():
    with many(2) as made:
        yield made


@pytest.mark.parametrize("repeat", [*range(FAST), *(
    pytest.param(n, marks=pytest.mark.chaos) for n in range(FAST, ALL))])  # fmt: skip
def test_of_two_writers_exactly_one_wins(repeat, nurseries, tmp_path, tfds_dir):
    folder, logs = tmp_path / "run", [tmp_path / "a.log", tmp_path / "b.log"]
    if repeat % 2:
        folder.mkdir()  # both orders of looking at the lock
    flags = dict.fromkeys(("steps", "evaluate-every", "sample-every"), 8000)  # some seconds
    flags |= dict.fromkeys(("log-every", "checkpoint-every"), 2000)
    pids = [
        nursery.start("vae", folder, tfds_dir, log=str(log), flags=flags)
        for nursery, log in zip(nurseries, logs, strict=True)
    ]
    codes = [nursery.wait() for nursery in nurseries]
    assert sorted(codes) == [0, 2], [log.read_text() for log in logs]
    loser, winner = codes.index(2), codes.index(0)
    said = logs[loser].read_text()
    assert f"process {pids[winner]} on " in said
    assert "is training in it" in said
    assert len(said.splitlines()) <= 3
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if '"train"' in line]
    assert steps == sorted(set(steps))


def test_the_second_leaves_within_two_seconds(nurseries, tmp_path, tfds_dir):
    folder, log = tmp_path / "run", tmp_path / "second.log"
    folder.mkdir()
    with sole_writer(folder):
        assert nurseries[0].run("vae", folder, tfds_dir, log=str(log)) == 2  # and has imported all
        began = time.monotonic()
        assert nurseries[0].run("vae", folder, tfds_dir, log=str(log)) == 2
        assert time.monotonic() - began < 2
    assert f"process {os.getpid()} on" in log.read_text()
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from jaxgen.runs.lock import sole_writer\n"
        "with sole_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    holder = f"process {child.pid} on {re.escape(socket.gethostname())} is training in it"
    with pytest.raises(ConfigError, match=holder), sole_writer(tmp_path):
        pass
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with sole_writer(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK).read_text()


@pytest.mark.parametrize("looks", [15, pytest.param(200, marks=pytest.mark.chaos)])
def test_a_reader_beside_a_writer_never_sees_half_a_checkpoint(
    looks, nurseries, tmp_path, tfds_dir
):
    folder = tmp_path / "run"
    flags = {"steps": 10**6, "checkpoint-every": 10, "log-every": 100}
    pid = nurseries[0].start("vae", folder, tfds_dir, log=str(tmp_path / "log"), flags=flags)
    end = time.monotonic() + 60
    while not list((folder / "checkpoints").glob("[0-9]*0")):
        assert time.monotonic() < end
        time.sleep(0.01)
    seen = [jaxgen.load(folder).step for _ in range(looks)]
    os.kill(pid, signal.SIGTERM)
    assert nurseries[0].wait() == 75
    assert seen == sorted(seen)
    assert len(set(seen)) > looks // 3
