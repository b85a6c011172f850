"""IDX files: read exactly, cut as documented, and every kind of damage named."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.errors import DataError

FASHION = Path("/usr/share/datasets/fashion-mnist")


def encode(array):
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


def write_folder(folder, num_train=40, num_test=10, suffix=".gz"):
    """Four files of random images 3 x 5 and labels 0..2; the train and test images."""
    rng, written = np.random.default_rng(0), {}
    for prefix, num in (("train", num_train), ("t10k", num_test)):
        images = rng.integers(0, 256, (num, 3, 5), dtype=np.uint8)
        labels = np.arange(num, dtype=np.uint8) % 3
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = encode(array)
            content = gzip.compress(content) if suffix else content
            (folder / f"{prefix}-{kind}-ubyte{suffix}").write_bytes(content)
        written[prefix] = images
    return written


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_is_read_exactly_and_by_old_rules_cut_in_order(tmp_path, suffix):
    written = write_folder(tmp_path, suffix=suffix)
    data = load(Data(name=str(tmp_path), rules=1))
    assert (data.shape, data.levels, data.num_classes) == ((3, 5, 1), 256, 3)
    assert data.threshold == 128
    images = {name: s.resident["image"][..., 0] for name, s in data.splits.items()}
    np.testing.assert_array_equal(images["train"], written["train"][:36])
    np.testing.assert_array_equal(images["validation"], written["train"][36:])
    np.testing.assert_array_equal(images["test"], written["t10k"])
    np.testing.assert_array_equal(
        data.splits["validation"].resident["label"], np.arange(36, 40) % 3
    )


def test_train_on_both_is_the_whole_train_file(tmp_path):
    written = write_folder(tmp_path)
    data = load(Data(name=str(tmp_path), train_on="train+validation"))
    images = data.splits["train"].resident["image"][..., 0]
    assert {x.tobytes() for x in images} == {x.tobytes() for x in written["train"]}
    assert len(images) == 40


def test_one_file_is_cut_into_eight_one_one(tmp_path):
    images = write_folder(tmp_path, num_train=57)["train"]
    for rules in (1, 2):
        data = load(Data(name=str(tmp_path / "train-images-idx3-ubyte.gz"), rules=rules))
        assert data.num_classes is None
        parts = [data.splits[s].resident["image"][..., 0] for s in ("train", "validation", "test")]
        assert [len(part) for part in parts] == [47, 5, 5]
        everything = np.concatenate(parts)
        assert {x.tobytes() for x in everything} == {x.tobytes() for x in images}
        assert np.array_equal(everything, images) == (rules == 1)


def damage_magic(content):
    return b"\x00\x00\x0d\x03" + content[4:]


DAMAGE = {
    "truncated": (lambda c: c[:-7], ["got 609 bytes", "expected 616"]),
    "too long": (lambda c: c + b"\x00", ["got 617 bytes", "expected 616"]),
    "header only": (lambda c: c[:9], ["got 9 bytes"]),
    "nothing": (lambda c: b"", ["magic number"]),
    "float type": (damage_magic, ["0x00000d03", "0x00000803"]),
}


@pytest.mark.parametrize("case", list(DAMAGE))
def test_a_damaged_file_is_named(tmp_path, case):
    write_folder(tmp_path, suffix="")
    path = tmp_path / "train-images-idx3-ubyte"
    change, words = DAMAGE[case]
    path.write_bytes(change(path.read_bytes()))
    for word in words:
        assert_error(tmp_path, path.name, word)


def test_a_truncated_gzip_is_named(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert_error(tmp_path, path.name, "cannot be read")


def test_missing_and_mismatched_labels_are_named(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(encode(np.zeros(39, np.uint8))))
    assert_error(tmp_path, path.name, "got 39 labels, expected 40")
    path.unlink()
    assert_error(tmp_path, "train-labels", "got none, expected one file")


def test_test_images_of_another_size_are_named(tmp_path):
    write_folder(tmp_path)
    images = np.zeros((10, 4, 4), np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(encode(images)))
    assert_error(tmp_path, "(4, 4, 1)", "(3, 5, 1)")


def test_too_few_images_for_a_split_are_named(tmp_path):
    write_folder(tmp_path, num_train=9)
    assert_error(tmp_path, "split 'validation'", "empty")


LAYOUTS = {
    "torch": "MNIST/raw/{part}-{kind}-{form}-ubyte",
    "emnist": "emnist-letters-{part}-{kind}-{form}-ubyte",
    "dots": "{part}-{kind}.{form}-ubyte",
    "doubled": "{part}-{kind}-{form}-ubyte/{part}-{kind}-{form}-ubyte",
    "gzip": "gzip/emnist-digits-{part}-{kind}-{form}-ubyte.gz",
    "capitals": "Train/{part}-{kind}-{form}-ubyte",
}


@pytest.mark.parametrize("test", ["test", "t10k", "T10K"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_names_of_well_known_archives_are_known(tmp_path, layout, test):
    written = write_folder(tmp_path, suffix="")
    for path in sorted(tmp_path.iterdir()):
        part, kind, form, _ = path.name.split("-")
        part = test if part == "t10k" else part
        name = LAYOUTS[layout].format(part=part, kind=kind, form=form)
        content = path.read_bytes()
        path.unlink()
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(content) if name.endswith(".gz") else content
        (tmp_path / "set" / name).write_bytes(packed)
    data = load.__wrapped__(Data(name=str(tmp_path / "set")))
    images = data.splits["test"].resident["image"][..., 0]
    np.testing.assert_array_equal(images, written["t10k"])
    assert data.splits["train"].num == 36


def test_unpacked_beside_gzipped_is_one_file_if_they_are_equal(tmp_path, capsys):
    write_folder(tmp_path, suffix=".gz")
    written = write_folder(tmp_path, suffix="")
    data = load.__wrapped__(Data(name=str(tmp_path)))
    np.testing.assert_array_equal(data.splits["test"].resident["image"][..., 0], written["t10k"])
    assert "lie there 2 times, all equal" in capsys.readouterr().err
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert_error(tmp_path, "train-images-idx3-ubyte and train-images-idx3-ubyte.gz", "differ")


def test_what_is_gzipped_is_told_by_its_bytes(tmp_path):
    write_folder(tmp_path, suffix=".gz")
    for path in sorted(tmp_path.iterdir())[:2]:
        path.rename(path.with_suffix(""))  # gzipped, and does not say so
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))  # says so, and is not
    assert load.__wrapped__(Data(name=str(tmp_path))).splits["train"].num == 36


def test_several_sets_in_one_folder_are_named(tmp_path):
    write_folder(tmp_path)
    for path in list(tmp_path.iterdir()):
        (tmp_path / f"emnist-balanced-{path.name}").write_bytes(path.read_bytes())
        path.rename(tmp_path / f"emnist-letters-{path.name}")
    assert_error(tmp_path, "2 sets", "emnist-balanced", "emnist-letters")


def test_two_sets_of_the_same_names_are_told_by_their_content(tmp_path):
    for name in ("MNIST", "FashionMNIST"):
        (tmp_path / name / "raw").mkdir(parents=True)
        write_folder(tmp_path / name / "raw", num_train=20 if name == "MNIST" else 30)
    assert_error(tmp_path, "FashionMNIST/raw/train-images", "MNIST/raw/train-images", "differ")


def test_labels_of_another_form_are_named(tmp_path):
    write_folder(tmp_path, suffix="")
    path = tmp_path / "train-labels-idx1-ubyte"
    path.rename(tmp_path / "train-labels-idx2-int")  # as those of QMNIST
    assert_error(tmp_path, "got none", "train-labels-idx1-ubyte")
    path.write_bytes(struct.pack(">I2I", 0x0C02, 40, 8) + bytes(40 * 8 * 4))
    assert_error(tmp_path, "0x00000c02", "0x00000801")


@pytest.mark.skipif(not FASHION.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian():
    data = load(Data(name=str(FASHION)))
    sizes = {name: s.num for name, s in data.splits.items()}
    assert sizes == {"train": 54000, "validation": 6000, "test": 10000}
    assert (data.shape, data.num_classes) == ((28, 28, 1), 10)
    counts = np.bincount(data.splits["test"].resident["label"])
    assert counts.tolist() == [1000] * 10
    assert data.splits["test"].resident["image"].mean() == pytest.approx(73.146, abs=1e-2)


def assert_error(path, *words):
    with pytest.raises(DataError) as caught:
        load(Data(name=str(path)))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
