"""Orbax's manager of a folder of checkpoints, as `checkpoint.py` uses it.

A refusal of the disk while saving becomes a StorageError here. What follows from it, and a full
disk elsewhere: `jaxgen.files` for any other file, `jaxgen.loop.stage` for the training (a warning,
and the last checkpoint once more), `jaxgen.loop.journal` for the metrics (kept and written later),
`best_effort.py` for what an evaluation can do without.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import orbax.checkpoint as ocp

from jaxgen import parallel
from jaxgen.console import quiet
from jaxgen.errors import CheckpointError, StorageError, first_line
from jaxgen.runs.steps import PlainSteps

RETIRED = ".retired"  # where a step goes on its way out, for who reads meanwhile
REFUSALS = (OSError, ValueError)  # TensorStore says RESOURCE_EXHAUSTED as a ValueError
_TRIES = 20  # of a reader beside a writer
_TEMPORARY = "*.orbax-checkpoint-tmp*"


def open_manager(folder: Path, *, read_only: bool) -> ocp.CheckpointManager:
    """Open the folder, which Orbax does by reading in every step of it.

    A reader tries again where a step was retired meanwhile by a training beside it.

    Raises:
      CheckpointError: the folder cannot be read.
      StorageError: it cannot be written.
    """
    options = ocp.CheckpointManagerOptions(
        create=not read_only,
        cleanup_tmp_directories=not read_only,
        read_only=read_only,
        save_interval_steps=0 if read_only else 1,
        step_name_format=PlainSteps(),  # pyright: ignore[reportArgumentType]
        todelete_subdir=None if read_only else RETIRED,
    )
    tries_left = _TRIES if read_only else 1
    while True:
        tries_left -= 1
        try:
            with quiet():  # it warns that it was told to read only
                return ocp.CheckpointManager(folder, options=options)
        except REFUSALS as error:
            if tries_left:
                continue
            if read_only:
                raise CheckpointError(f"{folder}: cannot be read: {first_line(error)}") from error
            raise refused(folder, 0, error) from error


def in_every_process(folder: Path, needed: int, act: Callable[[], object]) -> None:
    """Do something in all processes.

    Args:
      folder: of the checkpoints, for messages and to be cleaned.
      needed: bytes that the write takes.
      act: what to do.

    Raises:
      StorageError: in all of them, if one was refused.
    """

    def attempt() -> None:
        try:
            act()
        except REFUSALS as error:
            raise refused(folder, needed, error) from error

    parallel.agreed(attempt)


def refused(folder: Path, needed: int, error: Exception) -> StorageError:
    """Return the error of a write that the disk refused; nothing unfinished stays."""
    free = shutil.disk_usage(folder if folder.exists() else "/").free
    clean(folder)
    sizes = f"{needed:,} bytes needed, {free:,} free"
    return StorageError(f"{folder}: not written ({sizes}): {first_line(error)}")


def clean(folder: Path) -> None:
    """Remove what an unfinished save left."""
    for path in folder.glob(_TEMPORARY) if parallel.is_writer() else ():
        shutil.rmtree(path, ignore_errors=True)
