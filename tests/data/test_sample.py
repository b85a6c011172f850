"""Some examples of a split stand for it, whatever order it lies in; so does what is held out."""

import struct
import wave

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import Data, Split, from_arrays, load, unpaired
from jaxgen.data import split as split_module

CLASSES, EACH = 10, 60
LABEL = np.repeat(np.arange(CLASSES), EACH).astype(np.int32)


def pictures(seed=0):
    """Images sorted by class, the first pixel of which is their class."""
    image = np.random.default_rng(seed).integers(0, 256, (len(LABEL), 2, 2), dtype=np.uint8)
    image[:, 0, 0] = LABEL
    return image


def in_order():
    return from_arrays({"image": pictures(), "label": LABEL})


def write_idx(folder):
    for prefix in ("train", "t10k"):
        content = struct.pack(">4I", 0x803, len(LABEL), 2, 2) + pictures().tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(content)
        content = struct.pack(">2I", 0x801, len(LABEL)) + LABEL.astype(np.uint8).tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(content)
    return folder


def write_folder(folder):
    for i, (image, label) in enumerate(zip(pictures(), LABEL, strict=True)):
        path = folder / f"class{label}" / f"{i:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def write_npz(folder):
    np.savez(folder / "x.npz", image=pictures(), label=LABEL)
    return folder / "x.npz"


FILES = {"idx": write_idx, "folder": write_folder, "npz": write_npz}


@pytest.mark.parametrize("kind", FILES)
def test_some_examples_of_files_in_order_are_of_all_classes(kind, tmp_path):
    data = load(Data(str(FILES[kind](tmp_path)), transform="unit"))
    for name in ("train", "validation", "test"):
        num = min(100, data.splits[name].num)
        counts = np.bincount(data.batch(name, num)["label"], minlength=CLASSES)
        assert (counts > 0).all(), (name, counts)
        assert counts.max() <= 4 * num / CLASSES


@pytest.mark.parametrize("kind", ["idx", "npz"])
def test_a_validation_split_that_is_cut_off_is_of_all_classes_and_disjoint(kind, tmp_path):
    data = load(Data(str(FILES[kind](tmp_path)), transform="unit"))
    parts = [data.splits[name] for name in ("train", "validation")]
    for split in parts:
        assert set(split.resident["label"].tolist()) == set(range(CLASSES))
    images = [{x.tobytes() for x in split.resident["image"]} for split in parts]
    assert not images[0] & images[1]
    again = load.__wrapped__(data.config)
    assert [s.sha256 for s in again.splits.values()] == [s.sha256 for s in data.splits.values()]


def test_the_one_file_of_images_and_of_sound_is_cut_at_random(tmp_path):
    content = struct.pack(">4I", 0x803, len(LABEL), 2, 2) + pictures().tobytes()
    (tmp_path / "x-idx3-ubyte").write_bytes(content)
    data = load(Data(str(tmp_path / "x-idx3-ubyte")))
    with wave.open(str(tmp_path / "x.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.linspace(-30000, 30000, 6000).astype("<i2").tobytes())
    heard = load(Data(str(tmp_path / "x.wav"), length=10, transform="levels"))
    for name in ("validation", "test"):
        assert len(set(data.splits[name].resident["image"][:, 0, 0, 0].tolist())) == CLASSES
        codes = heard.splits[name].resident["image"][:, 0]
        assert codes.min() < 30  # from the beginning to the end of the recording
        assert codes.max() > 225


def test_a_sample_is_the_beginning_of_a_larger_one_and_of_the_content_alone():
    split = in_order().splits["train"]
    few = split.sample(20)
    many = split.sample(200)
    for field in few:
        np.testing.assert_array_equal(few[field], many[field][:20])
    everything = split.sample(10**9)
    assert len(everything["image"]) == split.num
    assert sorted(x.tobytes() for x in everything["image"]) == sorted(
        x.tobytes() for x in split.resident["image"]
    )
    again = in_order().splits["train"].sample(20)
    np.testing.assert_array_equal(again["image"], few["image"])
    other = Split.of("train", {"image": pictures(1)}).order()
    assert not np.array_equal(Split.of("train", {"image": pictures()}).order(), other)


def test_all_examples_come_in_their_own_order_and_so_do_those_that_are_mixed_already():
    data = in_order()
    np.testing.assert_array_equal(data.batch("test")["label"], data.splits["test"].label)
    for name, transform in (("digits", "levels"), ("chain", "levels"), ("ring", "none")):
        mixed = load(Data(name, transform=transform))
        first = mixed.splits["test"].resident["image"][:50]
        np.testing.assert_array_equal(mixed.examples("test", 50), first)


def test_a_streamed_split_has_the_same_sample(monkeypatch):
    resident = in_order()
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    streamed = in_order()
    assert streamed.splits["train"].resident is None
    for field, expected in resident.batch("train", 30).items():
        np.testing.assert_array_equal(streamed.batch("train", 30)[field], expected)


def test_a_sample_of_a_large_split_reads_no_more_than_it_has():
    read = []

    def take(indices):
        read.append(len(indices))
        return {"image": indices[:, None]}

    split = Split("train", 10**6, "ab" * 32, take=take)
    found = split.sample(50)["image"]
    assert read == [50]
    assert found.max() > 9e5 > 1e5 > found.min()


def test_a_sample_of_two_sources_is_one_of_each():
    a = Split.of("train", {"image": np.arange(250, dtype=np.uint8)[:, None]})
    b = Split.of("train", {"image": np.arange(250, dtype=np.uint8)[::-1, None]})
    found = unpaired(a, b).sample(50)
    for field in ("image", "other"):
        assert len(set(found[field].ravel().tolist())) == 50
        assert 75 < found[field].mean() < 175


def test_labels_that_are_kept_are_those_of_a_sample(tmp_path):
    image = np.arange(250, dtype=np.uint8).reshape(-1, 1, 1)
    label = np.zeros(250, np.int32)
    label[125:] = 1
    np.savez(tmp_path / "x.npz", image=image, label=label, test_image=image, test_label=label)
    path = str(tmp_path / "x.npz")
    for rules, most in ((1, 30), (2, 250)):
        train = load(Data(path, labels=20, rules=rules)).splits["train"].resident
        kept = train["image"][train["label"] == 0].ravel()
        assert len(kept) == 10
        assert (kept.max() < 30) == (most == 30), kept


def test_by_old_rules_held_out_examples_are_the_last_ones(tmp_path):
    data = load(Data(str(write_idx(tmp_path)), rules=1))
    np.testing.assert_array_equal(data.splits["validation"].label, LABEL[-EACH:])
    assert "rules 1" in "".join(data.remarks)
    assert not load(Data(str(tmp_path))).remarks
