"""One writer for a run folder: an advisory lock that the kernel lets go when its holder dies.

The lock file says who holds it. The package filelock would do the same with as much code around it;
Windows, which it knows too, is out of reach before: array_record has no release for it.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxgen.errors import ConfigError, StorageError

LOCK = ".lock"
_TRIES = 20
_PAUSE = 0.05  # seconds


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing run folder. Readers need none.

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


def _acquire(handle: int, folder: Path) -> None:
    """Take the lock and write down who holds it; raise ConfigError if somebody does."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(handle)
        named = holder if holder.isprintable() and holder else "another process"
        raise ConfigError(
            f"{folder}: {named} is training in it.\nTry: another --workdir, or wait for it"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _holder(handle: int) -> str:
    """Return who holds the lock; who has just taken it is given a moment to write that down."""
    for _ in range(_TRIES):
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
        if holder:
            break
        time.sleep(_PAUSE)
    return holder


def require_free(folder: Path) -> None:
    """Raise ConfigError if another process trains in the folder, before anything is made ready."""
    if folder.is_dir():
        with sole_writer(folder):
            pass
