"""Files: the one place that writes, always beside the target and then by a rename."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.errors import CheckpointError, StorageError


def write_file(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a crash leaves the old file or the new one.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
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


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, {} if there is none. Raises CheckpointError if it is damaged."""
    if not path.exists():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} if there is none. Raises CheckpointError if it is damaged."""
    try:
        value = json.loads(path.read_text()) if path.exists() else {}
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {type(value).__name__}, expected an object")
    return value
