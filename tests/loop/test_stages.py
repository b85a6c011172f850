"""Runs of several stages: one model after another, killed and resumed across the boundary."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from prototypes import Growing
from tiny_runs import TINY, assert_same, host, metrics, restored

import jaxgen
from jaxgen.cli.main import main
from jaxgen.data import Data
from jaxgen.energy.dbm import DBM, layers
from jaxgen.errors import ConfigError
from jaxgen.experiment import Experiment, Optimizer, Settings
from jaxgen.loop import loop
from jaxgen.loop.stage import StageTraining
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.state import Player, by_name, init_state
from jaxgen.vae import vae

CLASSES = [Growing]


def two_stages(first=4, second=6, **settings):
    """A VAE on digits that is trained, and trained on at another rate by a new optimiser."""
    every = {"log_every": 2, "evaluate_every": 3, "sample_every": 100, "checkpoint_every": 3}
    settings = Settings(**TINY | every | {"steps": first, "ema_decay": 0.5} | settings)
    data = Data(transform="binarise")
    small = vae.mlp((8, 8, 1), latent_dim=2, hidden=(8,))
    large = vae.mlp((8, 8, 1), latent_dim=2, hidden=(8, 8))
    begun = Experiment(small, settings, data)
    slower = (Optimizer(name="sgd", learning_rate=1e-4),)
    return Experiment(large, replace(settings, steps=second), data, slower, after=begun)


def machine(first=3, second=4, third=5):
    """A deep Boltzmann machine on digits: a stage for each layer, then both together."""
    every = {"log_every": 2, "evaluate_every": 100, "sample_every": 100, "checkpoint_every": 2}
    settings = Settings(**TINY | every | {"steps": third})
    data = Data(transform="binarise")
    model = DBM((8, 8, 1), (4, 3), mean_field=3, num_chains=8, sweeps=2)
    before = None
    for layer, steps in zip(layers(model), (first, second), strict=True):
        before = Experiment(layer, replace(settings, steps=steps), data, after=before)
    return Experiment(model, settings, data, after=before)


def growth(first=4, second=6):
    """A generator of 4x4 pictures, grown to 8x8."""
    every = {"log_every": 2, "evaluate_every": 100, "sample_every": 5, "checkpoint_every": 100}
    settings = Settings(**TINY | every | {"steps": first})
    data = Data(transform="unit", derive=("low",))
    begun = Experiment(Growing(), settings, data)
    grown = Growing((8, 8, 1), target="image")
    return Experiment(grown, replace(settings, steps=second), data, after=begun)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, loop.run(two_stages(), folder)


def test_the_verbs_read_a_run_of_two_stages(whole, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    folder = shutil.copytree(whole[0], tmp_path / "run")
    assert main(["evaluate", str(folder), "--num-samples", "10"]) == 0
    table = json.loads((folder / "evaluation.json").read_text())
    assert "step 10" in table[0]["protocol"]
    assert {"elbo", "iwae_10"} <= {record["metric"] for record in table}
    assert main(["check", str(folder)]) == 0
    certificate = json.loads((folder / "certificate.json").read_text())
    assert (certificate["passed"], certificate["step"]) == (True, 10)
    assert main(["report", str(folder)]) == 0
    assert "iwae_10" in (folder / "report.html").read_text()
    assert "FAILS" not in capsys.readouterr().out


def test_stages_count_their_steps_over_the_run():
    last = two_stages(4, 6)
    first = last.after
    assert [(stage.begin, stage.end) for stage in last.stages()] == [(0, 4), (4, 10)]
    assert [last.owner(step) for step in (0, 1, 4)] == [first] * 3
    assert [last.owner(step) for step in (5, 10, 99)] == [last] * 3


def test_a_run_goes_through_its_stages(whole):
    folder, state = whole
    assert int(state.step) == 10
    status = json.loads((folder / "STATUS.json").read_text())
    expected = {"state": "finished", "step": 10, "steps": 10, "restarts": 0, "lost_steps": 0}
    assert status.items() >= expected.items()
    lines = metrics(folder)
    assert [line["step"] for line in lines if line["split"] == "train"] == [2, 3, 4, 6, 8, 9, 10]
    assert [line["step"] for line in lines if line["split"] == "validation"] == [3, 4, 6, 9, 10]


def test_a_stage_takes_over_what_has_the_same_name_and_shape(whole):
    folder, _ = whole
    last = two_stages()
    with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
        assert 4 not in checkpoints.steps()  # of the first stage: neither new nor best any more
    old = jax.jit(last.first_state)(jax.random.key(0))
    new = jax.jit(last.next_state)(jax.random.key(0), old)
    fresh = jax.jit(last.fresh_state)(jax.random.fold_in(jax.random.key(0), 2))
    kernel = ("encoder", "params", "MLP_0", "Dense_0", "kernel")
    bias = ("decoder", "params", "MLP_0", "Dense_1", "kernel")
    assert np.array_equal(_at(new.variables, kernel), _at(old.variables, kernel))
    assert np.array_equal(_at(new.variables, bias), _at(fresh.variables, bias))  # another shape
    assert int(new.step) == int(old.step)
    assert jax.tree.structure(new.opt_state) == jax.tree.structure(fresh.opt_state)


def _at(tree, path):
    for name in path:
        tree = tree[name]
    return np.asarray(tree)


def stop_after(step, experiment, folder):
    """Run, and fail after the dispatch that ends at a step or later."""
    after = StageTraining._after

    def stopped(self, dispatch, *, first):
        after(self, dispatch, first=first)
        if dispatch.end >= step:
            self._shared.checkpoints.wait()
            raise RuntimeError("stopped here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StageTraining, "_after", stopped)
        with pytest.raises(RuntimeError, match="stopped here"):
            loop.run(experiment, folder)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 7, 9])
def test_a_run_resumed_anywhere_is_the_same_run(whole, stop, tmp_path):
    """Stopped after any dispatch, in the first stage, at the boundary or in the second."""
    folder, state = whole
    stop_after(stop, two_stages(), tmp_path / "run")
    resumed = loop.run(two_stages(), tmp_path / "run")
    assert_same(resumed, state)
    assert metrics(tmp_path / "run") == metrics(folder)
    ours, theirs = (json.loads((x / "STATUS.json").read_text()) for x in (tmp_path / "run", folder))
    assert ours["best"] == theirs["best"]
    assert ours["restarts"] == 1


def test_a_deep_boltzmann_machine_resumed_around_its_boundaries_is_the_same_run(tmp_path):
    """Stopped at both boundaries and within the last stage; the chains go on with it."""
    state = loop.run(machine(), tmp_path / "whole")
    assert int(state.step) == 12
    for stop in (3, 7, 10):
        stop_after(stop, machine(), tmp_path / "run")
    resumed = loop.run(machine(), tmp_path / "run")
    assert_same(resumed, state)
    assert resumed.variables["chains"]["state"]["left"].shape == (8, 64 + 3)
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")


def test_the_status_is_not_finished_between_stages(tmp_path, monkeypatch):
    seen = []
    write = loop.Status.write

    def watched(self, **changed):
        write(self, **changed)
        status = json.loads((tmp_path / "run" / "STATUS.json").read_text())
        seen.append((status["step"], status["state"], status["restarts"], status["best"]))

    monkeypatch.setattr(loop.Status, "write", watched)
    loop.run(two_stages(), tmp_path / "run")
    assert [state for _, state, _, _ in seen] == ["training"] * (len(seen) - 1) + ["finished"]
    assert {restarts for _, _, restarts, _ in seen} == {0}
    of_second = [best["step"] for step, _, _, best in seen if step > 4 and best]
    assert of_second
    assert min(of_second) > 4  # never one of the first stage


def test_a_checkpoint_knows_its_own_stage(tmp_path):
    last = growth()
    first = last.after
    loop.run(first, tmp_path / "first")
    run = jaxgen.load(tmp_path / "first", CLASSES)
    assert run.experiment == first
    loop.run(last, tmp_path / "run")
    run = jaxgen.load(tmp_path / "run", CLASSES)
    assert (run.step, run.model.shape) == (10, (8, 8, 1))
    assert run.experiment.after == first
    assert run.sample(jax.random.key(0), num=3).shape == (3, 8, 8, 1)
    earlier = tmp_path / "run" / "checkpoints" / "4"  # of the two newest
    assert jaxgen.load(earlier, CLASSES).model.shape == (4, 4, 1)


def test_a_fade_is_counted_within_its_stage(tmp_path):
    loop.run(growth(4, 6), tmp_path / "run")
    alphas = [line["alpha"] for line in metrics(tmp_path / "run") if line["split"] == "train"]
    assert alphas == pytest.approx([0.125, 0.625, 0.125, 0.625, 1.0])  # means of two steps


def test_frozen_networks_stand_still(tmp_path):
    last = growth()
    loop.run(last.after, tmp_path / "first")
    before = restored(last.after, tmp_path / "first").variables
    state = loop.run(last, tmp_path / "run")
    assert_same(state.variables["low"], before["low"])
    now = host(state.variables["trunk"])
    then = host(before["trunk"])
    assert all((now[name] != then[name]).any() for name in then)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (5, 6, r"stage 1 of 2: finished at step 4, .* settings.steps is 4 there, 5 here"),
        (3, 6, r"stage 1 of 2: finished at step 4, .* settings.steps is 4 there, 3 here"),
        (400, 6, r"stage 1 of 2: finished at step 4, .* settings.steps is 4 there, 400 here"),
    ],
)
def test_the_length_of_a_finished_stage_may_not_change(whole, first, second, message, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    with pytest.raises(ConfigError, match=message):
        loop.run(two_stages(first, second), folder)


def test_other_changes_are_refused_with_their_stage(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    last = two_stages()
    with pytest.raises(ConfigError, match="its number of stages is 2 there, 1 here"):
        loop.run(replace(last, after=None), folder)
    seeded = replace(last.after, settings=replace(last.after.settings, seed=5))
    with pytest.raises(ConfigError, match=r"stage 1 of 2: settings.seed is 0 there, 5 here"):
        loop.run(replace(last, after=seeded), folder)
    with pytest.raises(ConfigError, match=r"stage 2 of 2: order is alternating there"):
        loop.run(replace(last, order="simultaneous"), folder)


def test_the_last_stage_may_be_made_longer(whole, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    state = loop.run(two_stages(4, 8), folder)
    assert int(state.step) == 12
    assert_same(state, loop.run(two_stages(4, 8), tmp_path / "anew"))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was asked to leave after step 3, in its first stage of four steps."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    stop_after(3, two_stages(), folder)
    return folder


def test_a_stage_that_is_not_over_may_be_made_longer(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    state = loop.run(two_stages(6, 2), folder)
    assert int(state.step) == 8
    assert_same(state, loop.run(two_stages(6, 2), tmp_path / "anew"))


def test_a_stage_may_end_where_the_run_stands(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    state = loop.run(two_stages(3, 5), folder)
    assert int(state.step) == 8
    assert_same(state, loop.run(two_stages(3, 5), tmp_path / "anew"))


def test_a_stage_may_not_end_before_the_step_that_the_run_stands_at(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    message = r"stage 1 of 2: at step 3 already, .*settings.steps is 4 there, 2 here"
    with pytest.raises(ConfigError, match=message):
        loop.run(two_stages(2, 6), folder)


@pytest.mark.parametrize("first", [4, 12])
def test_a_finished_run_that_is_started_again_keeps_its_best(first, tmp_path):
    """Of one stage and of two; the best is older than the newest two checkpoints."""
    last = two_stages(first, 8)
    last = last if first == 4 else last.after
    loop.run(last, tmp_path / "run")
    status = (tmp_path / "run" / "STATUS.json").read_text()
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    best = json.loads(status)["best"]["step"]
    assert str(best) in kept
    loop.run(last, tmp_path / "run")
    again = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert again == kept
    assert (tmp_path / "run" / "STATUS.json").read_text() == status


def test_a_signal_between_two_stages_is_written_down(tmp_path):
    code = (
        "import os, signal, sys, conftest\n"
        "from loop.test_stages import two_stages\n"
        "from jaxgen.errors import PreemptedError\n"
        "from jaxgen.loop import loop\n"
        "real = loop._Session._next_state\n"
        "def struck(self, *args):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return real(self, *args)\n"
        "loop._Session._next_state = struck\n"
        "try:\n"
        "    loop.run(two_stages(), sys.argv[1])\n"
        "except PreemptedError as error:\n"
        "    print(error)\n"
    )
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"}
    line = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "SIGTERM: nothing was lost. Start it again to go on\n", done.stderr
    status = json.loads((tmp_path / "run" / "STATUS.json").read_text())
    assert (status["state"], status["exit_code"], status["step"]) == ("preempted", 75, 4)
    assert int(loop.run(two_stages(), tmp_path / "run").step) == 10


def no_loss(variables, batch, key):
    """Costs nothing."""
    return jnp.zeros(()), ({}, {})


@pytest.mark.parametrize(
    ("owns", "frozen", "message"),
    [
        (("a",), (), "players own .'a'., the model has .'a', 'b', 'pool'."),
        (("a",), ("c",), "frozen .'c'."),
        (("a", "b"), ("b",), ".'b'. are frozen, but a player owns them"),
        (("a", "b", "x"), (), "players own"),
    ],
)
def test_every_network_with_parameters_is_owned_or_frozen(owns, frozen, message):
    variables = {
        "a": {"params": {"w": jnp.ones(2)}},
        "b": {"params": {"w": jnp.ones(2)}},
        "pool": {"state": {"images": jnp.ones(2)}},
    }
    tx = Optimizer().build(1)
    with pytest.raises(ConfigError, match=message):
        init_state(jax.random.key(0), variables, (Player("p", owns, no_loss, tx),), frozen=frozen)
    state = init_state(
        jax.random.key(0), variables, (Player("p", ("a",), no_loss, tx),), frozen=("b",)
    )
    assert set(state.variables) == {"a", "b", "pool"}


def test_arrays_go_on_by_path_shape_and_kind():
    old = {"a": jnp.ones(2), "b": jnp.ones(3), "c": jnp.ones(2, jnp.int32), "gone": jnp.ones(1)}
    fresh = {"a": jnp.zeros(2), "b": jnp.zeros(2), "c": jnp.zeros(2), "new": jnp.zeros(1)}
    taken = by_name(fresh, old)
    assert {name: float(value.sum()) for name, value in taken.items()} == {
        "a": 2.0,
        "b": 0.0,
        "c": 0.0,
        "new": 0.0,
    }
