"""Runs that are killed at random moments and started again end as ones that never were."""

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
from nursery import COMMON, MODELS
from tiny_runs import assert_same, best, metrics, restored, temporary

import jaxgen

KILLS = 5  # of a run
RUNS = 14  # of each model, 210 kills in all; five of them with every `make test`


@pytest.fixture(scope="module")
def seconds(nursery, whole, tmp_path_factory, tfds_dir):
    """model -> the seconds of a run that finds everything compiled."""
    took = {}

    def run(model):
        whole(model)
        if model not in took:
            began = time.monotonic()
            assert nursery.run(model, tmp_path_factory.mktemp("timed") / "run", tfds_dir) == 0
            took[model] = time.monotonic() - began
        return took[model]

    return run


@pytest.fixture(scope="module")
def dice():
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(2**32)))
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


CASES = [(model, run) for run in range(RUNS) for model in MODELS]
FAST = CASES[:1]


@pytest.mark.parametrize(
    ("model", "run"),
    [pytest.param(*case, marks=[] if case in FAST else [pytest.mark.chaos]) for case in CASES],
)
def test_a_killed_run_ends_as_one_never_killed(
    model, run, nursery, whole, seconds, dice, tmp_path, tfds_dir, record_property
):
    reference, longest, broken = whole(model), seconds(model), tmp_path / "broken"
    codes = [kill(nursery, model, broken, tfds_dir, dice, n, longest) for n in range(KILLS)]
    record_property("kills", Counter(codes)[-signal.SIGKILL])
    assert set(codes) <= {0, -signal.SIGKILL}
    assert nursery.run(model, broken, tfds_dir) == 0
    experiment = jaxgen.load(reference).experiment
    state = restored(experiment, broken)
    assert int(state.step) == COMMON["steps"]
    assert_same(state, restored(experiment, reference))
    assert metrics(broken) == metrics(reference)
    assert len(metrics(broken)) == 120 // 5 + 120 // 40
    assert best(broken) == best(reference)
    assert_same_pictures(broken, reference)
    assert [path for path in temporary(broken) if path.is_dir()] == []


def kill(nursery, model, folder, tfds_dir, dice, number, longest):
    """SIGKILL at a random moment, every fourth one into a save; the exit code."""
    pid = nursery.start(model, folder, tfds_dir)
    delay = dice.uniform(0, longest)
    hunter = threading.Thread(target=hunt, args=(pid, folder, delay, number % 4 == 3))
    hunter.start()
    code = nursery.wait()
    hunter.join()
    return code


def hunt(pid, folder, delay, aimed):
    """Kills after `delay` seconds; aimed, as soon as a save has begun after that."""
    time.sleep(delay / 2 if aimed else delay)
    end = time.monotonic() + 10
    while aimed and time.monotonic() < end and not saving(folder) and alive(pid):
        time.sleep(0.0005)
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def saving(folder):
    return any((folder / "checkpoints").glob("*tmp*"))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_same_pictures(broken, reference):
    names = sorted(path.name for path in (reference / "samples").glob("*.png"))
    assert names == ["step_00000040.png", "step_00000080.png", "step_00000120.png"]
    for name in names:
        assert (broken / "samples" / name).read_bytes() == (
            reference / "samples" / name
        ).read_bytes()
