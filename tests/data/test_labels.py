"""Labels: of which few are kept, which numbers are classes, and which are not known."""

import numpy as np
import pytest

from jaxgen.data import Data, Split, from_arrays, load
from jaxgen.data import split as split_module
from jaxgen.data.labels import keep_labels, known_or_not
from jaxgen.errors import ConfigError, DataError


def test_as_many_of_each_class_keep_their_label_and_the_others_lose_it():
    few, whole = load(Data(labels=30)), load(Data())
    label = few.splits["train"].resident["label"]
    truth = whole.splits["train"].resident["label"]
    assert (np.bincount(label[label >= 0], minlength=10) == 3).all()
    assert set(label[label < 0]) == {-1}
    np.testing.assert_array_equal(label[label >= 0], truth[label >= 0])
    np.testing.assert_array_equal(
        few.splits["train"].resident["image"], whole.splits["train"].resident["image"]
    )
    np.testing.assert_array_equal(
        few.splits["test"].resident["label"], whole.splits["test"].resident["label"]
    )
    assert few.splits["train"].sha256 != whole.splits["train"].sha256


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Data(labels=25), "--data.labels 25: got 25 for 10 classes, expected a multiple of 10"),
        (Data(labels=5000), "expected a multiple of 10 up to"),
        (Data("ring", transform="none", labels=10), "the examples have no labels to keep"),
    ],
)
def test_labels_that_cannot_be_kept_are_named(config, message):
    with pytest.raises(ConfigError, match=message):
        load(config)


@pytest.mark.parametrize(
    ("flags", "low", "high"),
    [
        ({"transform": "symmetric"}, -1.0, 1.0),
        ({"transform": "unit"}, 0.0, 1.0),
        ({"transform": "binarise"}, 0.0, 1.0),
        ({"transform": "levels"}, 0.0, 16.0),
    ],
)
def test_prepared_values_reach_the_ends_of_their_range(flags, low, high):
    data = load(Data(**flags))
    x = data.examples("test")
    assert (x.min(), x.max()) == data.range == (low, high)
    assert load(Data("ring", transform="none")).range is None


def test_symmetric_pixels_lie_in_minus_one_to_one_and_are_shown_as_they_were():
    data = load(Data(transform="symmetric"))
    x = data.examples("test", 50)
    assert (x.min(), x.max()) == (-1.0, 1.0)
    raw = data.splits["test"].resident["image"][:50]
    np.testing.assert_allclose(x, 2 * raw / 16 - 1, atol=1e-6)
    assert data.bits_per_dim(1.0) is None
    assert "scaled to [-1, 1]" in data.protocol("test")
    from jaxgen.data.transform import display

    np.testing.assert_allclose(display(x, transform="symmetric", levels=17), raw / 16, atol=1e-6)


X = np.random.default_rng(0).integers(0, 256, (100, 2, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        (np.arange(100) % 26 + 1, tuple(range(1, 27))),  # letters, counted from 1
        (np.arange(100) % 5 * 2, (0, 2, 4, 6, 8)),
        (np.where(np.arange(100) % 2, 7, 3), (3, 7)),
        (np.where(np.arange(100) % 3, 9, -1), (9,)),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_numbers_that_no_example_has_are_no_classes(given, classes, streamed, monkeypatch):
    if streamed:
        monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    data = from_arrays({"image": X, "label": given})
    assert (data.num_classes, data.classes) == (len(classes), classes)
    assert data.record()["classes"] == list(classes)
    assert "the labels skip numbers" in data.remarks[0]
    truth = {image.tobytes(): label for image, label in zip(X, given, strict=True)}
    for split in data.splits.values():
        stored = split.all()
        for image, label in zip(stored["image"], stored["label"], strict=True):
            own = truth[image.tobytes()]
            assert label == (-1 if own == -1 else classes.index(own))
    before = from_arrays({"image": X, "label": given}, rules=1)
    assert (before.num_classes, before.classes) == (max(classes) + 1, None)


def test_a_class_of_one_split_alone_is_one_and_what_is_said_wins():
    label = np.arange(100) % 2
    both = from_arrays({"image": X, "label": label}, test={"image": X, "label": label + 1})
    assert (both.num_classes, both.classes) == (3, None)
    said = from_arrays({"image": X, "label": 2 * label}, num_classes=10)
    assert (said.num_classes, said.classes) == (10, None)


@pytest.mark.parametrize("bad", [-2, 10, -(2**31), 2**31 - 1])
def test_a_label_that_is_neither_a_class_nor_unknown_is_named(bad):
    label = np.arange(100) % 10
    label[[41, 60]] = bad
    with pytest.raises(DataError, match=f"index 41, field 'label': got {bad}, expected 0..9, or"):
        from_arrays({"image": X, "label": label}, num_classes=10)


def test_unknown_labels_are_counted_and_no_class():
    label = np.arange(100) % 4
    label[::5] = -1
    data = from_arrays({"image": X, "label": label}, test={"image": X, "label": 0 * label - 1})
    assert data.num_classes == 4
    assert data.unknown["test"] == 100
    assert data.unknown["train"] + data.unknown["validation"] == 20
    assert f"{data.unknown['train']} train examples are of no known class" in data.remarks[0]
    nothing = from_arrays({"image": X, "label": np.full(100, -1)})
    assert nothing.num_classes is None
    few = load(Data(labels=30))
    assert few.unknown == {"train": 1270}
    assert few.remarks == ()


def test_unknown_labels_are_not_kept():
    label = np.tile([0, 1, -1, -1], 25)
    split = Split.of("train", {"image": X, "label": label})
    kept = keep_labels(split, 10, 2).resident["label"]
    assert np.bincount(kept[kept >= 0]).tolist() == [5, 5]
    assert (label[kept >= 0] >= 0).all()
    with pytest.raises(ConfigError, match="up to 50"):
        keep_labels(split, 60, 2)


def test_of_a_streamed_split_all_labels_are_known_or_none():
    def split(label):
        def take(indices):
            return {"image": X[indices], "label": label[indices]}

        return Split("test", 100, "0" * 64, take=take)

    label = np.arange(100) % 4
    known, num = known_or_not(split(label), "x")
    assert num == 0
    assert len(known.take(np.arange(100))["label"]) == 100
    unknown, num = known_or_not(split(0 * label - 1), "x")
    assert num == 100
    assert (unknown.take(np.arange(9))["label"] == -1).all()
    label[7] = -1
    mixed, _ = known_or_not(split(label), "x")
    with pytest.raises(DataError, match="x, split 'test', index 7, field 'label': got -1"):
        mixed.take(np.arange(5, 10))
