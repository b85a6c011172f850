"""Which note of which instrument sounds: a matched filter over the spectrum, for tests."""

import numpy as np

from jaxgen.data.readers import tones


def heard(sound):
    """(pitch, timbre) of one note [n] in [-1, 1]: the candidate whose harmonics fit best."""
    window = np.hanning(len(sound))
    weights = np.array(list(tones.TIMBRES.values()))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    harmonics = np.outer(tones.PITCHES, np.arange(1, weights.shape[1] + 1))  # [P, K], Hz
    turns = harmonics[..., None] * np.arange(len(sound)) / tones.RATE
    amplitudes = np.abs(np.exp(-2j * np.pi * turns) @ (window * sound))
    fit = amplitudes @ weights.T
    return tuple(int(i) for i in np.unravel_index(np.argmax(fit), fit.shape))


def loudest_frequency(sound):
    """The highest peak of the spectrum of a sound [n], Hz."""
    spectrum = np.abs(np.fft.rfft(np.hanning(len(sound)) * sound, 2**16))
    return np.argmax(spectrum) * tones.RATE / 2**16
