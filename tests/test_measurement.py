"""A run whose model can only sample, measured from its folder alone."""

import json
import shutil
import sys
from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_runs
from PIL import Image

import jaxgen
from jaxgen import data, gan, loop, measurement, run
from jaxgen.cli import main
from jaxgen.evaluation import classifier
from jaxgen.nn import MLP
from jaxgen.train import Player


@dataclass(frozen=True)
class Painter:
    """Draws pixels apart from each other, by their mean over the data; nothing but samples."""

    shape: tuple[int, ...] = (8, 8, 1)
    painter: nn.Module = MLP((), 64)  # noqa: RUF009 (frozen)

    def init(self, key):
        """Fresh variables {'painter'}."""
        return {"painter": self.painter.init(key, jnp.ones((1, 1)))}

    def players(self, tx: optax.GradientTransformation):
        """One player."""
        return (Player("painter", ("painter",), self.painter_loss, tx),)

    def painter_loss(self, variables, batch, key):
        """The cross-entropy of the pixels."""
        logits = jnp.broadcast_to(self.logits(variables), batch["image"].shape)
        return optax.sigmoid_binary_cross_entropy(logits, batch["image"]).mean(), ({}, {})

    def sample(self, variables, key, num):
        """[num, 8, 8, 1] of 0 and 1."""
        p = jax.nn.sigmoid(self.logits(variables))
        return jax.random.bernoulli(key, p, (num, *self.shape)).astype(jnp.float32)

    def logits(self, variables):
        """[8, 8, 1]."""
        return self.painter.apply(variables["painter"], jnp.ones((1, 1))).reshape(self.shape)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The command line takes back its hook, knows the class, and trains its classifier briefly."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    classes = run.known_classes
    monkeypatch.setattr(run, "known_classes", lambda extra=(): classes((*extra, Painter)))
    monkeypatch.setattr(classifier, "STEPS", 60)


