"""Arrays as data: forms, splits cut by content, every bad field named, and .npz files."""

import json

import numpy as np
import pytest

from jaxgen.data import Data, from_arrays, load
from jaxgen.errors import ConfigError, DataError

NUM = 50
BYTES = np.random.default_rng(0).integers(0, 256, (NUM, 4, 6, 3), dtype=np.uint8)
FLOATS = np.random.default_rng(1).standard_normal((NUM, 5))
LABELS = np.arange(NUM) % 7


def rows(dataset, field="image"):
    """All stored examples, in the order of the splits."""
    return np.concatenate([split.resident[field] for split in dataset.splits.values()])


def test_images_of_bytes_are_levels_and_stay_as_they_are():
    data = from_arrays({"image": BYTES, "label": LABELS})
    assert (data.shape, data.levels, data.num_classes) == ((4, 6, 3), 256, 7)
    assert (data.config.name, data.config.transform, data.threshold) == ("arrays", "binarise", 128)
    assert {name: split.num for name, split in data.splits.items()} == {
        "train": 40,
        "validation": 5,
        "test": 5,
    }
    assert data.fields == {"image": (4, 6, 3), "label": ()}
    found = sorted(zip(map(bytes, rows(data)), rows(data, "label"), strict=True))
    assert found == sorted(zip(map(bytes, BYTES), LABELS, strict=True))
    batch = data.splits["train"].batch(0, 0, 8)
    assert (batch["image"].dtype, batch["label"].dtype) == (np.uint8, np.int32)


def test_the_cut_is_random_and_depends_on_the_content_alone():
    index = np.arange(200)
    first = from_arrays({"image": np.stack([index, index % 3], axis=1)})
    again = from_arrays({"image": np.stack([index, index % 3], axis=1)})
    changed = from_arrays({"image": np.stack([index, index % 2], axis=1)})
    held_out = [data.splits["test"].resident["image"][:, 0] for data in (first, again, changed)]
    np.testing.assert_array_equal(held_out[0], held_out[1])
    assert not np.array_equal(held_out[0], held_out[2])
    assert (np.diff(held_out[0].astype(int)) > 0).all()  # in their own order, ...
    assert held_out[0][0] < 150  # ... and not simply the last ones
    assert np.ptp(held_out[0].astype(int)) > 100
    assert first.record() == again.record()


def test_splits_that_are_given_are_not_cut():
    data = from_arrays(BYTES[:20], validation=BYTES[20:23], test={"image": BYTES[23:]})
    sizes = {name: split.num for name, split in data.splits.items()}
    assert sizes == {"train": 20, "validation": 3, "test": 27}
    np.testing.assert_array_equal(rows(data), BYTES)
    partly = from_arrays(BYTES[:20], test=BYTES[20:])
    assert {name: split.num for name, split in partly.splits.items()} == {
        "train": 18,
        "validation": 2,
        "test": 30,
    }


def test_real_numbers_are_continuous():
    data = from_arrays(FLOATS)
    assert (data.shape, data.levels, data.config.transform) == ((5,), None, "none")
    assert data.range is None
    x = data.examples("train")
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, data.splits["train"].resident["image"])
    with pytest.raises(ConfigError, match="'arrays' is continuous and has no levels"):
        from_arrays(FLOATS, transform="unit")
    with pytest.raises(ConfigError, match=r"levels: got 17 .* real numbers"):
        from_arrays(FLOATS, levels=17)


@pytest.mark.parametrize(
    ("image", "flags", "levels"),
    [
        (BYTES.astype(np.int64), {}, 256),
        (BYTES > 100, {}, 2),
        (BYTES % 17, {"levels": 17}, 17),
        (BYTES.astype(np.uint32) % 2, {"levels": 2}, 2),
    ],
)
def test_whole_numbers_and_booleans_become_bytes(image, flags, levels):
    data = from_arrays(image, transform="levels", **flags)
    assert (data.levels, data.values) == (levels, levels)
    assert sorted(map(bytes, rows(data))) == sorted(map(bytes, image.astype(np.uint8)))


