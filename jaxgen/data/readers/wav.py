"""Sound files, WAV and FLAC: cut into pieces of mu-law codes; and codes out again as WAV.

Files of a folder have the class of their sub-folder and are in the split of their folder, or by the
hash of their path, as images are (`folder.py`); a file is never in two splits. The pieces of a
single file are its training data (80 %), validation and test (10 % each), drawn at random. Channels
are averaged; what is left at the end of a file, shorter than a piece, is not used.
"""

import io
import wave
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from jaxgen.data import split as split_module
from jaxgen.data.config import Data
from jaxgen.data.readers.folder import arrange, renumbered
from jaxgen.data.readers.mu_law import mu_law_decode, mu_law_encode
from jaxgen.data.readers.sound_file import SUFFIXES, opened, wrong
from jaxgen.data.readers.walk import walk
from jaxgen.data.split import SPLITS, Source, Split, drawn_parts, identity_hash
from jaxgen.errors import DataError

LENGTH = 2048  # samples of a piece, by default
PAUSE = 0.25  # seconds between sounds that are written one after the other
_SHARES = (0.8, 0.9, 1.0)  # where the splits of a single file end


def read(config: Data) -> Source:
    """Open a sound file, or a folder of them, all of one sampling rate.

    Raises:
      DataError: a file that is damaged, compressed, shorter than a piece, or of another rate than
        the first; a split without a file.
    """
    root = Path(config.name).expanduser()
    length = config.length or LENGTH
    found = walk(root, by_sight=config.by_sight)
    files = found.chosen(SUFFIXES if config.by_sight else SUFFIXES[:1])
    if config.by_sight:
        found.say_skipped(files, "sounds")
    rate, counts = check_headers(files, length)
    arranged = arrange(root, files, by_sight=config.by_sight)
    # Of each piece: the number of its file, its first sample there, and its split.
    of_file = np.repeat(np.arange(len(files)), counts)
    starts = np.concatenate([np.arange(count) * length for count in counts])
    parts = arranged.parts[of_file] if root.is_dir() else _in_order(len(starts))
    if config.by_sight and not root.is_dir():
        parts = _at_random(parts, [length, rate, root.stat().st_size])

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        """Read the pieces of some parts if they fit into memory, else leave them on disk."""
        rows = np.flatnonzero(np.isin(parts, chosen))
        if len(rows) == 0:
            raise DataError(
                f"{root}, split {name!r}: empty, since one piece of sound in ten falls into it\n"
                f"Got {len(files)} files, {len(starts)} pieces of {length} samples: "
                "add more, or give a smaller --data.length"
            )
        chosen_labels = arranged.labels[of_file[rows]] if arranged.class_names else None
        take = partial(_take, files, length, of_file[rows], starts[rows], chosen_labels)
        if len(rows) * length > split_module.RESIDENT_BYTES:
            sizes = [[str(file), file.stat().st_size] for file in files]
            what = [length, name, sizes, *renumbered(arranged.class_names)]
            return Split(name, len(rows), identity_hash(what), take=take, label=chosen_labels)
        return Split.of(name, take(np.arange(len(rows))))

    return Source(
        shape=(length,),
        levels=256,
        num_classes=arranged.num_classes,
        split=split,
        sample_rate=rate,
        class_names=arranged.class_names,
    )


def _in_order(num: int) -> np.ndarray:
    """Return the split of each piece of a single file, [num]."""
    ends = [round(share * num) for share in _SHARES]
    number = np.searchsorted(ends, np.arange(num), side="right")
    return np.array(SPLITS)[number]


def _at_random(parts: np.ndarray, identity: list[int]) -> np.ndarray:
    """Return the splits [num] of as many pieces each, drawn by what identifies the file.

    A recording is another at its end than at its beginning.
    """
    sizes = {name: int((parts == name).sum()) for name in SPLITS[1:]}
    drawn = parts.copy()
    for name, pieces in drawn_parts(identity_hash(identity), len(parts), sizes).items():
        drawn[pieces] = name
    return drawn


def check_headers(files: Sequence[Path], length: int) -> tuple[int, list[int]]:
    """Return the sampling rate of all the files, Hz, and how many pieces each holds.

    Raises:
      DataError: the first file that cannot be used, naming the field, got and expected.
    """
    rate = 0
    counts = []
    for path in files:
        sound = opened(path)
        rate = rate or sound.rate
        if sound.rate != rate:
            expected = f"{rate} Hz (of {files[0].name})"
            raise wrong(path, "sampling rate", f"{sound.rate} Hz", expected)
        if sound.num < length:
            raise wrong(path, "samples", sound.num, f"at least {length} (--data.length)")
        counts.append(sound.num // length)
    return rate, counts


def encode(
    codes: np.ndarray,
    levels: int,
    rate: int,
) -> bytes:
    """Write sounds one after the other, with a short silence after each, as a WAV file.

    Args:
      codes: [N, T], mu-law codes 0 .. levels - 1.
      levels: how many codes there are.
      rate: samples a second.

    Returns:
      The bytes of a file of 16-bit PCM, mono.
    """
    sounds = mu_law_decode(codes, levels)
    silence = np.zeros((len(sounds), round(PAUSE * rate)))
    together = np.concatenate([sounds, silence], axis=1)
    samples = np.rint(together * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples.tobytes())
    return buffer.getvalue()


def _take(
    files: Sequence[Path],
    length: int,
    of_file: np.ndarray,
    starts: np.ndarray,
    labels: np.ndarray | None,
    indices: np.ndarray,
) -> dict[str, np.ndarray]:
    """Read the pieces at some indices of a split, each file opened once. Raises DataError."""
    codes = np.empty((len(indices), length), np.uint8)
    for number in np.unique(of_file[indices]):
        sound = opened(files[number])
        for row in np.flatnonzero(of_file[indices] == number):
            samples = sound.read(int(starts[indices[row]]), length)
            codes[row] = mu_law_encode(samples)
    arrays = {"image": codes}
    if labels is not None:
        arrays["label"] = labels[indices]
    return arrays
