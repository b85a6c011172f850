"""The set `tones` and mu-law: what is said of a melody is what sounds, and its noise is known."""

import math

import hearing
import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.data.readers import tones
from jaxgen.data.readers.mu_law import mu_law_decode, mu_law_encode
from jaxgen.errors import ConfigError

ALL = np.arange(256, dtype=np.uint8)


@pytest.fixture(scope="module")
def melodies():
    return tones.draw(np.random.default_rng(0), 64)


def test_mu_law_codes_are_all_bytes_and_come_back_unchanged():
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(ALL)), ALL)
    assert mu_law_encode(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]
    assert mu_law_encode(np.array([-7.0, 7.0])).tolist() == [0, 255]
    assert (np.diff(mu_law_decode(ALL)) > 0).all()


@pytest.mark.parametrize("levels", [2, 3, 16, 255])
def test_mu_law_with_fewer_levels_comes_back_unchanged(levels):
    codes = np.arange(levels)
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(codes, levels), levels), codes)


def test_mu_law_is_finest_where_it_is_quiet():
    x = np.linspace(-1, 1, 200_001)
    error = np.abs(mu_law_decode(mu_law_encode(x)) - x)
    assert error.max() == pytest.approx(0.0216, abs=5e-5)
    assert 2.5e-4 < error[np.abs(x) < 0.01].max() < 3.5e-4


def test_mu_law_is_the_papers_formula():
    x = np.linspace(-1, 1, 501)
    f = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    np.testing.assert_array_equal(mu_law_encode(x), np.floor((f + 1) / 2 * 255 + 0.5))


def notes(melodies, i):
    """(first sample, end, frame) of each note of example i, by its context alone."""
    since = melodies["context"][i, :, -2]
    first = np.flatnonzero(since == 0)
    ends = np.append(first[1:], len(since))
    return [(a * tones.FRAME, b * tones.FRAME, a) for a, b in zip(first, ends, strict=True)]


def test_the_note_and_the_instrument_that_sound_are_those_that_are_stated(melodies):
    sounds, count = mu_law_decode(melodies["image"]), 0
    for i, label in enumerate(melodies["label"]):
        for begin, end, frame in notes(melodies, i):
            stated = int(np.argmax(melodies["context"][i, frame, :8]))
            assert hearing.heard(sounds[i, begin:end]) == (stated, label)
            count += 1
    assert 64 < count < 256


@pytest.mark.parametrize("timbre", range(4))
def test_harmonics_have_the_stated_frequencies_and_amplitudes(timbre):
    one = np.ones((1, 4))
    held = np.array([[True, False, False, False]])
    for pitch, f in enumerate(tones.PITCHES):
        sound = tones.sound(np.array([timbre]), pitch * one.astype(int), held, 0.5 * one, 0 * one)
        spectrum = np.abs(np.fft.rfft(np.hanning(2048) * sound[0], 2**16))
        amplitudes = np.array([spectrum[round(k * f * 2**16 / 8000)] for k in range(1, 7)])
        expected = np.array(list(tones.TIMBRES.values())[timbre])
        np.testing.assert_allclose(
            amplitudes / max(amplitudes), expected / max(expected), atol=0.02
        )
    assert [round(f, 1) for f in tones.PITCHES[::5]] == [261.6, 440.0]


def test_the_context_tells_since_when_and_for_how_long():
    pitch, struck = np.array([[3, 0, 5, 1, 1]]), np.array([[False, False, True, True, False]])
    context = tones.context(pitch, struck)[0]  # of five slots: any number will do
    assert context.shape == (20, 10)
    np.testing.assert_array_equal(context[:, :8].argmax(axis=1), [3] * 8 + [5] * 4 + [1] * 8)
    np.testing.assert_array_equal(context[:, :8].sum(axis=1), 1)
    np.testing.assert_array_equal(16 * context[:, 8], [*range(8), *range(4), *range(8)])
    left = [*range(8, 0, -1), *range(4, 0, -1), *range(8, 0, -1)]
    np.testing.assert_array_equal(16 * context[:, 9], left)


def test_the_noise_has_the_stated_entropy():
    rng = np.random.default_rng(5)
    state = rng.bit_generator.state
    image = tones.draw(rng, 200)["image"].astype(int)
    rng.bit_generator.state = state  # again, up to the noise
    label, pitch = rng.integers(0, 4, 200, dtype=np.int32), rng.integers(0, 8, (200, 4))
    struck, loudness = rng.random((200, 4)) < 0.5, rng.uniform(0.3, 0.8, (200, 4))
    phase = rng.uniform(0, 2 * math.pi, (200, 4))
    noise = image - mu_law_encode(tones.sound(label, pitch, struck, loudness, phase))
    values, counts = np.unique(noise, return_counts=True)
    assert values.tolist() == [-1, 0, 1]
    expected = noise.size * np.array([0.25, 0.5, 0.25])
    assert ((counts - expected) ** 2 / expected).sum() < 20  # chi-square, two degrees
    p = expected / noise.size
    assert -(p * np.log(p)).sum() == pytest.approx(tones.NOISE_ENTROPY)
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 5 * 0.5 / math.sqrt(noise.size)


def test_codes_stay_clear_of_the_ends(melodies):
    assert melodies["image"].min() >= 4
    assert melodies["image"].max() <= 251


def test_the_set_has_labels_contexts_and_a_sampling_rate():
    data = load(Data("tones", transform="levels"))
    assert (data.shape, data.levels, data.num_classes) == ((2048,), 256, 4)
    assert (data.context_shape, data.sample_rate, data.entropy) == ((16, 10), 8000, None)
    assert data.record()["sample_rate"] == 8000
    assert {name: split.num for name, split in data.splits.items()} == {
        "train": None,
        "validation": 200,
        "test": 400,
    }
    batch = data.splits["train"].batches(0, 3, 2, 6)
    shapes = {field: (array.shape, array.dtype.name) for field, array in batch.items()}
    assert shapes == {
        "image": ((2, 6, 2048), "uint8"),
        "label": ((2, 6), "int32"),
        "context": ((2, 6, 16, 10), "float32"),
    }
    test = data.batch("test", 5)
    assert {field: array.shape for field, array in test.items()} == {
        "image": (5, 2048),
        "label": (5,),
        "context": (5, 16, 10),
    }
    assert "sounds" in data.protocol("test")


def test_draws_are_functions_of_seed_and_step():
    train = load(Data("tones", transform="levels")).splits["train"]
    first = train.batch(0, 1, 4)
    for field, array in train.batch(0, 1, 4).items():
        np.testing.assert_array_equal(array, first[field])
    for other in (train.batch(0, 2, 4), train.batch(1, 1, 4)):
        assert (other["image"] != first["image"]).any()
        assert (other["context"] != first["context"]).any()


def test_flags_of_other_sets_are_refused():
    for flags in ({"train_on": "train+validation"}, {"length": 100}, {"image_size": 8}):
        with pytest.raises(ConfigError):
            load(Data("tones", transform="levels", **flags))


def test_the_classes_are_named_in_the_record():
    data = load(Data(name="tones", transform="levels"))
    assert data.class_names == ("flute", "clarinet", "strings", "trumpet")
    assert data.record()["class_names"] == list(data.class_names)
