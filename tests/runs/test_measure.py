"""A run whose model can only sample, measured from its folder alone."""

import json
import shutil
import sys
import warnings
from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
import tiny_runs
from conditioned import LabelledVAE
from PIL import Image

import jaxgen
from jaxgen import data, gan
from jaxgen.check import Subject, certificate
from jaxgen.cli.main import main
from jaxgen.errors import ConfigError
from jaxgen.evaluation import classifier, measures
from jaxgen.loop import loop
from jaxgen.nn import MLP
from jaxgen.runs import by_samples, loaded, measure
from jaxgen.step import Player
from jaxgen.vae import autoencoder

BRIEF = 60  # steps of a classifier


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
        return jax.random.bernoulli(key, p[None], (num, *self.shape)).astype(jnp.float32)

    def logits(self, variables):
        """[8, 8, 1]."""
        return self.painter.apply(variables["painter"], jnp.ones((1, 1))).reshape(self.shape)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The command line takes back its hook, knows the class, and trains its classifier briefly."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    classes = loaded.known_classes
    monkeypatch.setattr(loaded, "known_classes", lambda extra=(): classes((*extra, Painter)))
    monkeypatch.setattr(classifier, "STEPS", BRIEF)


@pytest.fixture(scope="module")
def finished_painter(tmp_path_factory, tfds_dir):
    """A finished run with checkpoints at steps 4 and 8, and the classifier of its data. Read only.

    The tests do not each train one; the first of them, and those of damaged ones, train it anew.
    """
    folder = tmp_path_factory.mktemp("runs") / "painter"
    loop.run(tiny_runs.experiment(dir=tfds_dir, model=Painter()), folder, recipe="painter")
    dataset = jaxgen.load(folder, classes=[Painter]).dataset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", BRIEF)
        measure.known_classifier(folder, dataset)
    return folder


@pytest.fixture
def folder(finished_painter, tmp_path):
    """A copy to write to."""
    return shutil.copytree(finished_painter, tmp_path / "painter")


def evaluated(capsys, folder, *arguments):
    assert main(["evaluate", str(folder), *map(str, arguments)]) == 0
    return capsys.readouterr().out, json.loads((folder / "evaluation.json").read_text())


def test_evaluate_measures_samples_and_says_how(folder, capsys):
    (folder / "classifier.npz").unlink()
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


def test_a_run_is_measured_as_its_folder_is_and_without_what_came_later(folder):
    at_the_end = jaxgen.load(folder)
    found, table = measure.evaluate(at_the_end)
    assert found is at_the_end
    assert table == measure.evaluate(folder)[1]
    assert "of the checkpoints kept (8, 4)" in table[0].protocol
    _, table = measure.evaluate(jaxgen.load(folder / "checkpoints" / "4"))
    assert "step 4, the one checkpoint looked at" in table[0].protocol


def test_another_seed_draws_other_samples(folder, capsys):
    values = [evaluated(capsys, folder, "--seed", seed)[1][0]["value"] for seed in (0, 1)]
    assert values[0] != values[1]


def test_the_best_checkpoint_is_measured_beside_the_last(folder, capsys, monkeypatch):
    """With samples of validation examples at step 4 that is the best."""

    def draw(run, dataset, num, seed):
        if run.step == 8:
            return np.ones((num, 8, 8, 1), np.float32)
        return np.resize(dataset.examples("validation"), (num, 8, 8, 1))

    monkeypatch.setattr(by_samples, "draw_samples", draw)
    _, table = evaluated(capsys, folder)
    found = {record["metric"]: record for record in table}
    assert found["best/kernel_distance"]["value"] < found["kernel_distance"]["value"]
    assert "step 4, best by kernel distance on validation" in found["best/recall"]["protocol"]
    assert "step 8, last of the checkpoints kept (8, 4)" in found["recall"]["protocol"]
    assert "best/real/recall" not in found


def test_the_best_checkpoint_is_of_the_last_stage(tmp_path, tfds_dir, monkeypatch):
    """A model that is trained on: what it was in the stage before is none of its checkpoints."""
    begun = tiny_runs.experiment(dir=tfds_dir, model=Painter(), steps=4, checkpoint_every=2)
    tuned = replace(begun, settings=replace(begun.settings, steps=4), after=begun)
    path = tmp_path / "run"
    loop.run(begun, path)
    before = {step: path / "checkpoints" / str(step) for step in (2, 4)}
    kept = {step: shutil.copytree(x, tmp_path / str(step)) for step, x in before.items()}
    shutil.rmtree(path)
    loop.run(tuned, path)
    for step, saved in kept.items():  # as if the run kept them all
        shutil.copytree(saved, before[step], dirs_exist_ok=True)
    newest = loaded.load(path)
    assert newest.experiment.begin == 4
    runs = by_samples.kept_runs(path, newest)
    assert [run.step for run in runs] == [8, 6]


