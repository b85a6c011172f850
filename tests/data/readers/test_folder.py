"""Folders of images: stable splits, classes by sub-folder, and the first odd file named."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from jaxgen.console import printable
from jaxgen.data import Data, load
from jaxgen.data import split as split_module
from jaxgen.data.readers.folder import natural, part_of, renumbered
from jaxgen.errors import DataError


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_classes(root, num=60, shape=(4, 6)):
    """Images of classes a and b whose every pixel is the image's number."""
    for i in range(num):
        save(root / "ab"[i % 2] / f"{i:03d}.png", np.full(shape, i, np.uint8))


def test_images_keep_pixels_classes_and_splits(tmp_path):
    write_classes(tmp_path)
    data = load(Data(name=str(tmp_path)))
    assert (data.shape, data.levels, data.num_classes) == ((4, 6, 1), 256, 2)
    seen = []
    for name, split in data.splits.items():
        for image, label in zip(*(split.resident[f] for f in ("image", "label")), strict=True):
            i = int(image[0, 0, 0])
            assert (image == i).all()
            assert label == i % 2
            assert part_of(f"{'ab'[i % 2]}/{i:03d}.png") == name
            seen.append(i)
    assert sorted(seen) == list(range(60))


def test_an_image_stays_in_its_split_when_others_are_added(tmp_path):
    write_classes(tmp_path, num=60)
    few = load.__wrapped__(Data(name=str(tmp_path)))
    write_classes(tmp_path, num=120)
    many = load.__wrapped__(Data(name=str(tmp_path)))
    for name in few.splits:
        before, after = (
            set(data.splits[name].resident["image"][:, 0, 0, 0].tolist()) for data in (few, many)
        )
        assert before <= after
        assert after - before <= set(range(60, 120))


def test_the_hash_sends_eight_one_and_one_in_ten():
    parts = [part_of(f"class/{i}.png") for i in range(5000)]
    shares = [parts.count(name) / 5000 for name in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.02)


def test_the_hash_is_pinned_so_that_no_image_changes_its_split():
    parts = [part_of(f"cat/{i}.png") for i in range(60)]
    assert [i for i in range(60) if parts[i] == "validation"] == [30, 33, 34]
    assert [i for i in range(60) if parts[i] == "test"] == [10, 25, 43, 56, 59]


def test_a_flat_folder_of_colour_images_has_no_labels(tmp_path):
    for i in range(40):
        save(tmp_path / f"{i}.png", np.full((3, 3, 3), (i, 2 * i, 7), np.uint8))
    data = load(Data(name=str(tmp_path)))
    assert (data.shape, data.num_classes) == ((3, 3, 3), None)
    batch = data.splits["train"].batch(0, 0, 8)
    assert set(batch) == {"image"}
    np.testing.assert_array_equal(batch["image"][..., 1], 2 * batch["image"][..., 0])
    assert (batch["image"][..., 2] == 7).all()


def test_image_size_crops_the_central_square(tmp_path):
    image = np.zeros((4, 12), np.uint8)
    image[:, 4:8] = 200  # the central square is all 200, its surroundings black
    for i in range(40):
        save(tmp_path / f"{i}.png", image if i else image.T.copy())
    data = load(Data(name=str(tmp_path), image_size=2))
    assert data.shape == (2, 2, 1)
    for split in data.splits.values():
        assert (split.resident["image"] == 200).all()
    assert data.record()["image_size"] == 2


def test_a_large_folder_is_read_batch_by_batch(tmp_path, monkeypatch):
    write_classes(tmp_path)
    whole = load(Data(name=str(tmp_path)))
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 100)
    lazy = load.__wrapped__(Data(name=str(tmp_path)))
    assert lazy.splits["train"].resident is None
    for name, split in whole.splits.items():
        a, b = split.batch(1, 2, 9), lazy.splits[name].batch(1, 2, 9)
        for field in a:
            np.testing.assert_array_equal(a[field], b[field])


