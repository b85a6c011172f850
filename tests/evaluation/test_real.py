"""Which real examples samples are compared with, and which of them a model has not seen."""

import numpy as np
import pytest

from jaxgen.data import Data, from_arrays, load
from jaxgen.data.split import rows
from jaxgen.evaluation import measure_samples, real_examples
from jaxgen.evaluation.features import raw_values
from jaxgen.evaluation.samples import copies

CLASSES, EACH = 10, 60


def draws(num, seed):
    return np.random.default_rng(seed).normal(size=(num, 4)).astype(np.float32)


def keys(x):
    return {example.tobytes() for example in x}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_after_train_and_validation_the_test_split_alone_is_unseen(split, tmp_path):
    given = {"train_image": draws(400, 0), "validation_image": draws(200, 1)}
    np.savez(tmp_path / "x.npz", **given, test_image=draws(200, 2))
    path = str(tmp_path / "x.npz")
    data = load(Data(path, transform="none", train_on="train+validation"))
    real = real_examples(data, split)
    test = keys(draws(200, 2))
    assert keys(real.unseen) == test
    assert not keys(real.reference) & keys(real.other)
    assert real.other_split == ("train" if split == "test" else "test")
    copier = np.resize(real.train, real.reference.shape)
    assert copies(copier, real)["nearer_to_train"] == 1.0
    fresh = draws(len(real.reference), 9)
    assert copies(fresh, real)["nearer_to_train"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_of_files_a_copier_is_found_out_by_whatever_split(split, tmp_path):
    np.savez(tmp_path / "x.npz", image=draws(1000, 0))
    for train_on in ("train", "train+validation"):
        data = load(Data(str(tmp_path / "x.npz"), transform="none", train_on=train_on))
        real = real_examples(data, split)
        assert not keys(real.unseen) & keys(real.train)
        copier = np.resize(real.train, real.reference.shape)
        assert copies(copier, real)["nearer_to_train"] == 1.0
    assert ("trained on" in data.protocol(split)) == (split == "validation")


def test_the_validation_split_that_is_trained_on_is_said_to_be(capsys):
    data = load.__wrapped__(Data(train_on="train+validation"))
    assert "digits: the validation split is trained on" in capsys.readouterr().err
    assert "trained on" not in data.protocol("test")
    assert data.protocol("validation").startswith("digits validation split (137 images, sha256")


def test_where_nothing_is_unseen_nothing_is_told_of_copies():
    x = draws(300, 0)
    real = real_examples(from_arrays(x, validation=x, test=x, transform="none"))
    assert real.unseen is None
    table = measure_samples(draws(300, 5), real, raw_values((4,)))
    assert not any("train" in record.metric for record in table)
    said = "distances to training examples are left out: no split is unseen"
    assert all(said in record.protocol for record in table)


def test_where_most_unseen_examples_are_training_examples_too_it_is_said():
    few = np.random.default_rng(0).integers(0, 2, (600, 2, 2)).astype(np.uint8)
    real = real_examples(from_arrays(few))
    table = measure_samples(real.other, real, raw_values((2, 2, 1)))
    assert not any("train" in record.metric for record in table)
    assert "most examples that were not trained on are equal" in table[0].protocol


def in_order():
    """Points in order of their classes, which are far apart; some of each in each split."""
    label = np.repeat(np.arange(CLASSES), EACH).astype(np.int32)
    parts = {}
    for seed, name in enumerate(("train", "validation", "test")):
        noise = np.random.default_rng(seed).normal(size=(len(label), CLASSES))
        image = (10 * np.eye(CLASSES)[label] + noise).astype(np.float32)
        parts[name] = {"image": image, "label": label}
    return parts


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_floor_of_files_in_order_is_that_of_a_mixed_set(split):
    parts = in_order()
    mixed = {}
    for name, arrays in parts.items():
        order = np.random.default_rng(7).permutation(CLASSES * EACH)
        mixed[name] = rows(arrays, order)
    found = {}
    for name, arrays in (("in order", parts), ("mixed", mixed)):
        real = real_examples(from_arrays(**arrays, transform="none"), split, 200)
        table = measure_samples(real.other, real, raw_values((CLASSES,)))
        found[name] = {record.metric: record.value for record in table}
    for metric, most in (("recall", 0.1), ("precision", 0.1), ("two_sample_accuracy", 0.07)):
        assert found["in order"][metric] == pytest.approx(found["mixed"][metric], abs=most), metric
    ratio = found["in order"]["frechet_distance"] / found["mixed"]["frechet_distance"]
    assert 0.5 < ratio < 2
    assert found["in order"]["recall"] > 0.6
