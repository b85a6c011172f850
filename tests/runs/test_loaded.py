"""A run folder loads anywhere, as numbers equal to the model's own, and executes nothing."""

import json
import sys
from inspect import signature
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from tiny_runs import assert_same, experiment

import jaxgen
from jaxgen.errors import CheckpointError, DataError
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.loaded import Run
from jaxgen.vae import vae

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def run(finished):
    return jaxgen.load(finished)


@pytest.mark.parametrize("part", ["", "checkpoints", "checkpoints/8"])
def test_a_run_its_checkpoints_or_a_step_is_path_enough(finished, run, part):
    found = jaxgen.load(finished / part)
    assert (found.folder, found.step) == (finished.resolve(), 8)
    assert_same(found.variables, run.variables)


def test_an_earlier_step_may_be_asked_for(finished, run):
    found = jaxgen.load(str(finished / "checkpoints" / "4"))
    assert found.step == 4
    assert not np.array_equal(
        *[jax.tree.leaves(variables)[0] for variables in (found.variables, run.variables)]
    )


def test_a_run_may_be_moved_and_named_relatively(copied, run, tmp_path, monkeypatch):
    copied.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    found = jaxgen.load("renamed")
    assert_same(found.sample(KEY, 4), run.sample(KEY, 4))


def test_only_the_checkpoints_are_needed(copied, run):
    for name in ("spec.json", "data.json", "environment.json", "metrics.jsonl"):
        (copied / name).unlink()
    assert_same(jaxgen.load(copied).variables, run.variables)


def test_the_methods_give_the_models_own_numbers(run):
    x = jnp.asarray(run.dataset().examples("test", 32))
    model, variables = run.model, run.variables
    np.testing.assert_array_equal(run.sample(KEY, 64), model.sample(variables, KEY, 64))
    np.testing.assert_array_equal(run.sample(KEY, num=64), run.sample(KEY, 64))
    np.testing.assert_allclose(run.elbo(x, KEY), model.elbo(variables, x, KEY), rtol=1e-5)
    np.testing.assert_allclose(run.encode(x), model.encode(variables, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        run.iwae(x, KEY, num_samples=3), model.iwae(variables, x, KEY, num_samples=3), rtol=1e-5
    )
    assert run.sample(KEY, 64).shape == (64, 8, 8, 1)


def test_the_experiment_is_the_one_that_was_trained(run, tfds_dir):
    assert run.experiment == experiment(dir=tfds_dir, ema_decay=0.5)
    assert run.data_record["name"] == "digits"


def test_what_the_model_cannot_do_is_named_with_the_model(run):
    with pytest.raises(AttributeError, match="VAE has no log_prob"):
        run.__getattr__("log_prob")
    with pytest.raises(AttributeError, match="VAE has no train"):
        run.__getattr__("train")
    assert hasattr(run, "elbo")
    assert not hasattr(run, "energy")


def test_a_run_is_shown_in_a_line(run):
    assert repr(run) == f"Run({str(run.folder)!r}: VAE of digits, step 8)"


@pytest.mark.parametrize("name", sorted(tiny.MODELS))
def test_a_run_offers_what_is_computed_from_arrays(name):
    model = tiny.experiment(name).model
    variables = tiny.fresh(name).variables
    offered = set(dir(Run(Path(), tiny.experiment(name), 0, variables, {})))
    players = {method for method in dir(model) if method.endswith("_loss")}
    assert not offered & players
    taken = getattr(model, "generate", None)
    if taken is not None and "choose" in signature(taken).parameters:
        assert "generate" not in offered
    for method in ("sample", "log_prob", "elbo", "encode", "decode", "classify", "complete"):
        assert (method in offered) == hasattr(model, method)


def test_other_data_under_the_same_name_are_refused(run):
    splits = run.data_record["splits"]
    bad = splits | {"test": splits["test"] | {"sha256": "0" * 64}}
    changed = Run(
        run.folder, run.experiment, run.step, run.variables, run.data_record | {"splits": bad}
    )
    with pytest.raises(DataError, match="digits: the test split is"):
        changed.dataset()


class StrangeDecoder(nn.Module):
    """A decoder that jaxgen does not export."""

    width: int

    @nn.compact
    def __call__(self, z):  # noqa: D102
        return nn.Dense(16 * self.width // 4)(z).reshape(*z.shape[:-1], 4, 4, 1, 1)


def stranger():
    model = vae.mlp((4, 4, 1), latent_dim=2, hidden=(4,))
    return vae.VAE(model.shape, 2, model.encoder, StrangeDecoder(4))


def saved_with(model, folder):
    from jaxgen.experiment.spec import to_json

    tiny = experiment("chain", model=model)
    state = jax.jit(tiny.fresh_state)(KEY)
    record = {"experiment": to_json(tiny), "data": {}}
    with Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save(state, record)
    return state


def test_a_class_of_ones_own_must_be_passed(tmp_path):
    state = saved_with(stranger(), tmp_path)
    with pytest.raises(CheckpointError, match=r"unknown type 'StrangeDecoder'.*classes="):
        jaxgen.load(tmp_path)
    found = jaxgen.load(tmp_path, classes=[StrangeDecoder])
    assert_same(found.variables, state.variables)
    assert found.sample(KEY, 3).shape == (3, 4, 4, 1)


def doctor(folder, change):
    for step in (4, 8):
        path = folder / "checkpoints" / str(step) / "record" / "metadata"
        record = json.loads(path.read_text())
        change(record["experiment"])
        path.write_text(json.dumps(record))


NAMES = ["os.system", "this.Zen", "antigravity.X", "jaxgen.vae.vae.VAE", "", None, 7, ["VAE"]]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_a_type_named_in_a_folder_is_never_imported(copied, name):
    def change(spec):
        spec["model"]["type"] = name

    doctor(copied, change)
    before, seen = set(sys.modules), []
    watch = [True]

    def audit(event, args):
        if watch and event in ("exec", "compile", "os.system", "subprocess.Popen"):
            seen.append((event, args))

    sys.addaudithook(audit)  # for ever, hence `watch`
    try:
        with (
            pytest.warns(UserWarning, match=r"checkpoints/8: spec\.model: unknown type"),
            pytest.raises(CheckpointError, match="unknown type") as error,
        ):
            jaxgen.load(copied)
    finally:
        watch.clear()
    assert set(sys.modules) - before == set()
    assert seen == []
    assert len(str(error.value).splitlines()) <= 3


CHANGES = {
    "an unknown field": lambda spec: spec["model"].update(surprise=1),
    "a missing field": lambda spec: spec["model"].pop("latent_dim"),
    "a value out of range": lambda spec: spec["settings"].update(steps=-1),
    "a value of another type": lambda spec: spec["settings"].update(steps="many"),
    "no model": lambda spec: spec.update(model=3),
    "another width": lambda spec: spec["model"]["encoder"].update(hidden=[9]),
    "a width that is no number": lambda spec: spec["model"]["encoder"].update(hidden="x"),
}


@pytest.mark.filterwarnings("ignore:.*the one before")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_doctored_spec_is_a_checkpoint_error(copied, change):
    doctor(copied, change)
    with pytest.raises(CheckpointError) as error:
        jaxgen.load(copied)
    assert len(str(error.value).splitlines()) <= 3
    assert "checkpoints/4" in str(error.value)


@pytest.mark.parametrize("path", ["", "nowhere", "empty", "empty/checkpoints/7"])
def test_where_no_run_is_one_is_told_so(tmp_path, path):
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=str(tmp_path)) as error:
        jaxgen.load(tmp_path / path)
    assert len(str(error.value).splitlines()) <= 3
