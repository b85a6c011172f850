"""A run may be stopped after any of its steps: the batches and losses that follow are the same."""

import pytest
from tiny_runs import assert_same, experiment, metrics

from jaxgen.loop import loop

EVERY = {"log_every": 1, "checkpoint_every": 1, "evaluate_every": 10, "sample_every": 30}


@pytest.mark.parametrize("steps", [4, pytest.param(31, marks=pytest.mark.chaos)])
def test_a_run_stopped_after_each_step_is_one_never_stopped(steps, tmp_path, tfds_dir):
    def run(folder, num):
        tiny = experiment(dir=tfds_dir, ema_decay=0.9, steps=num, **EVERY)
        return loop.run(tiny, tmp_path / folder)

    whole = run("whole", steps)
    for num in range(1, steps + 1):
        state = run("parts", num)
    assert_same(state, whole)
    assert trained(tmp_path / "parts") == trained(tmp_path / "whole")


def trained(folder):
    return [line for line in metrics(folder) if line["split"] == "train"]