def test_grey_images_get_a_channel():
    data = from_arrays({"image": BYTES[..., 0], "other": BYTES[..., 1]})
    assert data.fields == {"image": (4, 6, 1), "other": (4, 6, 1)}
    batch = data.batch("test")
    stored = data.splits["test"].resident
    np.testing.assert_array_equal(batch["other"], stored["other"] >= 128)


def test_further_fields_are_kept():
    context = np.random.default_rng(2).standard_normal((NUM, 3, 2))
    data = from_arrays({"image": BYTES, "context": context, "age": LABELS}, derive=("low",))
    assert data.context_shape == (3, 2)
    assert data.fields == {"image": (4, 6, 3), "context": (3, 2), "age": (), "low": (2, 3, 3)}
    dtypes = {name: array.dtype for name, array in data.splits["test"].resident.items()}
    assert dtypes == {"image": np.uint8, "context": np.float32, "age": np.int32}


def put(array, row, value):
    array = np.array(array, copy=True)
    array.reshape(len(array), -1)[row, -1] = value
    return array


BAD = {
    "no image": ({"label": LABELS}, ["got 'label'", "'image'"]),
    "empty": (BYTES[:0], ["'image'", "got no examples"]),
    "no pixels": (BYTES[:, :0], ["'image'", "got examples of shape (0, 6, 3)"]),
    "one number": (np.float32(3), ["'image'", "one float32 alone"]),
    "length": ({"image": BYTES, "label": LABELS[:-1]}, ["'label'", "got 49", "expected 50"]),
    "length of more": ({"image": BYTES, "age": FLOATS[:3]}, ["'age'", "got 3", "expected 50"]),
    "NaN": (put(FLOATS, 7, np.nan), ["index 7", "'image'", "got nan", "finite"]),
    "too large": (put(FLOATS, 7, 1e300), ["index 7", "'image'", "got inf", "finite"]),
    "NaN of more": (
        {"image": BYTES, "context": put(FLOATS, 3, np.nan)},
        ["index 3", "'context'", "got nan"],
    ),
    "object": (BYTES.astype(object), ["'image'", "got dtype object"]),
    "text": ({"image": BYTES, "name": BYTES[:, 0, 0, 0].astype(str)}, ["'name'", "got dtype <U3"]),
    "complex": (FLOATS.astype(complex), ["'image'", "got dtype complex128"]),
    "large": (put(BYTES.astype(int), 9, 256), ["index 9", "'image'", "got 256", "0..255"]),
    "negative": (put(BYTES.astype(int), 9, -1), ["index 9", "'image'", "got -1", "0..255"]),
    "float label": ({"image": BYTES, "label": LABELS / 1}, ["'label'", "float64", "integers"]),
    "negative label": (
        {"image": BYTES, "label": put(LABELS, 4, -2)},
        ["index 4", "'label'", "got -2", "expected 0.."],
    ),
    "huge label": (
        {"image": BYTES, "label": put(LABELS, 4, 2**40)},
        ["index 4", "'label'", f"got {2**40}"],
    ),
    "rank": (BYTES[..., None], ["'image'", "(4, 6, 3, 1)"]),
    "another other": ({"image": BYTES, "other": FLOATS}, ["'other'", "float32", "uint8"]),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_field_is_named(case):
    train, words = BAD[case]
    with pytest.raises(DataError) as caught:
        from_arrays(train, name="mine")
    message = str(caught.value)
    for word in ("mine", "'train'", *words):
        assert word in message, message
    assert len(message.splitlines()) <= 2


def test_splits_that_do_not_go_together_are_named():
    zeros = np.zeros(NUM, int)
    sevens = {"image": BYTES, "label": zeros + 7}
    with pytest.raises(DataError, match=r"'test', field 'label': got none, expected int32 \[\]"):
        from_arrays({"image": BYTES, "label": LABELS}, test=BYTES)
    with pytest.raises(DataError, match=r"'test', field 'image': got uint8 \[4, 6, 1\], expected"):
        from_arrays(BYTES, test=BYTES[..., :1])
    with pytest.raises(DataError, match=r"'test', field 'image': got dtype float32"):
        from_arrays(BYTES, test=BYTES / 255)
    with pytest.raises(DataError, match=r"'test', index 0, field 'label': got 7, expected 0\.\.2"):
        from_arrays({"image": BYTES, "label": zeros}, test=sevens, num_classes=3)


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(DataError, match="a tenth of 9 examples"):
        from_arrays(BYTES[:9])
    with pytest.raises(ConfigError, match="levels: got 300, expected 2 to 256"):
        from_arrays(BYTES, levels=300)
    with pytest.raises(DataError, match=r"'image': got 255, expected 0\.\.16"):
        from_arrays(put(BYTES % 17, 0, 255), levels=17)
    for odd in (BYTES[:, :3], BYTES[:, :, :5]):
        with pytest.raises(ConfigError, match="even sides"):
            from_arrays(odd, derive=("low",))


def test_arrays_are_recorded_by_their_hashes_and_are_not_loaded_again():
    data = from_arrays(BYTES, name="faces", transform="unit")
    record = json.loads(json.dumps(data.record()))
    assert (record["name"], record["transform"]) == ("arrays:faces", "unit")
    assert record["splits"]["test"]["sha256"] == data.splits["test"].sha256
    for config in (data.config, from_arrays(BYTES).config):
        with pytest.raises(DataError, match=r"given from Python(.|\n)*jaxgen\.load\(folder, data="):
            load(config)


def test_an_npz_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "my.npz"
    np.savez(path, image=BYTES, label=LABELS)
    data = load(Data(str(path), transform="unit"))
    given = from_arrays({"image": BYTES, "label": LABELS})
    assert (data.shape, data.levels, data.num_classes) == ((4, 6, 3), 256, 7)
    for name, split in data.splits.items():
        assert split.sha256 == given.splits[name].sha256
    both = load(Data(str(path), train_on="train+validation"))
    assert both.splits["train"].num == 45


def test_an_npz_file_may_have_its_own_splits(tmp_path):
    path = tmp_path / "my.npz"
    np.savez_compressed(path, train_image=FLOATS, test_image=FLOATS[:8], validation_image=FLOATS)
    data = load(Data(str(path), transform="none"))
    sizes = {name: split.num for name, split in data.splits.items()}
    assert sizes == {"train": 50, "validation": 50, "test": 8}


def test_an_npz_file_is_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.npz"
    np.savez(path, image=np.array([Trap()] * NUM, dtype=object))
    with pytest.raises(DataError, match=r"trap.npz: cannot be read as arrays: Object arrays"):
        load(Data(str(path)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("field", "twin"),
    [
        ("image", "train_image"),
        ("label", "train_label"),
        ("age", "train_age"),
        ("train_image", "image"),
    ],
)
def test_a_field_that_an_npz_file_has_twice_is_named(field, twin, tmp_path):
    path = tmp_path / "x.npz"
    given = {"image": BYTES, "label": LABELS, field: LABELS, twin: LABELS}
    given |= {name: BYTES for name in given if name.endswith("image")}
    np.savez(path, **given)
    with pytest.raises(DataError, match=r"got both '\w+' and 'train_\w+'") as caught:
        load.__wrapped__(Data(str(path)))
    assert len(str(caught.value).splitlines()) == 2


def test_what_is_no_npz_file_of_examples_is_named(tmp_path):
    path = tmp_path / "my.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"my.npz: cannot be read as arrays"):
        load.__wrapped__(Data(str(path)))
    np.savez(path, x_train=BYTES)
    with pytest.raises(DataError, match=r"got x_train, expected 'image'"):
        load.__wrapped__(Data(str(path)))
    np.savez(path, image=BYTES)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match=r"my.npz: cannot be read as arrays"):
        load.__wrapped__(Data(str(path)))
    with pytest.raises(ConfigError, match=r"--data.image-size 8 is for folders"):
        load.__wrapped__(Data(str(path), image_size=8))
