"""A sound file, opened: WAV of every kind that recorders write, and FLAC by the extra `sound`.

    RIFF size WAVE | 'fmt ' size form | ... | 'data' size samples

Read are whole numbers of 8, 16, 24 and 32 bits and floating-point numbers of 32 and 64, with plain
or extensible headers, in RIFF, RF64 and BW64 files. A recorder that writes to a pipe cannot go back
to fill in the sizes and leaves 0 or a number without end: then the samples go on to the end of the
file. What is compressed is refused by its name.

Reference: Microsoft, 1994, "New multimedia data types and data techniques"; EBU Tech 3306 (RF64).
"""

import importlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxgen.errors import DataError, first_line

WAV = (".wav", ".wave")
FLAC = (".flac",)
SUFFIXES = (*WAV, *FLAC)

_PCM = 1
_FLOAT = 3
_EXTENSIBLE = 0xFFFE
_COMPRESSED: Mapping[int, str] = {
    2: "ADPCM",
    6: "A-law",
    7: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x50: "MPEG",
    0x55: "MP3",
    0x161: "Windows Media Audio",
}
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # a GUID behind its first two bytes
_MOST_OF_A_BYTE = 65_535  # samples: a block of FLAC, which takes more than one
_ENDLESS = 0x7FFF0000  # from here on a size that the file has not was never filled in


@dataclass(frozen=True)
class Wav:
    """A WAV file.

    Attributes:
      path: of the file.
      rate: Hz.
      num: samples of a channel.
      channels: how many.
      kind: 'u8', 'i16', 'i24', 'i32', 'f32' or 'f64'.
      offset: of the first sample in the file, bytes.
    """

    path: Path
    rate: int
    num: int
    channels: int
    kind: str
    offset: int

    def read(self, start: int, length: int) -> np.ndarray:
        """Return samples from `start` on in [-1, 1], the mean of all channels: float64 [length].

        Raises:
          DataError: they cannot be read, or are not in [-1, 1].
        """
        width = int(self.kind[1:]) // 8
        frame = width * self.channels
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset + start * frame)
                content = file.read(length * frame)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(content) != length * frame:
            raise unreadable(self.path, EOFError("it has become shorter"))
        return _mono(self.path, _numbers(content, self.kind).reshape(length, self.channels))


@dataclass(frozen=True)
class Flac:
    """A FLAC file, decoded by libsndfile.

    Attributes:
      path: of the file.
      rate: Hz.
      num: samples of a channel.
      library: the module soundfile.
    """

    path: Path
    rate: int
    num: int
    library: Any

    def read(self, start: int, length: int) -> np.ndarray:
        """Return samples as `Wav.read` does. Raises DataError."""
        try:
            with self.path.open("rb") as file, self.library.SoundFile(file) as sound:
                sound.seek(start)
                samples = sound.read(length, dtype="float64", always_2d=True)
        except Exception as error:  # libsndfile's own, a RuntimeError
            raise unreadable(self.path, error) from error
        if len(samples) != length:
            raise unreadable(self.path, EOFError("it ends before the samples of its header"))
        return _mono(self.path, samples)


def opened(path: Path) -> Wav | Flac:
    """Open a sound file by its header. Raises DataError, with what is wrong and the cure."""
    return _flac(path) if path.suffix.lower() in FLAC else _wav(path)


