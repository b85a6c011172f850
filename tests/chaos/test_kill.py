"""Runs that are killed at random moments and started again end as ones that never were."""

import os
import random
import signal
import threading
import time

import pytest
from nursery import COMMON, MODELS
from tiny_runs import assert_same, best, metrics, restored, temporary

import jaxgen
from jaxgen.files import read_json

KILLS = 4  # of a trial, the last of them aimed into a save
TRIALS = 17  # of each model: 204 kills in all, 51 of them aimed
STARTS = 40  # after so many a trial has not found its kills


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


CASES = [(model, trial) for trial in range(TRIALS) for model in MODELS]
FAST = CASES[:1]


@pytest.mark.parametrize(
    ("model", "trial"),
    [pytest.param(*case, marks=[] if case in FAST else [pytest.mark.chaos]) for case in CASES],
)
def test_a_killed_run_ends_as_one_never_killed(
    model, trial, nursery, whole, seconds, dice, tmp_path, tfds_dir, record_property
):
    """A run that ends before all its kills is looked at, and the rest are for another one."""
    reference, longest = whole(model), seconds(model)
    kills, number, folder, here = [], 0, tmp_path / "0", 0
    while len(kills) < KILLS:
        assert number < STARTS
        number, aimed = number + 1, len(kills) == KILLS - 1
        code, hit = start(nursery, model, folder, tfds_dir, dice.uniform(0, longest), aimed)
        assert code in (0, -signal.SIGKILL)
        if code:
            kills += ["in a save" if hit else "anywhere"] if hit or not aimed else []
            here += 1
        else:
            assert_same_run(folder, reference, kills=here)
            folder, here = tmp_path / str(number), 0
    assert nursery.run(model, folder, tfds_dir) == 0
    assert_same_run(folder, reference, kills=here)
    assert kills[-1] == "in a save"
    record_property("kills", len(kills))


def assert_same_run(broken, reference, kills):
    """Whatever is not a time."""
    experiment = jaxgen.load(reference).experiment
    state = restored(experiment, broken)
    assert int(state.step) == COMMON["steps"]
    assert_same(state, restored(experiment, reference))
    assert metrics(broken) == metrics(reference)
    assert len(metrics(broken)) == 120 // 5 + 120 // 40
    assert best(broken) == best(reference)
    assert_same_pictures(broken, reference)
    assert [path for path in temporary(broken) if path.is_dir()] == []
    status = read_json(broken / "STATUS.json")
    assert (status["state"], status["step"], status["exit_code"]) == ("finished", 120, 0)
    assert status["restarts"] <= kills  # one that was killed early has left no trace
    assert 0 <= status["lost_steps"] <= kills * COMMON["checkpoint-every"] * 2
    assert 0 < status["goodput"] <= 1


def start(nursery, model, folder, tfds_dir, delay, aimed):
    """A training that gets SIGKILL after a delay; (its exit code, whether a save was under way)."""
    pid, hits = nursery.start(model, folder, tfds_dir), []
    hunter = threading.Thread(target=hunt, args=(pid, folder, delay, aimed, hits))
    hunter.start()
    code = nursery.wait()
    hunter.join()
    return code, bool(hits)


def hunt(pid, folder, delay, aimed, hits):
    """Kills after `delay` seconds; aimed, as soon as a save is under way after half of that."""
    time.sleep(delay / 2 if aimed else delay)
    while aimed and alive(pid) and not hits:
        hits += [1] if saving(folder) else []
        time.sleep(0 if hits else 0.0005)
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
