"""Two real processes are one with two devices: same numbers, same folder, gone together."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from nursery import ROOT
from tiny_runs import assert_same, metrics, restored, temporary

import jaxgen
from jaxgen.runs.lock import sole_writer

STEPS, HEARTBEAT = 60, 10
FLAGS = {
    "steps": STEPS,
    "batch-size": 16,
    "ema-decay": 0.9,
    "log-every": 10,
    "checkpoint-every": 20,
    "evaluate-every": 20,
    "sample-every": 30,
    "latent-dim": 2,
    "hidden": 16,
}


def start(folder, tfds_dir, number=None, port=0, devices=1, **more):
    """One process: alone with some devices, or the n-th of two with one each."""
    flags = FLAGS | {"workdir": folder, "data.dir": tfds_dir} | more
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    env = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    if number is not None:
        words.append("--distributed")
        env |= {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
        env |= {"JAX_PROCESS_ID": str(number), "JAXGEN_HEARTBEAT": str(HEARTBEAT)}
    line = [sys.executable, "-m", "experiments", "vae_digits", *words]
    with folder.with_name(f"{folder.name}.{number}.log").open("w") as log:
        return subprocess.Popen(line, cwd=ROOT, env=env, stdout=log, stderr=log)


def pair(folder, tfds_dir, *, second=None, **more):
    """Both processes; the second one with some flags of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        start(folder, tfds_dir, n, port, **more | (second or {} if n else {})) for n in range(2)
    ]


def codes(folder, tfds_dir, **more):
    """The exit codes of both, and what they said."""
    children = pair(folder, tfds_dir, **more)
    try:
        found = [child.wait(timeout=60) for child in children]
    finally:
        for child in children:  # those that would wait for ever
            child.kill()
            child.wait()
    said = log(folder, 0) + log(folder, 1)
    assert "Traceback" not in said
    return found, said


def log(folder, number=None):
    return folder.with_name(f"{folder.name}.{number}.log").read_text()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tfds_dir):
    """The folder of one process with two devices."""
    folder = tmp_path_factory.mktemp("processes") / "alone"
    assert start(folder, tfds_dir, devices=2).wait(timeout=60) == 0, log(folder)
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory, tfds_dir):
    """The folder of two processes with a device each."""
    folder = tmp_path_factory.mktemp("processes") / "both"
    assert codes(folder, tfds_dir)[0] == [0, 0], log(folder, 0)
    return folder


def state_of(folder):
    return restored(jaxgen.load(folder).experiment, folder)


def test_two_processes_are_one_with_two_devices_bit_for_bit(alone, both):
    assert_same(state_of(both), state_of(alone))
    assert metrics(both) == metrics(alone)
    for name in ("step_00000030.png", "step_00000060.png"):
        assert (both / "samples" / name).read_bytes() == (alone / "samples" / name).read_bytes()
    assert temporary(both) == []


def test_only_the_first_process_writes_and_speaks(both):
    assert "step 60/60" in log(both, 0)
    assert "step" not in log(both, 1)
    assert "Traceback" not in log(both, 0) + log(both, 1)


@pytest.mark.chaos
def test_a_run_changes_between_one_process_and_two(alone, tmp_path, tfds_dir):
    folder = tmp_path / "run"
    assert codes(folder, tfds_dir, steps=20)[0] == [0, 0]
    assert start(folder, tfds_dir, devices=2, steps=40).wait(timeout=60) == 0
    assert codes(folder, tfds_dir)[0] == [0, 0]
    assert_same(state_of(folder), state_of(alone))


@pytest.mark.chaos
@pytest.mark.parametrize("number", [0, 1])
def test_a_signal_to_one_makes_both_leave_at_the_same_step(number, alone, tmp_path, tfds_dir):
    folder = tmp_path / "run"
    children = pair(folder, tfds_dir)
    wait_for(folder, "step 10/60", children)
    children[number].send_signal(signal.SIGTERM)
    left = [child.wait(timeout=60) for child in children]
    assert left == [75, 75], log(folder, 0) + log(folder, 1)
    said = [log(folder, n).splitlines()[-1] for n in range(2)]
    assert said[0].split(": ", 2)[2] == said[1].split(": ", 2)[2]  # step N is saved
    assert "SIGTERM" in said[number]
    assert "another process's signal" in said[1 - number]
    assert codes(folder, tfds_dir)[0] == [0, 0]
    assert_same(state_of(folder), state_of(alone))


@pytest.mark.chaos
@pytest.mark.parametrize("number", [0, 1])
def test_the_end_of_one_is_the_end_of_the_other(number, alone, tmp_path, tfds_dir):
    folder = tmp_path / "run"
    children = pair(folder, tfds_dir)
    wait_for(folder, "step 30/60", children)
    children[number].kill()
    assert children[number].wait(timeout=10) == -signal.SIGKILL
    began = time.monotonic()
    code = children[1 - number].wait(timeout=HEARTBEAT + 20)
    assert code != 0
    assert time.monotonic() - began < HEARTBEAT + 10
    assert codes(folder, tfds_dir)[0] == [0, 0]
    assert_same(state_of(folder), state_of(alone))


@pytest.mark.chaos
def test_both_find_what_is_not_finite(tmp_path, tfds_dir):
    flags = {"optimizer.learning-rate": 1e30}
    found, said = codes(tmp_path / "run", tfds_dir, **flags)
    assert found == [5, 5], said
    assert said.count("error: step 2: ") == 2
    assert len(list((tmp_path / "run").glob("nonfinite_step_*.npz"))) == 1


@pytest.mark.chaos
def test_an_error_of_one_ends_both(tmp_path, tfds_dir):
    folder = tmp_path / "run"
    found, said = codes(folder, tfds_dir, second={"data.name": "nothing"})
    assert found == [3, 3], said
    assert "ended with another process" in log(folder, 0)
    assert "No such data set" in log(folder, 1)


@pytest.mark.chaos
def test_two_pairs_in_one_folder_are_one_too_many(tmp_path, tfds_dir):
    folder = tmp_path / "run"
    folder.mkdir()
    with sole_writer(folder):
        found, said = codes(folder, tfds_dir)
    assert found == [2, 2], said
    assert f"process {os.getpid()} on" in log(folder, 0)
    assert "ended with another process" in log(folder, 1)


@pytest.mark.chaos
@pytest.mark.parametrize(("kib", "step"), [(60, None), (1300, 40)])
def test_a_full_disk_ends_both_by_6(kib, step, disk, tfds_dir, alone):
    folder = disk(kib)
    found, said = codes(folder, tfds_dir)
    assert found == [6, 6], said
    state = restored(jaxgen.load(alone).experiment, folder)
    assert (state and int(state.step)) == step
    assert temporary(folder) == []


def wait_for(folder, words, children):
    end = time.monotonic() + 60
    while words not in log(folder, 0):
        assert time.monotonic() < end
        assert all(child.poll() is None for child in children), log(folder, 0)
        time.sleep(0.01)
