"""Melodies of known notes on known instruments: sound of which everything is known but the noise.

An example is 0.256 s at 8 kHz, four slots of 512 samples; a note of the C major scale is struck in
the first and, with probability 1/2, in each of the others, or else the last one goes on. A note of
pitch f, loudness a, phase phi and timbre w (amplitudes of six harmonics, sum 1) sounds

    s(n) = a e(n) sum_k w_k sin(k (2 pi f n / 8000 + phi)),     n samples after it was struck,

with an envelope e of a quick attack, a decay and a release. `label` is the timbre; `context` says
at 62.5 frames a second which note sounds (one-hot), since when and for how long still. `image` is
the mu-law code of s plus noise of -1, 0 or 1 code (probabilities 1/4, 1/2, 1/4), so that

    H(x | label, context) > H(x | s) = 2048 * 1.5 ln 2 nats:

no model gets below 1.0397 nats a sample, and one that hears phase and loudness in what has sounded
gets close. Every example is made here; nothing is recorded from an instrument.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.data.config import Data
from jaxgen.data.readers.mu_law import mu_law_encode
from jaxgen.data.readers.synthetic import generated
from jaxgen.data.split import Source

RATE = 8000  # samples a second
SLOTS = 4  # of an example
SLOT = 512  # samples
FRAME = 128  # samples for which a frame of the context holds
SCALE = (-9, -7, -5, -4, -2, 0, 2, 3)  # semitones from A4
PITCHES = tuple(440 * 2 ** (semitones / 12) for semitones in SCALE)  # C4 .. C5, Hz
TIMBRES = {  # amplitudes of the harmonics, after the spectra of ...
    "flute": (1.0, 0.12, 0.04, 0.0, 0.0, 0.0),
    "clarinet": (1.0, 0.0, 0.7, 0.0, 0.45, 0.0),
    "strings": (1.0, 0.6, 0.45, 0.35, 0.28, 0.22),
    "trumpet": (0.5, 0.9, 1.0, 0.6, 0.3, 0.15),
}
CONTEXT_DIM = len(PITCHES) + 2
NOISE_ENTROPY = 1.5 * math.log(2)  # nats a sample
HELD_OUT = {"validation": 200, "test": 400}
_RAMP = 40  # samples
_DECAY = 1000  # samples


def read(config: Data) -> Source:
    """Open the set. Raises ConfigError for a `train_on` that adds nothing."""
    parameters = {"pitches": PITCHES, "timbres": TIMBRES, "slot": SLOT, "slots": SLOTS}
    return Source(
        shape=(SLOTS * SLOT,),
        levels=256,
        num_classes=len(TIMBRES),
        split=generated(config, draw, parameters, HELD_OUT),
        context_shape=(SLOTS * SLOT // FRAME, CONTEXT_DIM),
        sample_rate=RATE,
        class_names=tuple(TIMBRES),
    )


def draw(rng: np.random.Generator, num: int) -> dict[str, np.ndarray]:
    """Draw melodies: 'image' uint8 [num, 2048], 'label' int32 [num], 'context' [num, 16, 10]."""
    label = rng.integers(0, len(TIMBRES), num, dtype=np.int32)
    pitch = rng.integers(0, len(PITCHES), (num, SLOTS))
    struck = rng.random((num, SLOTS)) < 0.5
    loudness = rng.uniform(0.3, 0.8, (num, SLOTS))
    phase = rng.uniform(0, 2 * math.pi, (num, SLOTS))
    heard = sound(label, pitch, struck, loudness, phase)
    codes = mu_law_encode(heard).astype(int)
    # The sum of two fair bits, less 1, is -1, 0 or 1 with probabilities 1/4, 1/2, 1/4.
    coins = rng.integers(0, 2, (2, *codes.shape))
    noise = coins.sum(axis=0) - 1
    image = (codes + noise).astype(np.uint8)  # at a loudness of at most 0.8 codes are 5 .. 250
    return {"image": image, "label": label, "context": context(pitch, struck)}


def sound(
    label: np.ndarray,
    pitch: ArrayLike,
    struck: ArrayLike,
    loudness: ArrayLike,
    phase: ArrayLike,
) -> np.ndarray:
    """Return the sound without its noise, float64 [num, S * 512] in [-1, 1].

    Args:
      label: timbre of each melody, [num].
      pitch: number of the note in each slot, [num, S]; where none is struck it does not matter.
      struck: whether a note is struck in the slot, [num, S]; in the first one always.
      loudness: [num, S], as `pitch`.
      phase: [num, S], as `pitch`.
    """
    begin, since, left = _times(struck, 1)

    def of_note(x: ArrayLike) -> np.ndarray:
        """Return for each sample what was said in the slot where its note began."""
        return np.take_along_axis(np.asarray(x), begin, axis=1)

    frequency = np.asarray(PITCHES)[of_note(pitch)]
    angle = 2 * math.pi * frequency / RATE * since + of_note(phase)
    amplitudes = np.array(list(TIMBRES.values()))
    total = amplitudes.sum(axis=1, keepdims=True)
    # [timbres, harmonics] -> [num, harmonics], of sum 1
    weights = (amplitudes / total)[label]
    harmonics = range(weights.shape[1])
    wave = sum(weights[:, k, None] * np.sin((k + 1) * angle) for k in harmonics)
    attack = np.minimum(since, _RAMP)
    release = np.minimum(left, _RAMP)
    ramps = attack * release / _RAMP**2
    decay = np.exp(-since / _DECAY)
    return of_note(loudness) * ramps * decay * wave


def context(pitch: ArrayLike, struck: ArrayLike) -> np.ndarray:
    """Return what a model is told of the melodies, float32 [num, S * 4, 10].

    Eight numbers for the note that sounds in a frame, one-hot, then how long ago it was struck and
    how long it still lasts, in units of 0.256 s. For any number of slots S.
    """
    begin, since, left = _times(struck, FRAME)
    sounding = np.take_along_axis(np.asarray(pitch), begin, axis=1)
    one_hot = np.eye(len(PITCHES))
    notes = one_hot[sounding]  # [num, S * 4, 8]
    times = np.stack([since, left], axis=-1)
    times = times / (SLOTS * SLOT)
    told = np.concatenate([notes, times], axis=-1)
    return told.astype(np.float32)


def _times(struck: ArrayLike, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for every `step` samples, the slot in which its note began, samples since, and left.

    With a note struck in slots 0 and 2 of 4:

        struck   1  0  1  0
        begin    0  0  2  2      the last slot so far with a note struck
        end      2  2  4  4      the next slot with one, or the number of slots
    """
    struck = np.asarray(struck, bool)
    num = struck.shape[1]
    slots = np.arange(num)
    earlier = np.where(struck, slots, 0)
    begin = np.maximum.accumulate(earlier, axis=1)
    # From the right: the first slot from here on with a note struck; the end is that of the next.
    later = np.where(struck, slots, num)
    leftward = np.minimum.accumulate(later[:, ::-1], axis=1)
    next_struck = leftward[:, ::-1]
    last = np.full((len(struck), 1), num)
    end = np.concatenate([next_struck[:, 1:], last], axis=1)
    # [num, S] -> [num, S * SLOT / step]
    begin = begin.repeat(SLOT // step, axis=1)
    end = end.repeat(SLOT // step, axis=1)
    now = np.arange(0, num * SLOT, step)
    since = now - begin * SLOT
    left = end * SLOT - now
    return begin, since, left
