"""Transforms: exact ranges, exact means, and the units in which their likelihoods are told."""

import math
from dataclasses import asdict
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data import Data, apply_transform, display, load
from jaxgen.errors import ConfigError

KEY = jax.random.key(0)


def all_levels(levels, copies=1):
    """Every level, `copies` times: uint8 [copies, levels, 1, 1]."""
    x = np.arange(levels, dtype=np.uint8)
    return np.broadcast_to(x[None, :, None, None], (copies, levels, 1, 1))


def transformed(x, transform, levels, threshold=None, key=KEY):
    batch = apply_transform(
        {"image": x}, key, transform=transform, levels=levels, threshold=threshold
    )
    assert batch["image"].dtype == jnp.float32
    assert batch["image"].shape == x.shape
    return np.asarray(batch["image"])


@pytest.mark.parametrize("threshold", [1, 8, 16])
def test_binarise_is_one_from_the_threshold_on(threshold):
    y = transformed(all_levels(17), "binarise", 17, threshold).ravel()
    np.testing.assert_array_equal(y, np.arange(17) >= threshold)


def test_binarise_stochastic_has_the_pixel_as_its_mean():
    n = 20000
    y = transformed(all_levels(17, n), "binarise_stochastic", 17)
    assert set(np.unique(y)) == {0.0, 1.0}
    p = np.arange(17) / 16
    error = np.abs(y.mean(axis=0).ravel() - p)
    assert (error <= 4.5 * np.sqrt(p * (1 - p) / n)).all()  # exact at 0 and at 16


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantise_stays_in_its_cell_so_floor_inverts_it(levels):
    x = all_levels(levels, 300000 // levels * 8)
    y = transformed(x, "dequantise", levels)
    assert y.min() >= 0
    assert y.max() < 1
    np.testing.assert_array_equal(np.floor(y * np.float32(levels)), x)


def test_dequantisation_noise_is_strictly_inside_its_cell():
    """On its grid of odd multiples of 2^-16: never 0, never 1, whatever the draw."""
    u = transformed(np.zeros((2**20, 1), np.uint8), "dequantise", 1).ravel().astype(np.float64)
    odd = u * 2**16
    np.testing.assert_array_equal(odd % 2, 1)
    assert 0 < u.min() < 2**-14
    assert 1 - 2**-14 < u.max() < 1


def test_dequantisation_noise_is_uniform():
    u = transformed(np.zeros((200000, 1), np.uint8), "dequantise", 1).ravel()
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert np.sum((counts - 10000) ** 2 / 10000) < 48  # chi-square, 19 degrees: p = 0.0003
    assert abs(u.mean() - 0.5) < 4 / math.sqrt(12 * len(u))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_and_unit_are_exact(levels):
    x = all_levels(levels)
    np.testing.assert_array_equal(transformed(x, "levels", levels), x.astype(np.float32))
    y = transformed(x, "unit", levels)
    np.testing.assert_allclose(y, x / (levels - 1), rtol=1e-6)
    assert y.min() == 0
    assert y.max() == 1


def test_prepare_is_pure_under_jit_and_leaves_other_entries_alone(digits):
    batch = {**digits.splits["train"].batch(0, 0, 16), "weight": np.ones(16)}
    prepared = jax.jit(digits.prepare)(batch, KEY)
    np.testing.assert_array_equal(prepared["image"], batch["image"] >= 8)
    np.testing.assert_array_equal(prepared["label"], batch["label"])
    np.testing.assert_array_equal(prepared["weight"], batch["weight"])
    assert batch["image"].dtype == np.uint8


@pytest.mark.parametrize("transform", ["binarise_stochastic", "dequantise"])
def test_random_transforms_depend_on_the_key_alone(transform, digits_dir):
    data = load(Data(dir=digits_dir, transform=transform))
    batch = data.splits["train"].batch(0, 0, 16)
    x, again = (data.prepare(batch, KEY)["image"] for _ in range(2))
    np.testing.assert_array_equal(x, again)
    assert not np.array_equal(x, data.prepare(batch, jax.random.key(1))["image"])


@pytest.mark.parametrize("transform", ["none", "levels", "binarise", "binarise_stochastic", "unit"])
def test_a_binary_set_keeps_its_values(transform):
    data = load(Data(name="bars", transform=transform))
    batch = data.splits["test"].batch(0, 0, 50)
    np.testing.assert_array_equal(data.prepare(batch, KEY)["image"], batch["image"])


@pytest.mark.parametrize("name", ["banana", "linear_gaussian"])
def test_continuous_values_pass_through(name):
    data = load(Data(name=name, transform="none"))
    batch = data.splits["train"].batch(0, 0, 8)
    np.testing.assert_array_equal(data.prepare(batch, None)["image"], batch["image"])


def test_bits_per_dim_of_the_uniform_model_is_log2_of_the_levels(digits_dir):
    nats_per_pixel = {"binarise": math.log(2), "levels": math.log(17), "dequantise": 0.0}
    expected = {"binarise": 1.0, "levels": math.log2(17), "dequantise": math.log2(17)}
    for transform, nats in nats_per_pixel.items():
        data = load(Data(dir=digits_dir, transform=transform))
        assert data.bits_per_dim(64 * nats) == pytest.approx(expected[transform])
    bits = load(Data(dir=digits_dir)).bits_per_dim(np.array([0.0, 64 * math.log(2)]))
    np.testing.assert_allclose(bits, [0, 1])


def test_densities_that_belong_to_no_probability_have_no_bits(digits_dir):
    assert load(Data(dir=digits_dir, transform="unit")).bits_per_dim(1.0) is None
    assert load(Data(name="banana", transform="none")).bits_per_dim(1.0) is None


@pytest.mark.parametrize("transform", ["binarise_stochastic", "dequantise", "levels"])
def test_examples_are_the_split_in_its_order_prepared_alike_at_every_call(transform, digits_dir):
    data = load(Data(dir=digits_dir, transform=transform))
    stored, x = data.splits["test"].resident["image"], data.examples("test")
    assert x.shape == (360, 8, 8, 1)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, data.examples("test"))
    if transform == "levels":
        np.testing.assert_array_equal(x, stored)
        np.testing.assert_array_equal(data.examples("test", 7), stored[:7])
    assert len(data.examples("test", 1000)) == 360


