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
from jaxgen.data.mu_law import mu_law_encode
from jaxgen.data.split import Source
from jaxgen.data.synthetic import generated

RATE = 8000  # samples a second
SLOTS, SLOT, FRAME = 4, 512, 128  # slots of an example; samples of a slot, of a frame of context
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
_RAMP, _DECAY = 40, 1000  # samples


def read(config: Data) -> Source:
    """Open the set. Raises ConfigError for a `train_on` that adds nothing."""
    parameters = {"pitches": PITCHES, "timbres": TIMBRES, "slot": SLOT, "slots": SLOTS}
    return Source(
        (SLOTS * SLOT,),
        256,
        len(TIMBRES),
        generated(config, draw, parameters, HELD_OUT),
        context_shape=(SLOTS * SLOT // FRAME, CONTEXT_DIM),
        sample_rate=RATE,
    )


def draw(rng: np.random.Generator, num: int) -> dict[str, np.ndarray]:
    """`num` melodies: 'image' uint8 [num, 2048], 'label' int32 [num], 'context' [num, 16, 10]."""
    label = rng.integers(0, len(TIMBRES), num, dtype=np.int32)
    pitch = rng.integers(0, len(PITCHES), (num, SLOTS))
    struck = rng.random((num, SLOTS)) < 0.5
    loudness = rng.uniform(0.3, 0.8, (num, SLOTS))
    phase = rng.uniform(0, 2 * math.pi, (num, SLOTS))
    codes = mu_law_encode(sound(label, pitch, struck, loudness, phase)).astype(int)
    noise = rng.integers(0, 2, (2, *codes.shape)).sum(axis=0) - 1
    image = (codes + noise).astype(np.uint8)  # at a loudness of at most 0.8 codes are 5 .. 250
    return {"image": image, "label": label, "context": context(pitch, struck)}


def sound(
    label: np.ndarray, pitch: ArrayLike, struck: ArrayLike, loudness: ArrayLike, phase: ArrayLike
) -> np.ndarray:
    """The sound without its noise, float64 [num, S * 512] in [-1, 1].

    Args:
      label: timbre of each melody, [num].
      pitch: number of the note in each slot, [num, S]; where none is struck it does not matter.
      struck: whether a note is struck in the slot, [num, S]; in the first one always.
      loudness: [num, S], as `pitch`.
      phase: [num, S], as `pitch`.
    """
    begin, since, left = _times(struck, 1)
    of_note = lambda x: np.take_along_axis(np.asarray(x), begin, axis=1)  # noqa: E731
    angle = 2 * math.pi * np.asarray(PITCHES)[of_note(pitch)] / RATE * since + of_note(phase)
    weights = np.array(list(TIMBRES.values()))
    weights = (weights / weights.sum(axis=1, keepdims=True))[label]
    wave = sum(weights[:, k, None] * np.sin((k + 1) * angle) for k in range(weights.shape[1]))
    ramps = np.minimum(since, _RAMP) * np.minimum(left, _RAMP) / _RAMP**2
    return of_note(loudness) * ramps * np.exp(-since / _DECAY) * wave


def context(pitch: ArrayLike, struck: ArrayLike) -> np.ndarray:
    """What a model is told of the melodies, float32 [num, S * 4, 10].

    Eight numbers for the note that sounds in a frame, one-hot, then how long ago it was struck and
    how long it still lasts, in units of 0.256 s. For any number of slots S.
    """
    begin, since, left = _times(struck, FRAME)
    notes = np.eye(len(PITCHES))[np.take_along_axis(np.asarray(pitch), begin, axis=1)]
    times = np.stack([since, left], axis=-1) / (SLOTS * SLOT)
    return np.concatenate([notes, times], axis=-1).astype(np.float32)


def _times(struck, step):
    """For every `step` samples: the slot in which its note began, samples since then, and left."""
    struck = np.asarray(struck, bool)
    num = struck.shape[1]
    slots = np.arange(num)
    begin = np.maximum.accumulate(np.where(struck, slots, 0), axis=1)
    later = np.where(struck, slots, num)[:, ::-1]
    ends = np.minimum.accumulate(later, axis=1)[:, ::-1]  # of the notes from each slot on
    end = np.concatenate([ends[:, 1:], np.full((len(struck), 1), num)], axis=1)
    begin, end = (x.repeat(SLOT // step, axis=1) for x in (begin, end))
    now = np.arange(0, num * SLOT, step)
    return begin, now - begin * SLOT, end * SLOT - now
