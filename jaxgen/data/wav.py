"""WAV files: 16-bit sound in, cut into pieces of mu-law codes, and out again.

Files of a folder are in a split by the hash of their path and have the class of their sub-folder,
as images are (`folder.py`); a file is never in two splits. The pieces of a single file are its
training data in the first 80 %, validation in the next 10 % and test in the last. Channels are
averaged; what is left at the end of a file, shorter than a piece, is not used.
"""

import io
import wave
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from jaxgen.console import first_line
from jaxgen.data import split as split_module
from jaxgen.data.config import Data
from jaxgen.data.folder import label_by_folder, part_of
from jaxgen.data.mu_law import mu_law_decode, mu_law_encode
from jaxgen.data.split import SPLITS, Source, Split, identity_hash
from jaxgen.errors import DataError

LENGTH = 2048  # samples of a piece, by default
PAUSE = 0.25  # seconds between sounds that are written one after the other
_SHARES = (0.8, 0.9, 1.0)  # where the splits of a single file end


def read(config: Data) -> Source:
    """Open a WAV file, or a folder of them, all of one sampling rate.

    Raises:
      DataError: a file that is not 16-bit PCM, is damaged, shorter than a piece, or of another rate
        than the first; a split without a file.
    """
    root, length = Path(config.name).expanduser(), config.length or LENGTH
    files = [root]
    if root.is_dir():
        found = [f for f in root.rglob("*") if f.suffix.lower() == ".wav" and f.is_file()]
        files = sorted(found, key=lambda file: file.relative_to(root).as_posix())
    rate, counts = check_headers(files, length)
    labels, num_classes = label_by_folder(root, files) if root.is_dir() else (None, None)
    of_file = np.repeat(np.arange(len(files)), counts)
    starts = np.concatenate([np.arange(count) * length for count in counts])
    if root.is_dir():
        parts = np.array([part_of(file.relative_to(root).as_posix()) for file in files])[of_file]
    else:
        ends = [round(share * len(starts)) for share in _SHARES]
        parts = np.array(SPLITS)[np.searchsorted(ends, np.arange(len(starts)), side="right")]

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        rows = np.flatnonzero(np.isin(parts, chosen))
        if len(rows) == 0:
            raise DataError(
                f"{root}, split {name!r}: empty, since one piece of sound in ten falls into it\n"
                f"Got {len(files)} files, {len(starts)} pieces of {length} samples: "
                "add more, or give a smaller --data.length"
            )
        chosen_labels = labels[of_file[rows]] if num_classes else None
        take = partial(_take, files, length, of_file[rows], starts[rows], chosen_labels)
        if len(rows) * length > split_module.RESIDENT_BYTES:
            sizes = [[str(file), file.stat().st_size] for file in files]
            return Split(name, len(rows), identity_hash([length, name, sizes]), take=take)
        return Split.of(name, take(np.arange(len(rows))))

    return Source((length,), 256, num_classes, split, sample_rate=rate)


def check_headers(files: Sequence[Path], length: int) -> tuple[int, list[int]]:
    """Sampling rate of all the files, Hz, and how many pieces each holds.

    Raises:
      DataError: the first file that cannot be used, naming the field, got and expected.
    """
    rate, counts = None, []
    for path in files:
        with _opened(path) as sound:
            width, own, num = sound.getsampwidth(), sound.getframerate(), sound.getnframes()
        rate = rate or max(own, 1)
        if width != 2:
            raise _wrong(path, "bits of a sample", 8 * width, 16)
        if own != rate:
            raise _wrong(path, "sampling rate", f"{own} Hz", f"{rate} Hz (of {files[0].name})")
        if num < length:
            raise _wrong(path, "samples", num, f"at least {length} (--data.length)")
        counts.append(num // length)
    return rate, counts


def encode(codes: np.ndarray, levels: int, rate: int) -> bytes:
    """Sounds one after the other with a short silence after each, as a WAV file.

    Args:
      codes: [N, T], mu-law codes 0 .. levels - 1.
      levels: how many codes there are.
      rate: samples a second.

    Returns:
      The bytes of a file of 16-bit PCM, mono.
    """
    sounds = mu_law_decode(codes, levels)
    silence = np.zeros((len(sounds), round(PAUSE * rate)))
    samples = np.rint(np.concatenate([sounds, silence], axis=1) * 32767).astype("<i2")
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
    """Pieces by their index in a split; each file is opened once."""
    codes = np.empty((len(indices), length), np.uint8)
    for number in np.unique(of_file[indices]):
        with _opened(files[number]) as sound:
            for row in np.flatnonzero(of_file[indices] == number):
                start = int(starts[indices[row]])
                codes[row] = mu_law_encode(_samples(files[number], sound, start, length))
    return {"image": codes} if labels is None else {"image": codes, "label": labels[indices]}


def _samples(path: Path, sound: wave.Wave_read, start: int, length: int) -> np.ndarray:
    """`length` samples in [-1, 1) from `start` on, the mean of all channels."""
    channels = sound.getnchannels()
    try:
        sound.setpos(start)
        samples = np.frombuffer(sound.readframes(length), "<i2")
    except (wave.Error, EOFError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if samples.size != length * channels:
        got = f"{start + samples.size // channels} before the file ends"
        raise _wrong(path, "samples", got, f"{sound.getnframes()} as its header says")
    return samples.reshape(length, channels).mean(axis=1) / 32768


def _opened(path: Path) -> wave.Wave_read:
    try:
        return wave.open(str(path), "rb")
    except (wave.Error, EOFError, OSError) as error:
        raise _unreadable(path, error) from error


def _wrong(path: Path, field: str, got: object, expected: object) -> DataError:
    return DataError(
        f"{path}, field {field!r}: got {got}, expected {expected}\nConvert or remove the file"
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = first_line(error)
    return DataError(
        f"{path}: cannot be read as 16-bit PCM sound: {reason}\nRepair, convert or remove the file"
    )