def wrong(
    path: Path,
    field: str,
    got: object,
    expected: object,
) -> DataError:
    """Return the error about a file of another kind than is read, or than the others."""
    return DataError(
        f"{path}, field {field!r}: got {got}, expected {expected}\nConvert or remove the file"
    )


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error about a file that is no sound or is damaged."""
    reason = first_line(error)
    return DataError(
        f"{path}: cannot be read as sound: {reason}\nRepair, convert or remove the file"
    )


def _flac(path: Path) -> Flac:
    """Open a FLAC file by the library soundfile. Raises DataError."""
    try:
        library = importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: libsndfile itself is missing
        raise DataError(
            f"{path}: FLAC is read by the library soundfile, which is not installed\n"
            "Try: pip install 'jaxgen[sound]', or convert the file to WAV"
        ) from error
    try:
        with path.open("rb") as file, library.SoundFile(file) as sound:
            found = Flac(path, sound.samplerate, sound.frames, library)
    except Exception as error:
        raise unreadable(path, error) from error
    # libsndfile cannot go to a place in such a file, nor to its end.
    if found.num > _MOST_OF_A_BYTE * path.stat().st_size:
        raise DataError(
            f"{path}: the header does not say how many samples there are, as of an encoder that "
            "wrote to a pipe\nWrite it anew (flac --decode, then flac), or convert it to WAV"
        )
    return found


def _wav(path: Path) -> Wav:
    """Open a WAV file by the chunks of its header. Raises DataError."""
    try:
        with path.open("rb") as file:
            return _parsed(path, file)
    except (OSError, EOFError, struct.error) as error:
        raise unreadable(path, error) from error


def _parsed(path: Path, file: BinaryIO) -> Wav:
    """Return what the chunks of a file say. Raises DataError, EOFError and struct.error."""
    num_bytes = path.stat().st_size
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        kind = "RIFX, which is big-endian" if head[:4] == b"RIFX" else repr(head[:4])
        raise EOFError(f"got {kind} at its beginning, expected RIFF ... WAVE")
    whole_size = int.from_bytes(head[4:8], "little")
    form = b""
    size_64 = None
    while True:
        name, size = struct.unpack("<4sI", _exactly(file, 8))
        if name == b"data":
            break
        content = _exactly(file, size + size % 2)  # a chunk of odd size is padded
        if name == b"fmt ":
            form = content[:size]
        elif name == b"ds64":
            size_64 = struct.unpack_from("<Q", content, 8)[0]
    if not form:
        raise EOFError("no chunk 'fmt ' before the samples")
    channels, rate, kind = _form(path, form)
    offset = file.tell()
    left = num_bytes - offset
    if size_64 is not None and size == 0xFFFFFFFF:
        size = size_64
    unfilled = size == 0 and whole_size != num_bytes - 8
    if unfilled or (size >= _ENDLESS and size > left):
        size = left
    frame = channels * int(kind[1:]) // 8
    if size > left:
        got = f"{left // frame} before the file ends"
        raise wrong(path, "samples", got, f"{size // frame} as its header says")
    return Wav(path, rate, size // frame, channels, kind, offset)


def _form(path: Path, form: bytes) -> tuple[int, int, str]:
    """Return (channels, rate, kind of number) of a chunk 'fmt '. Raises DataError, struct.error."""
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE:
        tag, guid = struct.unpack_from("<H14s", form, 24)
        if guid != _SUBFORMAT:
            raise wrong(path, "form", "an extensible header of another maker", "PCM or float")
    if channels == 0 or rate == 0:
        raise wrong(path, "channels and sampling rate", f"{channels}, {rate} Hz", "at least 1")
    if tag in _COMPRESSED:
        raise wrong(path, "form", f"compressed sound ({_COMPRESSED[tag]})", "PCM or float")
    # The container's width: 20 bits, say, lie in the upper part of 24.
    width = 8 * frame // channels
    kinds = {_PCM: {8: "u8", 16: "i16", 24: "i24", 32: "i32"}, _FLOAT: {32: "f32", 64: "f64"}}
    if tag not in kinds:
        raise wrong(path, "form", f"number {tag:#06x}", "PCM or float")
    if width not in kinds[tag] or width < bits:
        expected = "8, 16, 24 or 32" if tag == _PCM else "32 or 64, of floating-point numbers"
        raise wrong(path, "bits of a sample", bits, expected)
    return channels, rate, kinds[tag][width]


def _exactly(file: BinaryIO, num: int) -> bytes:
    """Read so many bytes. Raises EOFError where the file has fewer."""
    content = file.read(num)
    if len(content) != num:
        raise EOFError("it ends in its header")
    return content


def _numbers(content: bytes, kind: str) -> np.ndarray:
    """Return the samples in some bytes as float64, whole numbers in [-1, 1)."""
    if kind == "u8":
        return (np.frombuffer(content, np.uint8) - 128.0) / 128
    if kind == "i24":
        padded = np.zeros((len(content) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] / 2.0**31
    numbers = np.frombuffer(content, f"<{kind[0]}{int(kind[1:]) // 8}")
    if kind[0] == "f":
        return numbers.astype(np.float64)
    return numbers / 2.0 ** (int(kind[1:]) - 1)


def _mono(path: Path, samples: np.ndarray) -> np.ndarray:
    """Return the mean of the channels of samples [length, channels], once they are in [-1, 1].

    Raises:
      DataError: floating-point numbers that are beyond, or are none.
    """
    largest = np.abs(samples).max(initial=0.0)
    if not largest <= 1:  # NaN is not
        raise wrong(path, "samples", f"values up to {largest:.6g}", "floating-point in [-1, 1]")
    return samples.mean(axis=1)