GREY, COLOUR = np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3), np.uint8)
ODD = {
    "size": (np.zeros((5, 6), np.uint8), ["6 x 5", "6 x 4", "--data.image-size"]),
    "colour": (COLOUR, ["RGB", "grey"]),
    "alpha": (np.zeros((4, 6, 4), np.uint8), ["RGBA", "expected L (grey) or RGB"]),
}


@pytest.mark.parametrize("case", list(ODD))
def test_the_first_odd_image_is_named(tmp_path, case):
    write_classes(tmp_path)
    odd, words = ODD[case]
    save(tmp_path / "a" / "500.png", odd)
    save(tmp_path / "b" / "501.png", odd)
    assert_error(tmp_path, "500.png", *words)


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.6])
def test_an_unreadable_image_is_named(tmp_path, keep):
    write_classes(tmp_path, shape=(30, 30))
    path = tmp_path / "a" / "000.png"
    save(path, np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    assert_error(tmp_path, "000.png", "cannot be read as an image")


def test_an_image_beside_the_classes_is_named(tmp_path):
    write_classes(tmp_path)
    save(tmp_path / "stray.png", GREY)
    assert_error(tmp_path, "stray.png", "sub-folders")


def test_a_folder_without_images_and_one_with_too_few_are_named(tmp_path):
    assert_error(tmp_path, str(tmp_path), "no images")
    save(tmp_path / "a" / "000.png", GREY)
    assert_error(tmp_path, "split", "empty")


def opened(path):
    return load.__wrapped__(Data(name=str(path)))


def numbers(data, split):
    """Return the pixels of the images of a split, each of one grey: its number."""
    return sorted(data.splits[split].resident["image"][:, 0, 0, 0].tolist())


def test_classes_are_numbered_in_natural_order_and_named(tmp_path):
    for i in range(12 * 20):
        save(tmp_path / str(i % 12) / f"{i}.png", np.full((2, 2), i, np.uint8))
    data = opened(tmp_path)
    assert data.class_names == tuple(map(str, range(12)))
    assert data.record()["class_names"] == list(data.class_names)
    train = data.splits["train"].resident
    np.testing.assert_array_equal(train["image"][:, 0, 0, 0] % 12, train["label"])


@pytest.mark.parametrize(
    "names",
    [
        ["1", "2", "10"],
        ["class2", "class10", "class10b", "other"],
        ["n1_2", "n1_10", "n2_1"],
        ["", "01", "1", "2"],
        ["A", "a", "b"],
        ["v1.9", "v1.10"],
        ["٣", "10"],  # digits of other scripts are digits
    ],
)
def test_numbers_in_names_count_as_numbers(names):
    mixed = names[::-1]
    assert sorted(mixed, key=natural) == names


def test_the_hash_of_a_large_folder_tells_of_other_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    for i in range(60):
        save(tmp_path / "a" / ("2", "10")[i % 2] / f"{i:03d}.png", GREY)
        save(tmp_path / "b" / ("2", "3")[i % 2] / f"{i:03d}.png", GREY)
    assert renumbered(("2", "10")) == [["2", "10"]]
    assert renumbered(("2", "3")) == renumbered(None) == []
    assert opened(tmp_path / "a").class_names == ("2", "10")


LAYOUTS = {
    "splits first": ("{split}/{label}/{i}.png", ("train", "val", "test")),
    "capitals": ("{split}/{label}/{i}.png", ("Train", "VALID", "Testing")),
    "other words": ("{split}/{label}/{i}.png", ("training", "validation", "evaluation")),
    "classes first": ("{label}/{split}/{i}.png", ("train", "dev", "test")),
    "a folder around": ("pets/{split}/{label}/{i}.png", ("train", "val", "test")),
    "years": ("{split}/{label}/{i}.png", ("train2017", "val2017", "test2017")),
    "images": ("{split}/{label}/{i}.png", ("train_images", "val_images", "test_images")),
    "sets": ("{split}/{label}/{i}.png", ("training_set", "validationset", "test-set")),
    "inside": ("{label}/{split}/{i}.png", ("Train Data", "val_imgs2017", "eval_split")),
    "deeper": ("{split}/{label}/more/{i}.png", ("train", "valid", "test")),
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_folders_of_splits_are_the_splits(tmp_path, layout):
    pattern, names = LAYOUTS[layout]
    for i in range(30):
        place = pattern.format(split=names[i % 3], label=("dog", "cat")[i % 2], i=i)
        save(tmp_path / place, np.full((2, 2), i, np.uint8))
    data = opened(tmp_path)
    assert data.class_names == ("cat", "dog")
    for number, split in enumerate(("train", "validation", "test")):
        assert numbers(data, split) == list(range(number, 30, 3))
        arrays = data.splits[split].resident
        np.testing.assert_array_equal(arrays["label"], 1 - arrays["image"][:, 0, 0, 0] % 2)


@pytest.mark.parametrize("held_out", [["val"], ["test"], []])
def test_a_split_without_a_folder_is_cut_off_train(tmp_path, held_out):
    for i in range(100):
        save(tmp_path / "train" / f"{i}.png", np.full((2, 2), i, np.uint8))
    for name in held_out:
        save(tmp_path / name / "200.png", np.full((2, 2), 200, np.uint8))
    data = opened(tmp_path)
    assert data.num_classes is None
    given = {"val": "validation", "test": "test"}
    for name in held_out:
        assert numbers(data, given[name]) == [200]
    everything = [number for split in data.splits for number in numbers(data, split)]
    assert sorted(everything) == [*range(100), *[200] * len(held_out)]


def test_train_on_both_takes_the_folder_of_validation_along(tmp_path):
    for i in range(30):
        save(tmp_path / ("train", "val", "test")[i % 3] / f"{i}.png", np.full((2, 2), i, np.uint8))
    data = load.__wrapped__(Data(name=str(tmp_path), train_on="train+validation"))
    assert numbers(data, "train") == [i for i in range(30) if i % 3 < 2]


def test_splits_that_are_no_splits_are_classes_or_refused(tmp_path, capsys):
    for i in range(60):
        save(tmp_path / "a" / ("bus", "car", "train")[i % 3] / f"{i}.png", GREY)
        save(tmp_path / "b" / ("train", "test", "extra")[i % 3] / f"{i}.png", GREY)
        save(tmp_path / "c" / ("val", "test")[i % 2] / f"{i}.png", GREY)
        save(tmp_path / "d" / ("train/cat", "test")[i % 2] / f"{i}.png", GREY)
    assert opened(tmp_path / "a").class_names == ("bus", "car", "train")
    assert "'train' lies beside other folders" in capsys.readouterr().err
    assert_error(tmp_path / "b", "test, train", "extra")
    assert_error(tmp_path / "c", "none for train", "test, validation")
    assert_error(tmp_path / "d", "d/test", "lies beside sub-folders")


def test_a_linked_class_is_a_class_and_a_circle_ends(tmp_path, capsys):
    write_classes(tmp_path / "far", num=60)
    near = tmp_path / "near"
    save(near / "c" / "0.png", np.full((4, 6), 99, np.uint8))
    (near / "a").symlink_to(tmp_path / "far" / "a")
    (near / "b").symlink_to(tmp_path / "far" / "b", target_is_directory=True)
    (near / "c" / "around").symlink_to(near)
    (near / "c" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (near / "c" / "one.png").symlink_to(tmp_path / "far" / "a" / "000.png")
    data = opened(near)
    assert data.class_names == ("a", "b", "c")
    assert sum(split.num for split in data.splits.values()) == 62
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for words in ("62 images", "1 broken links", "1 links that lead back up"):
        assert words in said


def test_what_is_hidden_or_no_image_is_left_out_and_counted(tmp_path, capsys):
    write_classes(tmp_path, num=60)
    for name in (".ipynb_checkpoints", ".thumbnails", "__MACOSX", "@eaDir", "a/.hidden"):
        save(tmp_path / name / "x.png", COLOUR)
    for name in ("a/._000.png", ".DS_Store", "Thumbs.db", "a/desktop.ini"):
        (tmp_path / name).write_bytes(b"no image")
    for name in ("a/notes.txt", "README", "b/x.wav", "labels.csv"):
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "a" / "folder.png").mkdir()
    data = opened(tmp_path)
    assert data.class_names == ("a", "b")
    said = capsys.readouterr().err
    assert "60 images; skipped 9 hidden, 1 empty folders, 4 of other kinds (" in said
    assert ".txt 1" in said
    assert "no suffix 1" in said


@pytest.mark.parametrize("empty", [("c",), ("c", "d/e"), ("a/inside", "z")])
def test_folders_without_a_file_are_no_classes_and_counted(tmp_path, capsys, empty):
    write_classes(tmp_path, num=60)
    for name in empty:
        (tmp_path / name).mkdir(parents=True)
    assert opened(tmp_path).class_names == ("a", "b")
    assert f"60 images; skipped {len(empty)} empty folders" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["retrain", "trainer", "contest", "set", "images", "validated"])
def test_a_class_that_only_sounds_like_a_split_is_a_class(tmp_path, name):
    write_classes(tmp_path, num=60)
    (tmp_path / "a").rename(tmp_path / name)
    assert set(opened(tmp_path).class_names) == {name, "b"}


def test_a_clean_folder_needs_no_line(tmp_path, capsys):
    write_classes(tmp_path)
    opened(tmp_path)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".PNG", ".pbm", ".tga"])
