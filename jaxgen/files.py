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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from jaxgen.errors import CheckpointError, StorageError

MAX_JSON, MAX_ARRAYS, MAX_LINES = 2**24, 2**26, 2**26  # bytes of a file that is read whole


def write_file(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a crash leaves the old file or the new one.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)  # of a dead process, or a link that waits for us
            with partial.open("xb") as file:
                file.write(content)
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
    """Makes a folder and those above it. Raises StorageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror or error}") from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON. Raises StorageError."""
    write_file(path, (json.dumps(value, indent=1) + "\n").encode())


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays, compressed. Raises StorageError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_file(path, buffer.getvalue())


def read_file(path: Path, most: int = MAX_JSON) -> bytes | None:
    """The content of a plain file, None if there is none; what a folder is read by.

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
        reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error


def bytes_below(folder: Path) -> int:
    """The sizes of the files of a folder, together."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, {} if there is none.

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
            return {e.filename.removesuffix(".npy"): _array(archive.read(e)) for e in entries}
    except Exception as error:  # zip, its methods of compression and NumPy raise many kinds
        raise CheckpointError(f"{path}: cannot be read: {str(error)[:200]}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} if there is none. Raises CheckpointError if it is damaged."""
    content = read_file(path)
    try:
        value = {} if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {type(value).__name__}, expected an object")
    return value


def _open_plain(path):
    """Opens a file that is no link, without waiting for the writer of a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CheckpointError(f"{path}: cannot be read: it is no plain file")
    return open(handle, "rb")


def _array(content):
    """An .npy file; one whose header promises more than follows is not made room for."""
    file = io.BytesIO(content)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = header[npy.read_magic(file)](file)
    if math.prod(shape) * max(dtype.itemsize, 1) > len(content):
        raise ValueError(f"an array of {shape} in {len(content):,} bytes")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)
