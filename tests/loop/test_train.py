"""`jaxgen.train`: what data may be, what comes back, and where it lives."""

import gc
from dataclasses import dataclass

import jax
import numpy as np
import pytest
import tiny_runs

import jaxgen
from jaxgen import data
from jaxgen.errors import ConfigError, DataError, NonFiniteError, PreemptedError
from jaxgen.loop import loop
from jaxgen.runs import measure
from jaxgen.vae import vae

SHAPE = (4, 4, 1)
OFTEN = {"log_every": 4, "evaluate_every": 8, "sample_every": 8, "checkpoint_every": 8}


def model(shape=SHAPE):
    return vae.mlp(shape, latent_dim=2, hidden=(4,))


def images(num=200):
    return np.random.default_rng(0).integers(0, 2, (num, 4, 4)).astype(bool)


def trained(given, **more):
    return jaxgen.train(model(), given, 8, batch_size=16, **OFTEN, **more)


@pytest.mark.parametrize(
    "given",
    [
        "bars",
        data.Data("bars"),
        data.load(data.Data("bars")),
        images(),
        {"image": images(), "label": np.arange(200) % 2},
    ],
    ids=["name", "Data", "Dataset", "array", "fields"],
)
def test_data_are_given_in_any_form(given, tmp_path):
    run = trained(given, workdir=tmp_path / "run")
    assert run.step == 8
    assert run.sample(jax.random.key(0), 3).shape == (3, *SHAPE)
    x = run.dataset().examples("validation")
    assert np.isfinite(run.elbo(x, jax.random.key(1))).all()
    tiny_runs.assert_same(run.variables, jaxgen.load(tmp_path / "run").variables)


def test_a_path_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", image=images())
    run = trained(tmp_path / "x.npz", workdir=tmp_path / "run")
    assert len(jaxgen.load(tmp_path / "run").dataset().examples("test")) == 20
    assert run.experiment.data.name == str(tmp_path / "x.npz")


def test_the_same_folder_goes_on(tmp_path):
    whole = jaxgen.train(model(), "bars", 16, batch_size=16, workdir=tmp_path / "whole", **OFTEN)
    trained("bars", workdir=tmp_path / "run")
    run = jaxgen.train(model(), "bars", 16, batch_size=16, workdir=tmp_path / "run", **OFTEN)
    tiny_runs.assert_same(whole.variables, run.variables)
    with pytest.raises(ConfigError, match="holds another run"):
        trained("bars", workdir=tmp_path / "run", seed=1)


def test_without_a_folder_the_run_has_one_for_as_long_as_it_is_in_use():
    run = trained("bars")
    folder = run.folder
    assert (folder / "spec.json").exists()
    del run
    gc.collect()
    assert not folder.exists()


def test_after_an_error_no_folder_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigError, match=r"the model is for \[4, 4, 1\]"):
        trained("digits")
    assert list(tmp_path.glob("jaxgen-*")) == []


def test_an_optimiser_is_for_all_players_or_one_for_each(tmp_path):
    first = jaxgen.Optimizer(learning_rate=1e-2)
    assert trained("bars", optimizer=first).experiment.optimizers == (first,)
    assert trained("bars", optimizer=[first]).experiment.optimizers == (first,)


def test_there_is_one_optimiser_for_each_player():
    one = jaxgen.Optimizer()
    for given in ([], [one, one]):
        message = rf"^optimizer: got {len(given)}, but VAE takes 1, one for each player"
        with pytest.raises(ConfigError, match=message):
            trained("bars", optimizer=given)


@dataclass(frozen=True)
class GAN:
    """Has the name of a class that jaxgen exports."""

    shape: tuple[int, ...] = SHAPE

    def init(self, key):
        """Return no networks."""
        return {}

    def players(self, tx):
        """Return no players."""
        return ()


def test_a_class_of_a_name_that_is_taken_is_refused_before_the_training(monkeypatch, tmp_path):
    begun = []
    monkeypatch.setattr(loop, "run", lambda *args, **more: begun.append(args))
    with pytest.raises(ConfigError, match=r"two classes are called GAN: .*rename yours"):
        jaxgen.train(GAN(), "bars", 8, workdir=tmp_path / "run")
    assert begun == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_nan": "skip"}, "^on_nan: got 'skip'"),
        ({"batch_size": 0}, "^batch_size: got 0"),
        ({"ema_decay": 2.0}, "^ema_decay: got 2.0"),
        ({"checkpoint_every": 0}, "^checkpoint_every: got 0"),
    ],
)
def test_an_error_names_the_argument(arguments, message):
    with pytest.raises(ConfigError, match=message) as error:
        jaxgen.train(model(), "bars", 8, **arguments)
    assert "--" not in str(error.value)


