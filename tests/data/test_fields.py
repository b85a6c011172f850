"""The fields of a prepared batch: which there are, and those that are made of the image."""

import json

import jax
import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.data.derive import low
from jaxgen.errors import ConfigError

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (Data(), {"image": (8, 8, 1), "label": ()}),
        (Data(derive=("low",)), {"image": (8, 8, 1), "label": (), "low": (4, 4, 1)}),
        (Data("bars", derive=("low",)), {"image": (4, 4, 1), "low": (2, 2, 1)}),
        (Data("ring", transform="none"), {"image": (2,)}),
        (Data("tones", transform="levels"), {"image": (2048,), "label": (), "context": (16, 10)}),
    ],
)
def test_fields_are_those_of_a_prepared_batch(config, fields):
    data = load(config)
    assert data.fields == fields
    batch = data.prepare(data.splits["train"].batch(0, 0, 3), KEY)
    assert {name: x.shape for name, x in batch.items()} == {
        name: (3, *shape) for name, shape in fields.items()
    }


def test_low_is_the_mean_of_two_by_two():
    image = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3) ** 2
    expected = np.empty((2, 2, 3, 3))
    for row in range(2):
        for column in range(3):
            square = image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected[:, row, column] = square.mean(axis=(1, 2))
    np.testing.assert_allclose(low(image), expected, rtol=1e-6)


@pytest.mark.parametrize("transform", ["dequantise", "symmetric", "binarise"])
def test_low_is_made_of_what_the_model_sees_also_under_jit(transform):
    data = load(Data(transform=transform, derive=("low",)))
    stored = data.splits["train"].batch(0, 0, 5)
    batch = jax.jit(data.prepare)(stored, KEY)
    plain = load(Data(transform=transform)).prepare(stored, KEY)
    np.testing.assert_allclose(batch["image"], plain["image"], rtol=1e-6)
    np.testing.assert_allclose(batch["low"], low(plain["image"]), rtol=1e-6)
    evaluated = data.batch("test", 7)
    np.testing.assert_allclose(evaluated["low"], low(evaluated["image"]), rtol=1e-6)


def test_derived_fields_are_in_the_record_only_where_there_are_some():
    plain = load(Data()).record()
    assert "derive" not in plain
    assert "other" not in plain
    assert load(Data(derive=("low",))).record() == {**plain, "derive": ["low"]}
    # Byte for byte: the order of the entries too.
    assert list(json.loads(json.dumps(plain))) == [
        *("name", "transform", "threshold", "image_size", "levels", "shape", "train_on", "splits")
    ]


def test_what_cannot_be_derived_is_named_with_the_choices():
    with pytest.raises(ConfigError, match=r"--data.derive high: choose from low"):
        Data(derive=("high",))
    with pytest.raises(ConfigError, match=r"--data.derive low low: name each field once"):
        Data(derive=("low", "low"))
    with pytest.raises(ConfigError, match=r"--data.derive low: .*'ring'.* \[2\], expected images"):
        load(Data("ring", transform="none", derive=("low",)))


def test_derive_is_a_flag():
    tyro = pytest.importorskip("tyro")
    assert tyro.cli(Data, args=["--derive", "low"]).derive == ("low",)
    assert tyro.cli(Data, args=[]).derive == ()
