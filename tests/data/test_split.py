"""Splits: pure batches, disjoint parts, and the hashes that go with every reported number."""

import json

import numpy as np
import pytest

from jaxgen.data import Data, Split, batch_indices, load
from jaxgen.data import split as split_module
from jaxgen.data.split import content_hash

# The protocol of every number measured on digits: a change here changes what they mean.
DIGITS = {
    "train": (1300, "3b6e2ad2"),
    "validation": (137, "946a7745"),
    "test": (360, "8655b92e"),
}


def test_digits_splits_are_pinned(digits):
    found = {name: (s.num, s.sha256[:8]) for name, s in digits.splits.items()}
    assert found == DIGITS


def test_digits_splits_are_the_documented_permutation(digits):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(1797)
    for name, rows in (
        ("train", order[:1300]),
        ("validation", order[1300:1437]),
        ("test", order[-360:]),
    ):
        resident = digits.splits[name].resident
        got = sorted(
            (image.tobytes(), int(label))
            for image, label in zip(resident["image"], resident["label"], strict=True)
        )
        expected = [(images[i].astype(np.uint8).tobytes(), int(labels[i])) for i in rows]
        assert got == sorted(expected)


def test_digits_splits_are_disjoint(digits):
    images = [{x.tobytes() for x in s.resident["image"]} for s in digits.splits.values()]
    assert sum(map(len, images)) == 1797 == len(set.union(*images))


def test_train_on_both_joins_train_and_validation(digits, digits_dir):
    both = load(Data(dir=digits_dir, train_on="train+validation"))
    images = {x.tobytes() for x in both.splits["train"].resident["image"]}
    expected = [digits.splits[s].resident["image"] for s in ("train", "validation")]
    assert images == {x.tobytes() for part in expected for x in part}
    assert both.splits["validation"].sha256 == digits.splits["validation"].sha256
    assert both.record()["train_on"] == "train+validation"
    assert both.protocol("train").startswith("digits train+validation split (1437 images")


@pytest.mark.parametrize("name", ["digits", "chain"])
def test_batch_is_a_pure_function_of_seed_and_step(name, digits_dir):
    split = load(Data(name=name, dir=digits_dir)).splits["train"]
    first = split.batch(seed=1, step=5, batch_size=32)
    split.batch(seed=2, step=9, batch_size=7)
    again = split.batch(seed=1, step=5, batch_size=32)
    for field in first:
        np.testing.assert_array_equal(first[field], again[field])
    for other in (split.batch(1, 6, 32), split.batch(2, 5, 32)):
        assert not np.array_equal(first["image"], other["image"])


def test_a_batch_is_the_rows_at_its_indices(digits):
    split = digits.splits["train"]
    batch, rows = split.batch(3, 40, 50), batch_indices(3, 40, 50, split.num)
    np.testing.assert_array_equal(batch["image"], split.resident["image"][rows])
    np.testing.assert_array_equal(batch["label"], split.resident["label"][rows])
    assert batch["image"].dtype == np.uint8
    assert batch["label"].dtype == np.int32


def test_stacked_batches_are_the_batches():
    split = load(Data(name="bars")).splits["train"]
    stacked = split.batches(0, 3, 4, 5)["image"]
    assert stacked.shape == (4, 5, 4, 4, 1)
    for i in range(4):
        np.testing.assert_array_equal(stacked[i], split.batch(0, 3 + i, 5)["image"])


def test_resident_arrays_cannot_be_changed(digits):
    with pytest.raises(ValueError, match="read-only"):
        digits.splits["test"].resident["image"][0] = 0


def test_hash_sees_every_byte_the_shape_and_the_labels():
    image, label = np.zeros((4, 3), np.uint8), np.zeros(4, np.int32)
    changed = image.copy()
    changed[3, 2] = 1
    hashes = [
        content_hash(arrays)
        for arrays in (
            {"image": image, "label": label},
            {"image": changed, "label": label},
            {"image": image.reshape(4, 3, 1), "label": label},
            {"image": image, "label": label + 1},
            {"image": image},
        )
    ]
    assert len(set(hashes)) == 5
    assert content_hash({"label": label, "image": image}) == hashes[0]


def test_a_split_above_the_limit_is_not_resident(monkeypatch):
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 11)
    split = Split.of("train", {"image": np.arange(12, dtype=np.uint8).reshape(4, 3)})
    assert split.resident is None
    assert split.batch(0, 0, 2)["image"].shape == (2, 3)


def test_record_is_plain_json_and_names_what_was_measured(digits):
    record = json.loads(json.dumps(digits.record()))
    assert record["name"] == "digits"
    assert (record["transform"], record["threshold"], record["levels"]) == ("binarise", 8, 17)
    assert record["shape"] == [8, 8, 1]
    assert record["splits"]["test"] == {"num": 360, "sha256": digits.splits["test"].sha256}
    assert digits.protocol("test") == (
        "digits test split (360 images, sha256 8655b92e), binarised at >= 8"
    )
    chain = load(Data(name="chain"))
    assert chain.protocol("train").startswith("chain train split (drawn afresh, sha256 ")
    assert json.dumps(chain.record())


def test_loading_twice_gives_the_same_object(digits_dir):
    assert load(Data(dir=digits_dir)) is load(Data(dir=digits_dir))