def test_other_suffixes_that_pillow_reads_are_read(tmp_path, suffix):
    for i in range(40):
        path = tmp_path / f"{i}{suffix}"
        Image.fromarray(GREY).save(path, format="TGA" if suffix == ".tga" else "JPEG")
    assert sum(split.num for split in opened(tmp_path).splits.values()) == 40


def test_an_upright_photograph_keeps_its_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(40):
        image = Image.fromarray(GREY if i % 2 else GREY.T.copy())
        image.save(tmp_path / f"{i}.png", **({} if i % 2 else {"exif": exif}))
    assert opened(tmp_path).shape == (4, 6, 1)


def test_a_run_of_before_reads_its_folder_as_it_was_read(tmp_path, capsys):
    """Classes in the order of text, hidden ones too; no folder is a split, and no image turned."""
    exif = Image.Exif()
    exif[0x0112] = 3
    classes = [".hidden", "10", "2", "test", "train"]
    for i in range(100):
        path = tmp_path / classes[i % 5] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        image = np.full((2, 2), i, np.uint8)
        image[0, 0] = 255
        Image.fromarray(image).save(path, exif=exif)
    save(tmp_path / "2" / "x.jfif.png", np.full((2, 2), 200, np.uint8))
    (tmp_path / "2" / "x.jfif.png").rename(tmp_path / "2" / "x.jfif")
    (tmp_path / "link").symlink_to(tmp_path / "2")
    data = load.__wrapped__(Data(name=str(tmp_path), rules=1))
    assert "skipped" not in capsys.readouterr().err
    for name, split in data.splits.items():
        pairs = zip(*(split.resident[field] for field in ("image", "label")), strict=True)
        for image, label in pairs:
            i = int(image[1, 1, 0])
            assert image[0, 0, 0] == 255
            assert label == i % 5
            assert part_of(f"{classes[i % 5]}/{i}.png") == name
    assert sum(split.num for split in data.splits.values()) == 100


def test_names_of_any_bytes_are_read(tmp_path):
    root = os.fsencode(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    for name in (b"caf\xe9", b"\xff\xfe", "日本".encode(), b"a\nb", b"\x1b[31m"):
        os.mkdir(root + b"/" + name)
        for i in range(30):
            with open(root + b"/" + name + b"/\xe4%d.png" % i, "wb") as file:
                file.write(buffer.getvalue())
    data = opened(tmp_path)
    assert data.num_classes == 5
    assert sum(split.num for split in data.splits.values()) == 150
    assert json.loads(json.dumps(data.record())) == data.record()
    with open(root + b"/caf\xe9/\xff.png", "wb"):
        pass
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    assert r"caf\xe9/\xff.png" in printable(str(caught.value))


def assert_error(path, *words):
    with pytest.raises(DataError) as caught:
        load.__wrapped__(Data(name=str(path)))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