@pytest.fixture(scope="module")
def finished_painter(tmp_path_factory, tfds_dir):
    """A finished run with checkpoints at steps 4 and 8. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "painter"
    loop.run(tiny_runs.experiment(dir=tfds_dir, model=Painter()), folder, recipe="painter")
    return folder


@pytest.fixture
def folder(finished_painter, tmp_path):
    """A copy to write to."""
    return shutil.copytree(finished_painter, tmp_path / "painter")


def evaluated(capsys, folder, *arguments):
    assert main(["evaluate", str(folder), *map(str, arguments)]) == 0
    return capsys.readouterr().out, json.loads((folder / "evaluation.json").read_text())


def test_evaluate_measures_samples_and_says_how(folder, capsys):
    said, table = evaluated(capsys, folder)
    values = {record["metric"]: record["value"] for record in table}
    assert {"frechet_distance", "kernel_distance", "recall", "nearer_to_train"} <= set(values)
    assert values["frechet_distance"] > 2 * values["real/frechet_distance"] > 0
    assert values["two_sample_accuracy"] > 0.8 > values["real/two_sample_accuracy"]
    record = json.loads((folder / "classifier.json").read_text())
    for part in (
        "360 samples against 360 test examples",
        "digits test split",
        "drawn with seed 0 at step 8",
        "of the checkpoints kept (8, 4)",
        "64 features of a classifier trained on 1300 train examples",
        f"test accuracy {record['accuracy']:.4f}, sha256 {record['sha256'][:8]}",
    ):
        assert part in table[0]["protocol"]
        assert part in said
    assert said.splitlines()[-1] == str(folder / "evaluation.json")


def test_the_same_folder_gives_the_same_numbers(folder, capsys):
    found = []
    for _ in range(2):
        evaluated(capsys, folder)
        found.append((folder / "evaluation.json").read_bytes())
        shutil.rmtree(folder / "samples", ignore_errors=True)
    assert found[0] == found[1]
    (folder / "classifier.npz").unlink()
    evaluated(capsys, folder)
    assert (folder / "evaluation.json").read_bytes() == found[0]


def test_another_seed_draws_other_samples(folder, capsys):
    values = [evaluated(capsys, folder, "--seed", seed)[1][0]["value"] for seed in (0, 1)]
    assert values[0] != values[1]


def test_the_best_checkpoint_is_measured_beside_the_last(folder, capsys, monkeypatch):
    """With samples of validation examples at step 4 that is the best."""

    def draw(run, num, seed):
        if run.step == 8:
            return np.ones((num, 8, 8, 1), np.float32)
        return np.resize(run.dataset().examples("validation"), (num, 8, 8, 1))

    monkeypatch.setattr(measurement, "draw", draw)
    _, table = evaluated(capsys, folder)
    found = {record["metric"]: record for record in table}
    assert found["best/kernel_distance"]["value"] < found["kernel_distance"]["value"]
    assert "step 4, best by kernel distance on validation" in found["best/recall"]["protocol"]
    assert "step 8, last of the checkpoints kept (8, 4)" in found["recall"]["protocol"]
    assert "best/real/recall" not in found


def test_one_step_may_be_measured_alone(folder):
    table = measurement.measure_checkpoints(folder / "checkpoints" / "4")
    assert "step 4, the one checkpoint looked at" in table[0].protocol
    assert not any(record.metric.startswith("best/") for record in table)


def test_a_damaged_checkpoint_is_left_out(folder):
    for path in (folder / "checkpoints" / "4").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"):
        runs = measurement.kept_runs(folder)
    assert [each.step for each in runs] == [8]


def test_the_classifier_is_trained_once_for_its_data(folder, monkeypatch):
    dataset = run.load(folder).dataset()
    first = measurement.known_classifier(folder, dataset)

    def fit(*arguments, **settings):
        raise AssertionError("trained again")

    monkeypatch.setattr(classifier, "fit", fit)
    again = measurement.known_classifier(folder, dataset)
    assert (again.sha256, again.accuracy, again.source) == (
        first.sha256,
        first.accuracy,
        first.source,
    )
    other = data.load(replace(dataset.config, transform="unit"))
    with pytest.raises(AssertionError, match="trained again"):
        measurement.known_classifier(folder, other)


@pytest.mark.parametrize("name", ["classifier.npz", "classifier.json"])
def test_a_damaged_classifier_is_replaced(folder, name):
    dataset = run.load(folder).dataset()
    first = measurement.known_classifier(folder, dataset)
    (folder / name).write_bytes(b"PK\x03\x04 torn")
    assert measurement.known_classifier(folder, dataset).sha256 == first.sha256
    record = json.loads((folder / "classifier.json").read_text())
    assert record["sha256"] == first.sha256


def test_a_classifier_whose_parameters_were_changed_is_not_believed(folder):
    dataset = run.load(folder).dataset()
    first = measurement.known_classifier(folder, dataset)
    arrays = {name: x + 1 for name, x in classifier.parameters(first.variables).items()}
    np.savez_compressed(folder / "classifier.npz", **arrays)
    assert measurement.known_classifier(folder, dataset).sha256 == first.sha256


def test_samples_are_drawn_over_their_nearest_training_examples(folder, capsys):
    evaluated(capsys, folder)
    with Image.open(folder / "neighbours.png") as image:
        assert np.asarray(image).std() > 0
    dataset = run.load(folder).dataset()
    train = dataset.examples("train")
    picture = measurement.over_neighbours(train[[5, 9]], train, dataset)
    height = (picture.shape[0] - 2 * 2 - 2) // 2
    np.testing.assert_array_equal(picture[2 : 2 + height], picture[4 + height : 4 + 2 * height])


def test_vectors_have_features_of_their_own_and_no_picture(tmp_path):
    dataset = data.load(data.Data(name="banana", transform="none"))
    extractor = measurement.known_extractor(tmp_path, dataset)
    assert extractor.description == "raw values, for want of labels"
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_a_density_a_bound_or_an_error_is_measured_by_it(finished):
    assert measurement.only_samples(Painter())
    assert not measurement.only_samples(run.load(finished).model)


def test_samples_come_in_batches_and_none_twice(folder):
    loaded = run.load(folder)
    x = measurement.draw(loaded, 250, 0)
    assert x.shape == (250, 8, 8, 1)
    assert len(np.unique(x.reshape(250, -1), axis=0)) > 240
    np.testing.assert_array_equal(measurement.draw(loaded, 120, 0), x[:120])


@dataclass(frozen=True)
class Namer(Painter):
    """Its samples are their labels."""

    num_classes: int = 10

    def sample(self, variables, key, num, *, label):
        """[num, 8, 8, 1]."""
        return jnp.broadcast_to(1.0 * label[:, None, None, None], (num, *self.shape))


def test_classes_are_drawn_alike_and_in_no_order(finished_painter):
    painter = run.load(finished_painter)
    namer = replace(painter, experiment=replace(painter.experiment, model=Namer()))
    label = measurement.draw(namer, 200, seed=0)[:, 0, 0, 0].astype(int)
    assert np.bincount(label).tolist() == [20] * 10
    assert all(len(np.unique(part)) > 4 for part in np.array_split(label, 10))


def test_a_gan_walks_between_draws_of_its_prior(tmp_path, tfds_dir, capsys):
    generator = gan.MLPGenerator((4,), (8, 8, 1), "sigmoid")
    model = gan.GAN((8, 8, 1), 2, generator, gan.Discriminator(gan.MLPTrunk((4,))), prior="uniform")
    experiment = tiny_runs.experiment(dir=tfds_dir, model=model)
    experiment = replace(experiment, optimizers=experiment.optimizers * 2)
    loop.run(experiment, tmp_path / "run", recipe="gan_digits", command="tiny")
    assert main(["interpolate", str(tmp_path / "run"), "--num", "3"]) == 0
    assert "3 walks of 11 points between draws of the prior" in capsys.readouterr().out
    assert Image.open(tmp_path / "run" / "interpolation.png").size[0] > 11 * 48
    out = tmp_path / "walks.npz"
    assert main(["interpolate", str(tmp_path / "run"), "--points", "5", "--out", str(out)]) == 0
    trained, x = jaxgen.load(tmp_path / "run"), np.load(out)["x"]
    z = model.latents(jax.random.key(0), 16)
    middle = model.decode(trained.variables, (z[:8] + z[8:]) / 2)  # a cube's walks are lines
    np.testing.assert_allclose(x[:, 2], middle, atol=1e-6)