@pytest.mark.parametrize(
    "error",
    [
        PreemptedError("SIGINT: step 8 is saved. Start it again to go on"),
        NonFiniteError("step 9: the loss is nan. The last checkpoint is kept."),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_was_saved_is_kept_and_the_error_says_how_to_go_on(tmp_path, monkeypatch, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = loop.run

    def broken_off(*args, **more):
        run(*args, **more)
        raise error

    monkeypatch.setattr(loop, "run", broken_off)
    with pytest.raises(type(error)) as caught:
        trained("bars")
    (folder,) = tmp_path.glob("jaxgen-*")
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert said.splitlines()[-1].endswith(f"jaxgen.train(..., workdir={str(folder)!r})")
    assert len(said.splitlines()) <= 3
    monkeypatch.setattr(loop, "run", run)
    assert jaxgen.load(folder).step == 8
    more = jaxgen.train(model(), "bars", 16, batch_size=16, workdir=folder, **OFTEN)
    assert more.step == 16


def test_what_was_not_saved_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken_off(experiment, folder, **more):
        (folder / "checkpoints").mkdir()
        raise PreemptedError("SIGINT: nothing was lost. Start it again to go on")

    monkeypatch.setattr(loop, "run", broken_off)
    with pytest.raises(PreemptedError):
        trained("bars")
    assert list(tmp_path.glob("jaxgen-*")) == []


@pytest.fixture(scope="module")
def of_arrays(tmp_path_factory):
    """A run trained on arrays. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "arrays"
    trained(images(), workdir=folder)
    return folder


def test_a_run_on_arrays_takes_them_again(of_arrays):
    with pytest.raises(DataError, match=r"jaxgen\.load\(folder, data="):
        jaxgen.load(of_arrays).dataset()
    for given in (images(), {"image": images()}, data.from_arrays(images())):
        run = jaxgen.load(of_arrays, data=given)
        assert len(run.dataset().examples("test")) == 20
    found, table = measure.evaluate(run, num_samples=2)
    assert found is run
    assert {record.split for record in table} == {"test"}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (images()[::-1].copy(), "arrays: the train split is"),
        (images().astype(np.float32), "arrays: "),
        (data.from_arrays(images(), transform="unit"), "VAE|transform"),
        ("bars", "bars: the train split is"),
    ],
    ids=["order", "real numbers", "another form", "another set"],
)
def test_other_data_than_it_was_trained_on_are_refused(of_arrays, other, message):
    with pytest.raises((DataError, ConfigError), match=message):
        jaxgen.load(of_arrays, data=other)


def test_arrays_are_given_the_recorded_form(tmp_path):
    pixels = images().astype(np.uint8)
    given = data.from_arrays(pixels, levels=4, threshold=1, name="mine")
    trained(given, workdir=tmp_path / "run")
    run = jaxgen.load(tmp_path / "run", data=pixels)
    np.testing.assert_array_equal(run.dataset().examples("test"), given.examples("test"))
    assert run.dataset().record() == given.record()


def test_unpaired_sets_are_given_again(tmp_path):
    given = data.unpaired_datasets(data.from_arrays(images()), data.from_arrays(~images()))
    trained(given, workdir=tmp_path / "run")
    with pytest.raises(DataError, match=r"joined in Python(.|\n)*jaxgen\.load"):
        jaxgen.load(tmp_path / "run").dataset()
    assert jaxgen.load(tmp_path / "run", data=given).dataset() is given
    with pytest.raises(DataError, match="the train split is"):
        jaxgen.load(tmp_path / "run", data=data.from_arrays(images()))


def test_data_that_moved_are_found_by_their_path(tmp_path):
    np.savez(tmp_path / "x.npz", image=images())
    trained(tmp_path / "x.npz", workdir=tmp_path / "run")
    (tmp_path / "x.npz").rename(tmp_path / "y.npz")
    run = jaxgen.load(tmp_path / "run", data=tmp_path / "y.npz")
    assert len(run.dataset().examples("test")) == 20


def test_the_packages_directory_names_its_doors():
    assert {"load", "train", "Data", "Experiment"} <= set(dir(jaxgen))