def test_one_step_may_be_measured_alone(folder):
    run, table = measure.evaluate(folder / "checkpoints" / "4")
    assert run.step == 4
    assert "step 4, the one checkpoint looked at" in table[0].protocol
    assert not any(record.metric.startswith("best/") for record in table)


def test_a_damaged_checkpoint_is_left_out(folder):
    for path in (folder / "checkpoints" / "4").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"):
        runs = by_samples.kept_runs(folder, loaded.load(folder))
    assert [each.step for each in runs] == [8]


def test_the_classifier_is_trained_once_for_its_data(folder, monkeypatch):
    dataset = loaded.load(folder).dataset()
    first = measure.known_classifier(folder, dataset)

    def fit(*arguments, **settings):
        raise AssertionError("trained again")

    monkeypatch.setattr(classifier, "fit", fit)
    again = measure.known_classifier(folder, dataset)
    assert (again.sha256, again.accuracy, again.source) == (
        first.sha256,
        first.accuracy,
        first.source,
    )
    other = data.load(replace(dataset.config, transform="unit"))
    with pytest.raises(AssertionError, match="trained again"):
        measure.known_classifier(folder, other)


@pytest.mark.parametrize("name", ["classifier.npz", "classifier.json"])
def test_a_damaged_classifier_is_replaced(folder, name):
    dataset = loaded.load(folder).dataset()
    first = measure.known_classifier(folder, dataset)
    (folder / name).write_bytes(b"PK\x03\x04 torn")
    assert measure.known_classifier(folder, dataset).sha256 == first.sha256
    record = json.loads((folder / "classifier.json").read_text())
    assert record["sha256"] == first.sha256


def test_a_classifier_whose_parameters_were_changed_is_not_believed(folder):
    dataset = loaded.load(folder).dataset()
    first = measure.known_classifier(folder, dataset)
    arrays = {name: x + 1 for name, x in classifier.parameters(first.variables).items()}
    np.savez_compressed(folder / "classifier.npz", **arrays)
    assert measure.known_classifier(folder, dataset).sha256 == first.sha256


def test_samples_are_drawn_over_their_nearest_training_examples(folder, capsys):
    evaluated(capsys, folder)
    with Image.open(folder / "neighbours.png") as image:
        assert np.asarray(image).std() > 0
    dataset = loaded.load(folder).dataset()
    train = dataset.examples("train")
    picture = by_samples.over_neighbours(train[[5, 9]], train, dataset)
    height = (picture.shape[0] - 2 * 2 - 2) // 2
    np.testing.assert_array_equal(picture[2 : 2 + height], picture[4 + height : 4 + 2 * height])


def two_sources(labels_of_b=True):
    """Return digits beside their negatives, whose labels are those of the digits less one."""
    a = data.load(data.Data())
    arrays = {}
    for split in ("train", "validation", "test"):
        stored = a.splits[split].all()
        arrays[split] = {"image": 16 - np.asarray(stored["image"])}
        if labels_of_b:
            arrays[split]["label"] = (np.asarray(stored["label"]) + 9) % 10
    b = data.from_arrays(**arrays, levels=17, transform="binarise")
    return data.unpaired_datasets(a, b)


def test_the_second_of_two_sources_is_classified_by_its_own_labels(tmp_path):
    dataset = two_sources()
    extractor = measure.known_extractor(tmp_path, dataset, "other")
    record = json.loads((tmp_path / "classifier.json").read_text())
    assert record["accuracy"] > 0.5  # 0.1 of labels that are not theirs
    assert record["recipe"]["data"] == dataset.other.record()
    assert "field" not in record["recipe"]
    assert "classifier" in extractor.description


def test_the_second_of_two_sources_without_labels_has_raw_values(tmp_path):
    extractor = measure.known_extractor(tmp_path, two_sources(labels_of_b=False), "other")
    assert extractor.description == "raw values, for want of labels"
    assert not list(tmp_path.iterdir())


def test_raw_values_are_of_the_targets_own_shape(tmp_path):
    images = np.random.default_rng(0).integers(0, 17, (60, 48, 48, 1)).astype(np.uint8)
    dataset = data.from_arrays({"image": images}, levels=17, transform="unit", derive=("low",))
    of_images = measure.known_extractor(tmp_path, dataset)
    of_low = measure.known_extractor(tmp_path, dataset, "low")
    assert of_images.description == "raw values, means of 2 x 2 pixels, for want of labels"
    assert of_low.description == "raw values, for want of labels"


@dataclass(frozen=True)
class Vectors(Painter):
    """Makes a vector that goes with each picture."""

    target: str = "vector"

    def sample(self, variables, key, num):
        """[num, 5]."""
        return jax.random.normal(key, (num, 5))


