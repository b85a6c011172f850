"""Folders of images: stable splits, classes by sub-folder, and the first odd file named."""

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import Data, load
from jaxgen.data import split as split_module
from jaxgen.data.folder import part_of
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


def assert_error(path, *words):
    with pytest.raises(DataError) as caught:
        load.__wrapped__(Data(name=str(path)))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
