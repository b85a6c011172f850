"""Levels that the data show are read from them; what cannot be seen is asked for."""

import re

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import Data, from_arrays, levels, load, unpaired_datasets
from jaxgen.data import split as split_module
from jaxgen.errors import ConfigError, DataError

NUM = 200


def bytes_up_to(largest, seed=0, shape=(NUM, 3, 3)):
    image = np.random.default_rng(seed).integers(0, largest + 1, shape, dtype=np.uint8)
    image.flat[0] = largest
    return image


@pytest.mark.parametrize("transform", ["binarise", "unit", "binarise_stochastic", "symmetric"])
@pytest.mark.parametrize("largest", [1, 4, 15, 100])
def test_bytes_of_few_levels_fill_the_range(largest, transform):
    data = from_arrays(bytes_up_to(largest), transform=transform)
    assert data.levels == largest + 1
    x = data.examples("train")
    low, high = data.range
    assert (x.min(), x.max()) == (low, high)
    assert x.mean() == pytest.approx((low + high) / 2, abs=0.15 * (high - low))
    stored = data.splits["train"].resident["image"]
    if transform == "binarise":
        np.testing.assert_array_equal(x, stored >= (largest + 1) // 2)


@pytest.mark.parametrize("kind", ["npz", "idx", "folder"])
def test_binary_files_stay_binary(kind, tmp_path):
    image = (np.random.default_rng(0).random((NUM, 4, 4)) < 0.4).astype(np.uint8)
    path = tmp_path / "x"
    if kind == "npz":
        path = tmp_path / "x.npz"
        np.savez(path, image=image)
    elif kind == "idx":
        header = np.array([0x803, NUM, 4, 4], ">i4").tobytes()
        path.write_bytes(header + image.tobytes())
    else:
        path.mkdir()
        for i, x in enumerate(image):
            Image.fromarray(x).save(path / f"{i}.png")
    data = load(Data(str(path)))
    assert (data.levels, data.threshold) == (2, 1)
    assert data.examples("train").mean() == pytest.approx(0.4, abs=0.02)
    assert data.record()["levels_shown"] is True
    assert data.remarks == (
        f"{path}: no value is above 1, so a pixel has 2 levels; --data.levels says otherwise",
    )
    assert "values 0..1 by their looks" in data.protocol("test")
    before = load(Data(str(path), rules=1))
    assert before.levels == 256
    assert "levels_shown" not in before.record()


def test_levels_are_those_of_all_splits():
    few = bytes_up_to(3)
    for split in ("validation", "test"):
        data = from_arrays(few, **{split: bytes_up_to(9)})
        assert data.levels == 10
        assert data.range is not None
    whole = from_arrays(few, test=bytes_up_to(200))
    assert (whole.levels, whole.remarks, whole.threshold) == (256, (), 128)
    assert "levels_shown" not in whole.record()


def test_a_few_examples_do_not_settle_it(monkeypatch):
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    image = bytes_up_to(1)
    assert from_arrays(image).levels == 2
    image[-1, 2, 2] = 255
    data = from_arrays(image)
    assert data.splits["train"].resident is None
    assert data.levels == 256


def test_too_much_to_look_at_is_asked_for(monkeypatch):
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    monkeypatch.setattr(levels, "_MOST_BYTES", 500)
    with pytest.raises(ConfigError, match=r"no value above 7 .*too much to look at") as caught:
        from_arrays(bytes_up_to(7))
    assert "--data.levels 8, or 256" in str(caught.value)
    assert from_arrays(bytes_up_to(7), levels=16).levels == 16
    assert from_arrays(bytes_up_to(255)).levels == 256  # the first ones tell


def test_what_is_said_wins(tmp_path):
    np.savez(tmp_path / "x.npz", image=bytes_up_to(7))
    path = str(tmp_path / "x.npz")
    for given in (16, 256):
        data = load(Data(path, levels=given))
        assert (data.levels, data.remarks) == (given, ())
        assert "levels_shown" not in data.record()
    with pytest.raises(DataError, match=re.escape("got 7, expected 0..3")):
        load(Data(path, levels=4))
    with pytest.raises(ConfigError, match=r"--data.levels 1: must be 2 to 256"):
        Data(path, levels=1)
    with pytest.raises(ConfigError, match=r"--data.levels 4: 'digits' has 17"):
        load(Data("digits", levels=4))
    with pytest.raises(ConfigError, match=r"--data.levels 4: 'ring' is continuous"):
        load(Data("ring", transform="none", levels=4))
    assert load(Data("digits", levels=17)).levels == 17


def test_a_streamed_example_beyond_what_is_said_is_named(monkeypatch):
    image = bytes_up_to(7, shape=(NUM, 9))
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    split = levels.within_levels(split_module.Split.of("train", {"image": image}), 4, "x")
    bad = int(np.argmax((image >= 4).any(axis=1)))
    with pytest.raises(DataError, match=rf"x, split 'train', index {bad}, .*expected 0\.\.3"):
        split.take(np.arange(NUM))


def test_blank_images_and_real_numbers_have_no_levels_to_read():
    blank = from_arrays(np.zeros((20, 2, 2), np.uint8))
    assert (blank.levels, blank.remarks) == (256, ())
    real = from_arrays(bytes_up_to(1) / 1)
    assert (real.levels, real.config.transform) == (None, "none")
    assert from_arrays(bytes_up_to(1) > 0).record().get("levels_shown") is None


def test_both_images_of_an_example_count_and_two_sources_must_agree():
    both = from_arrays({"image": bytes_up_to(3), "other": bytes_up_to(6)})
    assert both.levels == 7
    with pytest.raises(ConfigError, match="levels: 4 in 'arrays', 8 in 'arrays'"):
        unpaired_datasets(from_arrays(bytes_up_to(3)), from_arrays(bytes_up_to(7)))


def test_bits_and_dequantisation_go_by_the_levels():
    data = from_arrays(bytes_up_to(3), transform="dequantise")
    x = data.examples("train")
    assert 0.9 < x.max() < 1
    assert data.bits_per_dim(0.0) == 2.0
