"""The committed steps of a checkpoint folder, and the check that one is plain files.

Orbax's own listing opens a file in every step, before anybody has looked whether the step is a
folder or a link to one, and the file a file.
"""

import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from etils import epath

from jaxgen.errors import CheckpointError

_MAX_JSON = 2**24  # bytes of a file that is parsed whole
_DIGITS = 10  # of the largest int32
_UNKNOWN = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A committed step, as Orbax wants it described.

    Attributes:
      step: its number.
      path: its folder.
      commit_timestamp: unknown; steps are in the order of their numbers.
    """

    step: int
    path: epath.Path
    commit_timestamp: datetime = _UNKNOWN


class PlainSteps:
    """A `NameFormat` of Orbax: a step is a folder, no link, whose name is its number."""

    def __init__(self) -> None:
        self._standard = ocp.path.step.standard_name_format()

    def build_name(self, step: int) -> str:
        """Return the name of a step's folder."""
        return str(step)

    def find_all(self, base_path: Any) -> Iterator[Step]:
        """Yield the committed steps in a folder."""
        for path in Path(base_path).iterdir():
            name = path.name
            number = name.isascii() and name.isdigit() and len(name) <= _DIGITS
            if number and str(int(name)) == name and path.is_dir() and not path.is_symlink():
                with suppress(ValueError):  # retired meanwhile, by a training beside us
                    yield self.find_step(base_path, int(name))

    def find_step(self, base_path: Any, step: int) -> Step:
        """Return one committed step. Raises ValueError if there is none."""
        return Step(step, self._standard.find_step(base_path, step).path)


def require_plain(folder: Path) -> None:
    """Check that there are files and folders only, and no JSON too long to be parsed.

    Raises:
      CheckpointError: there is something else.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise CheckpointError(f"{folder}: no folder")
    try:
        found = [(path, path.lstat()) for path in folder.rglob("*")]
    except OSError as error:  # retired meanwhile, by a training beside us
        raise CheckpointError(f"{folder}: cannot be read: {error.strerror}") from error
    for path, info in found:
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
            raise CheckpointError(f"{folder}: {path.name!r} is neither a file nor a folder")
        if path.parent.name != "d" and info.st_size > _MAX_JSON:
            raise CheckpointError(f"{folder}: {path.name!r} has {info.st_size} bytes")
