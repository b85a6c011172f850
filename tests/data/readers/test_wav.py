"""Sound files: samples, pieces, splits and classes, the first bad file named, and out again."""

import io
import struct
import wave

import numpy as np
import pytest
from PIL import Image

from jaxgen.data import Data, load
from jaxgen.data import split as split_module
from jaxgen.data.readers.folder import part_of
from jaxgen.data.readers.mu_law import mu_law_decode, mu_law_encode
from jaxgen.data.readers.wav import PAUSE, encode
from jaxgen.errors import ConfigError, DataError

RATE, LENGTH = 8000, 32


def save(path, samples, rate=RATE, width=2):
    """Writes int16 [n] or [n, channels]; with another width, as many zero bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.asarray(samples, "<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes() if width == 2 else bytes(width * samples.size))


def sound(number, num=3 * LENGTH + 5):
    """Samples that tell file and place."""
    return (100 * number + np.arange(num)).astype(np.int16)


def write_classes(root, num=40):
    for i in range(num):
        save(root / "ab"[i % 2] / f"{i:03d}.wav", sound(i))


def opened(path, **flags):
    return load.__wrapped__(Data(str(path), transform="levels", **{"length": LENGTH, **flags}))


def test_pieces_keep_samples_classes_and_splits(tmp_path):
    write_classes(tmp_path)
    data = opened(tmp_path)
    assert (data.shape, data.levels, data.num_classes) == ((LENGTH,), 256, 2)
    assert (data.sample_rate, data.context_shape) == (RATE, None)
    expected = {}
    for i in range(40):
        part, codes = part_of(f"{'ab'[i % 2]}/{i:03d}.wav"), mu_law_encode(sound(i) / 32768)
        pieces = codes[: 3 * LENGTH].reshape(3, LENGTH)
        expected.setdefault(part, []).extend((i % 2, piece.tobytes()) for piece in pieces)
    for name, split in data.splits.items():
        arrays = split.resident
        found = [(y, x.tobytes()) for y, x in zip(arrays["label"], arrays["image"], strict=True)]
        assert sorted(found) == sorted(expected[name])


def test_stereo_is_averaged(tmp_path):
    left, right = sound(3, 400), sound(90, 400)
    save(tmp_path / "both.wav", np.stack([left, right], axis=1))
    x = opened(tmp_path / "both.wav").splits["train"].resident["image"]
    expected = mu_law_encode((left.astype(float) + right) / 2 / 32768)
    np.testing.assert_array_equal(x.ravel(), expected[: x.size])


def test_the_loudest_samples_are_the_outermost_codes(tmp_path):
    save(tmp_path / "loud.wav", np.tile([-32768, 0, 32767], 400))
    x = opened(tmp_path / "loud.wav").splits["train"].resident["image"]
    assert np.unique(x).tolist() == [0, 128, 255]


def test_a_single_file_is_divided_at_random_and_by_old_rules_in_its_own_order(tmp_path):
    save(tmp_path / "ONE.WAV", sound(0, 20 * LENGTH + 7))
    drawn = opened(tmp_path / "ONE.WAV").splits
    assert [drawn[s].num for s in ("train", "validation", "test")] == [16, 2, 2]
    data = opened(tmp_path / "ONE.WAV", rules=1)
    pieces = [{x.tobytes() for x in s.resident["image"]} for s in data.splits.values()]
    mixed = [{x.tobytes() for x in s.resident["image"]} for s in drawn.values()]
    assert set.union(*pieces) == set.union(*mixed)
    assert pieces != mixed
    assert [data.splits[s].num for s in ("train", "validation", "test")] == [16, 2, 2]
    assert data.num_classes is None
    everything = np.concatenate([s.resident["image"].ravel() for s in data.splits.values()])
    expected = mu_law_encode(sound(0, 20 * LENGTH) / 32768)
    np.testing.assert_array_equal(everything, expected)
    both = opened(tmp_path / "ONE.WAV", train_on="train+validation")
    assert both.splits["train"].num == 18


def test_the_length_of_a_piece_is_a_flag(tmp_path):
    save(tmp_path / "one.wav", sound(0, 30_000))
    assert opened(tmp_path / "one.wav", length=100).shape == (100,)
    assert opened(tmp_path / "one.wav", length=None).shape == (2048,)
    with pytest.raises(ConfigError, match=r"--data.length 0: must be at least 1"):
        Data(str(tmp_path), length=0)


def test_a_large_folder_is_read_batch_by_batch(tmp_path, monkeypatch):
    write_classes(tmp_path)
    whole = opened(tmp_path)
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 100)
    lazy = opened(tmp_path)
    assert lazy.splits["train"].resident is None
    for name, split in whole.splits.items():
        a, b = split.batch(1, 2, 9), lazy.splits[name].batch(1, 2, 9)
        for field in a:
            np.testing.assert_array_equal(a[field], b[field])
    assert lazy.record() == opened(tmp_path).record()


def damaged(path, case):
    """A file that is wrong in one way."""
    save(path, sound(1))
    content = path.read_bytes()
    match case:
        case "rate":
            save(path, sound(1), rate=44100)
        case "64 bits":
            path.write_bytes(content[:32] + struct.pack("<HH", 8, 64) + content[36:])
        case "short":
            save(path, sound(1, LENGTH - 1))
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"This is not sound. " * 10)
        case "header alone":
            path.write_bytes(content[:44])
        case "truncated":
            path.write_bytes(content[:-150])
        case "float":  # format 3
            path.write_bytes(content[:20] + struct.pack("<H", 3) + content[22:])


BAD = {
    "rate": ["'sampling rate'", "got 44100 Hz", "expected 8000 Hz"],
    "64 bits": ["'bits of a sample'", "got 64", "8, 16, 24 or 32"],
    "short": ["'samples'", "got 31", "at least 32", "--data.length"],
    "empty": ["cannot be read"],
    "text": ["cannot be read", "RIFF"],
    "header alone": ["'samples'", "got 0 before the file ends", "expected 101"],
    "truncated": ["'samples'", "before the file ends", "expected 101"],
    "float": ["'bits of a sample'", "got 16", "floating-point"],
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_file_is_named(tmp_path, case):
    write_classes(tmp_path)
    damaged(tmp_path / "b" / "500.wav", case)
    assert_error(tmp_path, "500.wav", *BAD[case])


def test_a_file_beside_the_classes_and_too_few_files_are_named(tmp_path):
    save(tmp_path / "a" / "0.wav", sound(0))
    assert_error(tmp_path, "split", "empty", "1 files")
    save(tmp_path / "stray.wav", sound(0))
    assert_error(tmp_path, "stray.wav", "sub-folders")


def test_the_kind_of_which_there_are_more_decides(tmp_path, capsys):
    for i in range(40):
        save(tmp_path / "sounds" / f"{i}.wav", sound(i))
        Image.new("L", (4, 4)).save(tmp_path / f"{i}.png")
    Image.new("L", (4, 4)).save(tmp_path / "sounds" / "cover.png")
    assert opened(tmp_path / "sounds").sample_rate == RATE
    assert "40 sounds; skipped 1 of other kinds (.png 1)" in capsys.readouterr().err
    for path in sorted((tmp_path / "sounds").iterdir())[1:]:
        path.rename(tmp_path / f"only{path.suffix}")
    (tmp_path / "sounds" / "0.wav").unlink()
    assert opened(tmp_path, length=None).sample_rate is None
    assert (
        "41 images; skipped 1 empty folders, 1 of other kinds (.wav 1)" in capsys.readouterr().err
    )


def test_sounds_have_classes_by_name_and_folders_of_splits(tmp_path):
    for i in range(24):
        split = ("train", "val", "test")[i % 3]
        save(tmp_path / split / ("dog10", "dog9")[i % 2] / f"{i}.wav", sound(i))
    data = opened(tmp_path)
    assert data.class_names == ("dog9", "dog10")
    assert {name: split.num for name, split in data.splits.items()} == dict.fromkeys(
        ("train", "validation", "test"), 24
    )


def test_flags_of_other_sets_are_refused(tmp_path):
    write_classes(tmp_path)
    with pytest.raises(ConfigError, match="image-size"):
        opened(tmp_path, image_size=8)
    with pytest.raises(ConfigError, match=r"--data.length 32 is for WAV files"):
        opened("digits")


def test_what_is_written_is_read_back(tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (20, 640))
    (tmp_path / "out.wav").write_bytes(encode(codes, 256, RATE))
    data = opened(tmp_path / "out.wav", length=640 + int(PAUSE * RATE), rules=1)
    found = np.concatenate([split.resident["image"] for split in data.splits.values()])
    np.testing.assert_array_equal(found[:, :640], codes)
    assert (found[:, 640:] == 128).all()


@pytest.mark.parametrize("levels", [16, 256])
def test_the_written_file_is_16_bit_mono_sound(levels):
    codes = np.arange(levels).reshape(2, -1)
    with wave.open(io.BytesIO(encode(codes, levels, 16000)), "rb") as written:
        form = written.getparams()
        samples = np.frombuffer(written.readframes(form.nframes), "<i2").reshape(2, -1)
    assert (form.nchannels, form.sampwidth, form.framerate) == (1, 2, 16000)
    expected = mu_law_decode(codes, levels)
    np.testing.assert_allclose(samples[:, : levels // 2] / 32767, expected, atol=2e-5)
    assert not samples[:, levels // 2 :].any()
    assert samples.shape[1] == levels // 2 + 4000


def assert_error(path, *words):
    with pytest.raises(DataError) as caught:
        opened(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
