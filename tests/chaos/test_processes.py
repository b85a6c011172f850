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
    line = [sys.executable, "-m", "experiments.vae_digits", *words]
    with folder.with_name(f"{folder.name}.{number}.log").open("w") as log:
        return subprocess.Popen(line, cwd=ROOT, env=env, stdout=log, stderr=log)


def pair(folder, tfds_dir, **more):
    """Both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(folder, tfds_dir, n, port, **more) for n in range(2)]


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
    codes = [child.wait(timeout=60) for child in pair(folder, tfds_dir)]
    assert codes == [0, 0], log(folder, 0)
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
    assert [c.wait(timeout=60) for c in pair(folder, tfds_dir, steps=20)] == [0, 0]
    assert start(folder, tfds_dir, devices=2, steps=40).wait(timeout=60) == 0
    assert [c.wait(timeout=60) for c in pair(folder, tfds_dir)] == [0, 0]
    assert_same(state_of(folder), state_of(alone))


@pytest.mark.chaos
@pytest.mark.parametrize("number", [0, 1])
def test_a_signal_to_one_makes_both_leave_at_the_same_step(number, alone, tmp_path, tfds_dir):
    folder = tmp_path / "run"
    children = pair(folder, tfds_dir)
    wait_for(folder, "step 10/60", children)
    children[number].send_signal(signal.SIGTERM)
    codes = [child.wait(timeout=60) for child in children]
    assert codes == [75, 75], log(folder, 0) + log(folder, 1)
    said = [log(folder, n).splitlines()[-1] for n in range(2)]
    assert said[0].split(": ", 2)[2] == said[1].split(": ", 2)[2]  # step N is saved
    assert "SIGTERM" in said[number]
    assert "another process's signal" in said[1 - number]
    assert [c.wait(timeout=60) for c in pair(folder, tfds_dir)] == [0, 0]
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
    assert [c.wait(timeout=60) for c in pair(folder, tfds_dir)] == [0, 0]
    assert_same(state_of(folder), state_of(alone))


def wait_for(folder, words, children):
    end = time.monotonic() + 60
    while words not in log(folder, 0):
        assert time.monotonic() < end
        assert all(child.poll() is None for child in children), log(folder, 0)
        time.sleep(0.01)
