"""Files: what is written goes beside the target and then takes its name; what is read is plain.

A run folder may come from anywhere. Nothing in it is opened but plain files of bounded length.
"""

import errno
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from jaxgen.errors import CheckpointError, StorageError

# Bytes of a file that is read whole.
MAX_JSON = 2**24
MAX_ARRAYS = 2**26
MAX_LINE = 2**20  # bytes of a line; a file of lines may have any number of them
MAX_PARTS = 64  # of a line, after which the rest of a file is left


def write_file(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that a crash leaves the old file or the new one.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    write_parts(path, [content])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file as `write_file` does, of parts that need not all be in memory."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)  # of a dead process, or a link that waits for us
            with partial.open("xb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())  # or a host that crashes may leave an empty file
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)  # gone already when the rename went well
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; check the free space and permissions"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises StorageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror or error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON. Raises StorageError."""
    text = json.dumps(value, indent=1) + "\n"
    write_file(path, text.encode())


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays, compressed. Raises StorageError."""
    buffer = io.BytesIO()
    # NumPy's stub takes every keyword for its flag `allow_pickle`.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    write_file(path, buffer.getvalue())


def read_file(path: Path, most: int = MAX_JSON) -> bytes | None:
    """Read a plain file; return None if there is none. All of a run folder is read so.

    Args:
      path: neither a link, which leads elsewhere, nor a pipe or a device, which have no end.
      most: bytes that it may have.

    Raises:
      CheckpointError: it is something else, longer, or cannot be read.
    """
    try:
        with _open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise CheckpointError(f"{path}: cannot be read: {size:,} bytes, more than {most:,}")
            return file.read(size)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a plain file, one after the other; none if there is no file.

    Of a line without end the first `MAX_LINE` bytes are yielded: whoever parses it finds it
    damaged. Nothing is read beyond one of more than `MAX_PARTS` times as many, which is no text.

    Raises:
      CheckpointError: it is no plain file, or cannot be read.
    """
    try:
        with _open_plain(path) as file:
            parts = 0  # of the line so far
            while parts < MAX_PARTS and (part := file.readline(MAX_LINE)):
                if parts == 0:
                    yield part
                parts = 0 if part.endswith(b"\n") else parts + 1
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unreadable(path, error) from error


def bytes_below(folder: Path) -> int:
    """Return the sizes of the files of a folder, together."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file; return {} if there is none.

    Raises:
      CheckpointError: it is damaged, or its arrays take more than `MAX_ARRAYS` bytes.
    """
    content = read_file(path, MAX_ARRAYS)
    if content is None:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if size > MAX_ARRAYS:
                raise ValueError(f"{size:,} bytes unpacked, at most {MAX_ARRAYS:,} are read")
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            arrays = [_array(archive.read(entry)) for entry in entries]
            return dict(zip(names, arrays, strict=True))
    except Exception as error:  # zip, its methods of compression and NumPy raise many kinds
        raise CheckpointError(f"{path}: cannot be read: {str(error)[:200]}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; return {} if there is none. Raises CheckpointError."""
    content = read_file(path)
    try:
        value = {} if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {type(value).__name__}, expected an object")
    return value


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    """Return what is said of a file that cannot be read."""
    reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
    return CheckpointError(f"{path}: cannot be read: {reason}")


def _open_plain(path: Path) -> BinaryIO:
    """Open a file that is no link, without waiting for the writer of a pipe."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CheckpointError(f"{path}: cannot be read: it is no plain file")
    return open(handle, "rb")


def _array(content: bytes) -> np.ndarray:
    """Read an .npy file; one whose header promises more than follows is not made room for."""
    file = io.BytesIO(content)
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    read_header = headers[npy.read_magic(file)]
    shape, _, dtype = read_header(file)
    if math.prod(shape) * max(dtype.itemsize, 1) > len(content):
        raise ValueError(f"an array of {shape} in {len(content):,} bytes")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)
