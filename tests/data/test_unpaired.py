"""Two sources without pairs: two orders, one form, a hash and a record of both."""

import json

import jax
import numpy as np
import pytest

from jaxgen.data import Data, Split, batch_indices, from_arrays, load, unpaired, unpaired_datasets
from jaxgen.data.split import OTHER_SEED
from jaxgen.errors import ConfigError, DataError

KEY = jax.random.key(0)
A = np.arange(12, dtype=np.uint8)[:, None]
B = np.arange(100, 107, dtype=np.uint8)[:, None]


@pytest.fixture
def split():
    label = np.arange(12, dtype=np.int32)
    return unpaired(
        Split.of("train", {"image": A, "label": label}), Split.of("train", {"image": B})
    )


def test_each_source_has_an_order_of_its_own_with_whole_epochs(split):
    a = split.batches(3, 0, 14, 6)["image"].reshape(-1, 12)
    b = split.batches(3, 0, 14, 6)["other"].reshape(-1, 7)
    for epoch in a:
        assert sorted(epoch) == list(range(12))
    for epoch in b:
        assert sorted(epoch) == list(range(100, 107))


def test_orders_are_functions_of_seed_and_step_alone(split):
    batch = split.batch(3, 5, 4)
    rows = batch_indices(3, 5, 4, 12)
    np.testing.assert_array_equal(batch["image"], A[rows])
    np.testing.assert_array_equal(batch["label"], rows)
    np.testing.assert_array_equal(batch["other"], B[batch_indices(3 + OTHER_SEED, 5, 4, 7)])
    stacked = split.batches(3, 4, 3, 4)
    np.testing.assert_array_equal(stacked["other"][1], batch["other"])
    assert not np.array_equal(split.batch(4, 5, 4)["other"], batch["other"])


def test_the_orders_are_independent_even_of_one_source_twice():
    same = Split.of("train", {"image": np.arange(200, dtype=np.uint8)[:, None]})
    twice = unpaired(same, same)
    batches = twice.batches(0, 0, 50, 200)  # 50 epochs
    equal = (batches["image"] == batches["other"]).sum(axis=(1, 2))
    # Two independent permutations agree in one place in the mean, with variance 1.
    assert abs(equal.mean() - 1) < 5 / np.sqrt(50)
    pairs = {(int(x), int(y)) for x, y in zip(*map(np.ravel, batches.values()), strict=True)}
    assert len(pairs) > 7000  # of 40 000; a fixed pairing would have 200
    for found in (twice.all(), twice.sample(200)):
        assert (found["image"] == found["other"]).sum() < 10
        assert sorted(found["other"].ravel()) == list(range(200))
    np.testing.assert_array_equal(twice.all()["image"].ravel(), np.arange(200))


def test_the_hash_is_of_both(split):
    a = Split.of("train", {"image": A})
    b = Split.of("train", {"image": B})
    others = [unpaired(a, b), unpaired(a, Split.of("train", {"image": B + 1})), unpaired(b, a)]
    hashes = {split.sha256, *(other.sha256 for other in others)}
    assert len(hashes) == 4
    assert a.sha256 not in hashes
    assert unpaired(a, b).sha256 == others[0].sha256


@pytest.mark.parametrize("transform", ["binarise", "dequantise", "binarise_stochastic", "unit"])
def test_both_are_prepared_in_one_form_with_noise_of_their_own(transform):
    digits = load(Data(transform=transform))
    both = unpaired_datasets(digits, digits)
    assert both.fields == {"image": (8, 8, 1), "label": (), "other": (8, 8, 1)}
    stored = both.splits["train"].batch(0, 0, 40)
    batch = jax.jit(both.prepare)(stored, KEY)
    alone = {"image": stored["image"], "label": stored["label"]}
    np.testing.assert_allclose(batch["image"], digits.prepare(alone, KEY)["image"], rtol=1e-6)
    one = {"image": stored["other"]}
    other = digits.prepare(one, jax.random.fold_in(KEY, 1))["image"]
    np.testing.assert_allclose(batch["other"], other, rtol=1e-6)
    same = {"image": stored["image"], "other": stored["image"]}
    prepared = both.prepare(same, KEY)
    equal = np.array_equal(prepared["image"], prepared["other"])
    assert equal == (transform in ("binarise", "unit"))


def test_a_data_set_of_two_names_both():
    a = load(Data())
    inverted = {name: {"image": 16 - s.resident["image"]} for name, s in a.splits.items()}
    b = from_arrays(**inverted, levels=17, name="inverted")
    both = unpaired_datasets(a, b)
    record = json.loads(json.dumps(both.record()))
    assert record["name"] == "unpaired:digits+arrays:inverted"
    assert record["other"] == b.record()
    assert record["splits"]["test"] == {"num": 360, "sha256": both.splits["test"].sha256}
    assert both.protocol("test").startswith("unpaired:digits+arrays:inverted test split (360 im")
    assert both.num_classes == 10
    test = both.batch("test", 50)
    np.testing.assert_array_equal(test["label"], a.batch("test", 50)["label"])
    assert test["other"].shape == (50, 8, 8, 1)
    with pytest.raises(DataError, match="two sources joined in Python"):
        load(both.config)


def test_generated_sources_go_together_with_finite_ones():
    chain = load(Data("chain"))
    bars = load(Data("bars"))
    both = unpaired_datasets(chain, bars)
    batch = both.splits["train"].batch(0, 3, 5)
    np.testing.assert_array_equal(batch["image"], chain.splits["train"].batch(0, 3, 5)["image"])
    drawn = bars.splits["train"].batch(OTHER_SEED, 3, 5)
    np.testing.assert_array_equal(batch["other"], drawn["image"])
    assert both.entropy is None
    assert both.batch("validation", 9)["other"].shape == (9, 4, 4, 1)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (Data(), Data("chain"), r"shape of an example: \[8, 8, 1\] in 'digits', \[4, 4, 1\] in"),
        (Data(), Data(transform="unit"), r"--data.transform: binarise in 'digits', unit in"),
        (Data(), Data(threshold=3), r"--data.threshold: 8 in 'digits', 3 in"),
    ],
)
def test_sources_that_differ_are_refused(a, b, message):
    with pytest.raises(ConfigError, match=message):
        unpaired_datasets(load(a), load(b))


def test_other_levels_and_a_third_source_are_refused():
    digits = load(Data())
    with pytest.raises(ConfigError, match=r"levels: 17 in 'digits', 256 in 'arrays'"):
        unpaired_datasets(digits, from_arrays(np.zeros((20, 8, 8), np.uint8), threshold=8))
    with pytest.raises(ConfigError, match="of two sources already"):
        unpaired_datasets(digits, unpaired_datasets(digits, digits))
