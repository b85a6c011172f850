"""One writer for a run folder: an advisory lock that the kernel lets go when its holder dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxgen.errors import ConfigError, StorageError

LOCK = ".lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the lock of an existing run folder. Readers need none.

    Raises:
      ConfigError: another process holds it; names its host and process.
      StorageError: the folder cannot be written.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    try:
        _acquire(handle, folder)
        yield
    finally:
        os.close(handle)  # lets go of the lock


def _acquire(handle, folder):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
        named = holder if holder.isprintable() and holder else "another process"
        raise ConfigError(
            f"{folder}: {named} is training in it.\nTry: another --workdir, or wait for it"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def require_free(folder: Path) -> None:
    """Raises ConfigError if another process trains in the folder, before anything is made ready."""
    if folder.is_dir():
        with sole_writer(folder):
            pass
