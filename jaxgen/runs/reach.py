"""A path that Orbax can open, for a folder whose own path it cannot.

TensorStore takes text alone, and Orbax's search for files reads `*`, `?` and `[` as patterns. A
folder with a byte that is not UTF-8, or one of these, in its path is reached through a link with a
plain name, for as long as it is open.
"""

import tempfile
from pathlib import Path

from jaxgen.errors import StorageError
from jaxgen.files import make_folder

_PATTERNS = frozenset("*?[")


class Reach:
    """The way to a folder.

    Args:
      folder: absolute.
      create: make the folder where a link would lead to nothing.

    Attributes:
      path: a path to the folder that Orbax can open: its own, or that of a link.

    Raises:
      StorageError: no link can be made.
    """

    def __init__(self, folder: Path, *, create: bool):
        self.path = folder
        self._links: tempfile.TemporaryDirectory[str] | None = None
        if is_plain(folder):
            return
        if create:
            make_folder(folder)
        try:
            self._links = tempfile.TemporaryDirectory(prefix="jaxgen-")
            self.path = Path(self._links.name) / "run"
            self.path.symlink_to(folder, target_is_directory=True)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be linked to: {error.strerror}") from error
        if not is_plain(self.path):
            self.close()
            raise StorageError(f"{folder}: give this folder, or TMPDIR, a name that is plain text")

    def close(self) -> None:
        """Remove the link."""
        if self._links is not None:
            self._links.cleanup()


def is_plain(path: Path) -> bool:
    """Return whether the path is text, and no pattern."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not _PATTERNS & set(text)
