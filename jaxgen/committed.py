"""Which steps of a checkpoint folder are committed, by their names alone.

Orbax's own listing opens a file in every step, before anybody has looked whether the step is a
folder or a link to one, and the file a file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from etils import epath

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

    def __init__(self):
        self._standard = ocp.path.step.standard_name_format()

    def build_name(self, step: int) -> str:
        """The name of a step's folder."""
        return str(step)

    def find_all(self, base_path: Any) -> Iterator[Step]:
        """The committed steps in a folder."""
        for path in Path(base_path).iterdir():
            name = path.name
            number = name.isascii() and name.isdigit() and len(name) <= _DIGITS
            if number and str(int(name)) == name and path.is_dir() and not path.is_symlink():
                yield self.find_step(base_path, int(name))

    def find_step(self, base_path: Any, step: int) -> Step:
        """One committed step. Raises ValueError if there is none."""
        return Step(step, self._standard.find_step(base_path, step).path)