@pytest.mark.parametrize("split", ["train", "extra"])
def test_examples_of_an_endless_or_unknown_split_are_refused(split):
    with pytest.raises(ConfigError, match=f"--split {split}: choose from validation, test"):
        load(Data(name="chain")).examples(split)


@pytest.mark.parametrize("transform", ["binarise", "dequantise", "levels", "unit", "none"])
def test_display_brings_every_form_to_the_scale_of_a_picture(transform):
    x = transformed(all_levels(17), transform, 17, 8)
    y = display(x, transform=transform, levels=17)
    assert y.min() < 1 / 17
    assert 16 / 17 <= y.max() <= 1
    continuous = np.array([[-3.0, 7.0]])
    np.testing.assert_array_equal(display(continuous, transform="none", levels=None), continuous)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"name": "banana"}, "--data.transform none"),
        ({"name": "banana", "transform": "unit"}, "--data.transform none"),
        ({"name": "bars", "threshold": 2}, "--data.threshold 2"),
        ({"name": "bars", "transform": "levels", "threshold": 1}, "--data.threshold 1"),
        ({"name": "chain", "train_on": "train+validation"}, "--data.train-on"),
        ({"name": "chain", "image_size": 8}, "--data.image-size 8"),
    ],
)
def test_a_flag_that_does_not_fit_the_data_is_named(config, field):
    with pytest.raises(ConfigError) as caught:
        load(Data(**config))
    assert field in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"name": ""}, "--data.name"),
        ({"transform": "sharpen"}, "--data.transform"),
        ({"train_on": "test"}, "--data.train-on"),
        ({"threshold": 0}, "--data.threshold"),
        ({"image_size": 0}, "--data.image-size"),
    ],
)
def test_a_flag_that_fits_no_data_is_named(fields, flag):
    flags = SimpleNamespace(**{**asdict(Data()), **fields})  # past the type check of the tests
    with pytest.raises(ConfigError, match=flag):
        Data.__post_init__(flags)
