"""A folder of files as its user sees it: links followed, hidden files left out, all of it counted.

What is hidden begins with a dot (`._1.png`, `.ipynb_checkpoints`, `.DS_Store`) or is made by a
system beside the user's own files (`__MACOSX`, `Thumbs.db`, `@eaDir`).
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jaxgen.console import note
from jaxgen.errors import DataError

_OF_SYSTEMS = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "desktop.ini",
}
_SHOWN = 4  # suffixes in a line

Ancestors = tuple[tuple[int, int], ...]  # (device, inode) of the folders above


@dataclass
class Walk:
    """The files below a folder.

    Attributes:
      root: the folder.
      files: that are there and not hidden, sorted by `relative` path.
      skipped: {reason: how many}, of all others.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def chosen(self, suffixes: Collection[str]) -> list[Path]:
        """Return the files with one of the suffixes."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def say_skipped(self, chosen: Collection[Path], noun: str) -> None:
        """Say in one line what of the folder is not read and why, if there is anything."""
        kept = set(chosen)
        others = Counter(path.suffix.lower() for path in self.files if path not in kept)
        reasons = [f"{num} {reason}" for reason, num in self.skipped.items()]
        if others:
            kinds = [f"{suffix or 'no suffix'} {n}" for suffix, n in others.most_common(_SHOWN)]
            more = ", ..." if len(others) > _SHOWN else ""
            reasons.append(f"{others.total()} of other kinds ({', '.join(kinds)}{more})")
        if reasons:
            note(f"{self.root}: {len(kept)} {noun}; skipped {', '.join(reasons)}")


def walk(root: Path, *, by_sight: bool = True) -> Walk:
    """Find the files below a folder; of a file, itself.

    Args:
      root: the folder.
      by_sight: by the rules of today (`Data.rules`); else hidden files are files, links to folders
        are not followed, and nothing is counted.

    Raises:
      DataError: a folder that cannot be opened.
    """
    found = Walk(root)
    if not root.is_dir():
        return Walk(root, [root])
    below = _below(root, (), found.skipped) if by_sight else filter(Path.is_file, root.rglob("*"))
    found.files = sorted(below, key=lambda path: relative(path, root))
    return found


def relative(path: Path, root: Path) -> str:
    """Return the path of a file relative to the folder, with forward slashes."""
    return path.relative_to(root).as_posix()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is none of the user's own."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def _below(folder: Path, above: Ancestors, skipped: Counter[str]) -> Iterator[Path]:
    """Yield the files in a folder and in those below it; count the others."""
    status = folder.stat()
    own = (status.st_dev, status.st_ino)
    if own in above:
        skipped["links that lead back up"] += 1
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be opened: {error.strerror}") from error
    if above and not entries:
        skipped["empty folders"] += 1
    for entry in entries:
        path = Path(entry.path)
        if is_hidden(entry.name):
            skipped["hidden"] += 1
        elif entry.is_dir():
            yield from _below(path, (*above, own), skipped)
        elif entry.is_file():
            yield path
        elif entry.is_symlink():
            skipped["broken links"] += 1
        else:
            skipped["pipes or devices"] += 1