def test_no_picture_is_drawn_of_vectors_beside_images(finished_painter, tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 17, (300, 8, 8, 1)).astype(np.uint8)
    vectors = random.normal(size=(300, 5)).astype(np.float32)
    dataset = data.from_arrays({"image": images, "vector": vectors}, levels=17)
    run = loaded.load(finished_painter)
    experiment = replace(run.experiment, model=Vectors())
    run = replace(run, folder=tmp_path, experiment=experiment)
    extractor = measure.known_extractor(tmp_path, dataset, "vector")
    table = by_samples.measure_checkpoints([run], dataset, extractor, split="test", seed=0)
    assert table
    assert not list(tmp_path.iterdir())


def test_a_class_conditional_vae_is_trained_measured_and_certified(tmp_path, tfds_dir):
    outputs = 64
    networks = {"encoder": MLP((8,), 4), "decoder": MLP((8,), outputs)}
    model = LabelledVAE((8, 8, 1), kinds=10, **networks)
    experiment = tiny_runs.experiment(dir=tfds_dir, model=model)
    loop.run(experiment, tmp_path / "run")
    run, table = measure.evaluate(tmp_path / "run", num_samples=10, classes=[LabelledVAE])
    values = {record.metric: record.value for record in table}
    assert values["elbo"] <= values["iwae_10"] < 0
    batch = run.dataset().batch("test", 32)
    x = jnp.asarray(batch.pop("image"))
    laws = certificate(Subject(run.experiment, run.variables, x, jax.random.key(0), batch))
    assert [law.law for law in laws if not law.passed] == []


def test_the_field_is_in_the_recipe_of_a_classifier_unless_it_is_the_image(tmp_path):
    dataset = data.load(data.Data(transform="unit", derive=("low",)))
    measure.known_classifier(tmp_path, dataset)
    of_images = json.loads((tmp_path / "classifier.json").read_text())["recipe"]
    measure.known_classifier(tmp_path, dataset, "low")
    of_low = json.loads((tmp_path / "classifier.json").read_text())["recipe"]
    assert "field" not in of_images
    assert of_low["field"] == "low"


def test_vectors_have_features_of_their_own_and_no_picture(tmp_path):
    dataset = data.load(data.Data(name="banana", transform="none"))
    extractor = measure.known_extractor(tmp_path, dataset)
    assert extractor.description == "raw values, for want of labels"
    assert list(tmp_path.iterdir()) == []


def test_samples_speak_for_a_model_without_a_measure_in_nats(finished, tfds_dir):
    fields = ("image", "label")
    for model, expected in (
        (Painter(), True),
        (loaded.load(finished).model, False),
        (autoencoder.mlp((8, 8, 1), latent_dim=2, hidden=(4,)), False),  # it has no samples
        (tiny.experiment("semi-supervised gan").model, True),  # beside its accuracy
        (tiny.experiment("nade").model, False),
    ):
        rows = measures.applicable(model, fields)
        assert measures.by_samples(model, rows) == expected


def test_a_model_that_can_do_nothing_is_refused_by_name(folder, monkeypatch):
    monkeypatch.setattr(measures, "by_samples", lambda model, rows: False)
    with pytest.raises(ConfigError, match="Painter has nothing that could be measured"):
        measure.evaluate(folder)


def test_each_checkpoint_is_loaded_once(folder, monkeypatch):
    paths = []
    load = loaded.load

    def counted(path, classes=(), **more):
        paths.append(path.name)
        return load(path, classes, **more)

    monkeypatch.setattr(measure, "load", counted)
    monkeypatch.setattr(by_samples, "load", counted)
    measure.evaluate(folder)
    assert paths == ["painter", "4"]


def test_samples_come_in_batches_and_none_twice(folder):
    run = loaded.load(folder)
    dataset = run.dataset()
    x = by_samples.draw_samples(run, dataset, 250, 0)
    assert x.shape == (250, 8, 8, 1)
    assert len(np.unique(x.reshape(250, -1), axis=0)) > 240
    fewer = by_samples.draw_samples(run, dataset, 120, 0)
    np.testing.assert_array_equal(fewer, x[:120])


@dataclass(frozen=True)
class Namer(Painter):
    """Its samples are their labels."""

    num_classes: int = 10

    def sample(self, variables, key, num, *, label):
        """[num, 8, 8, 1]."""
        return jnp.broadcast_to(1.0 * label[:, None, None, None], (num, *self.shape))


def test_classes_are_drawn_alike_and_in_no_order(finished_painter):
    painter = loaded.load(finished_painter)
    namer = replace(painter, experiment=replace(painter.experiment, model=Namer()))
    samples = by_samples.draw_samples(namer, painter.dataset(), 200, seed=0)
    label = samples[:, 0, 0, 0].astype(int)
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


def test_numbers_are_printed_although_nothing_can_be_written(folder, capsys):
    (folder / "classifier.npz").unlink()
    for name in ("classifier.npz", "neighbours.png", "evaluation.json"):
        (folder / name).mkdir()  # in the place of a disk that refuses the file
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["evaluate", str(folder)]) == 6
    found = capsys.readouterr()
    assert "frechet" in found.out
    for name in ("classifier.npz", "neighbours.png", "evaluation.json"):
        assert f"cannot write {folder / name}" in found.err
