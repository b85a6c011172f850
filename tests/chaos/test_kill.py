"""A run that is killed at random moments and started again ends as one that never was."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tiny_runs import assert_same, metrics, restored, temporary

import jaxgen

ROOT = Path(__file__).parents[1]
KILLS = 5
FLAGS = {
    "steps": 300,
    "batch-size": 16,
    "ema-decay": 0.9,
    "log-every": 20,
    "checkpoint-every": 20,
    "evaluate-every": 100,
    "sample-every": 100,
    "latent-dim": 2,
    "hidden": 16,
    "data.transform": "binarise_stochastic",
}


def start(folder, tfds_dir):
    """A real process on one device, and the first line it says: where it begins."""
    flags = FLAGS | {"workdir": folder, "data.dir": tfds_dir}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    child = subprocess.Popen(
        [sys.executable, "-m", "experiments.vae_digits", *words],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return child, child.stderr.readline().strip()


def end(child):
    """Its exit code and what else it said."""
    said = child.stderr.read()
    child.stderr.close()
    return child.wait(), said


def committed(folder):
    """The steps whose checkpoints are complete."""
    return {path.name for path in (folder / "checkpoints").glob("*") if path.name.isdigit()}


def kill(child, lines, delay, folder, before):
    """SIGKILL, `delay` seconds after so many more lines and a step that is not in `before`."""
    for _ in range(lines):
        child.stderr.readline()
    while before is not None and committed(folder) <= before and child.poll() is None:
        time.sleep(0.005)
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    return end(child)[0]


def runs(home, tfds_dir):
    """(a run never killed, one killed five times, what was seen on the way)."""
    whole, broken = home / "whole", home / "broken"
    child, _ = start(whole, tfds_dir)
    code, said = end(child)
    assert code == 0, said
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(2**32)))
    print(f"KILL_SEED={seed}")
    dice, seen = random.Random(seed), []
    for number in range(KILLS):
        # 15 lines to the end in all; a line appears every few milliseconds once it is compiled.
        lines, delay = dice.randint(0, 5), dice.uniform(0, 0.1)
        # Every other kill waits for a checkpoint, so that the next start has where to go on from.
        before = None if number % 2 else committed(broken)
        child, opening = start(broken, tfds_dir)
        seen.append((opening, lines, delay, kill(child, lines, delay, broken, before)))
        print(*seen[-1])
    child, opening = start(broken, tfds_dir)
    code, said = end(child)
    assert code == 0, said
    return whole, broken, [*seen, (opening, None, None, code)]


def test_a_run_killed_five_times_ends_as_one_never_killed(tmp_path, tfds_dir):
    whole, broken, seen = runs(tmp_path, tfds_dir)  # once: it takes most of a minute
    assert_kills_hit(seen)
    assert_same_state(whole, broken)
    assert_same_metrics(whole, broken)
    assert_same_pictures(whole, broken)
    assert [path for path in temporary(broken) if path.is_dir()] == []


def assert_kills_hit(seen):
    codes = [code for *_, code in seen]
    assert codes.count(-signal.SIGKILL) >= KILLS - 1
    assert any("going on from step" in opening for opening, *_ in seen)


def assert_same_state(whole, broken):
    experiment = jaxgen.load(whole).experiment
    state = restored(experiment, broken)
    assert int(state.step) == FLAGS["steps"]
    assert_same(state, restored(experiment, whole))


def assert_same_metrics(whole, broken):
    assert metrics(broken) == metrics(whole)
    assert len(metrics(broken)) == 300 // 20 + 300 // 100
    lines = (broken / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def assert_same_pictures(whole, broken):
    names = sorted(path.name for path in (whole / "samples").glob("*.png"))
    assert names == ["step_00000100.png", "step_00000200.png", "step_00000300.png"]
    for name in names:
        assert (broken / "samples" / name).read_bytes() == (whole / "samples" / name).read_bytes()
