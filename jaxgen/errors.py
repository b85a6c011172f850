"""The errors a user can cause, each with the exit code that scripts may rely on.

Every message is one to three lines: what is wrong, the field or file, and what to do.
The command line prints it without a traceback (`--debug` shows one).
"""

from collections.abc import Mapping
from typing import Any


class JaxgenError(Exception):
    """An error whose message is written for the user of jaxgen."""

    exit_code = 1


class ConfigError(JaxgenError, ValueError):
    """A flag, a field or a combination of them that cannot work."""

    exit_code = 2


class DataError(JaxgenError):
    """A data set that is missing, damaged or not what the model was built for."""

    exit_code = 3


class CheckpointError(JaxgenError):
    """A run folder or checkpoint that is missing, damaged or of another model."""

    exit_code = 4


class NonFiniteError(JaxgenError):
    """A loss or parameter that became NaN or infinite.

    Attributes:
      step: that before the step to blame, if one is known.
      batch: {name: array [B, ...]} of that step.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        step: int = 0,
        batch: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.step = step
        self.batch = batch


class StorageError(JaxgenError):
    """A file that could not be written: a full disk, a folder without permission."""

    exit_code = 6


class PreemptedError(JaxgenError):
    """A signal asked the process to leave. What was finished is saved; start it again to go on."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: submit it again


def with_exit_code(code: int) -> type[JaxgenError]:
    """Return the kind of error that has this exit code."""
    kinds = {kind.exit_code: kind for kind in JaxgenError.__subclasses__()}
    return kinds.get(code, JaxgenError)


def first_line(error: object) -> str:
    """Return what an error says, cut to one line of a message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
