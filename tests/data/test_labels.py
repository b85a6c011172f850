"""A training split of which few labels are kept."""

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.errors import ConfigError


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
