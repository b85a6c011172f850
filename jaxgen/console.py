"""Printing: text that a file may have made is shown without what a terminal obeys."""

import logging
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_NO_TEXT = re.compile("[\udc80-\udcff]")  # bytes of a name, as `os.fsdecode` keeps them
_HIDDEN = ("Cc", "Cf", "Cs")  # control, formatting (also right-to-left marks), surrogates
_LINES = 3  # of a message
_LENGTH = 1000  # characters of a line of it


def printable(text: str) -> str:
    """Return the text without terminal escapes and invisible characters, but newline and tab.

    A byte of a file's name that is not UTF-8 is shown by its number, as Python writes it.
    """
    plain = _NO_TEXT.sub(_as_byte, ESCAPES.sub("", text))
    shown = [c for c in plain if c in "\n\t" or unicodedata.category(c) not in _HIDDEN]
    return "".join(shown)


def is_printable(text: str) -> bool:
    """Return whether nothing of the text is hidden by `printable`, or is more than one line."""
    plain = _NO_TEXT.sub("", text)
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in plain)  # any space


def _as_byte(match: re.Match[str]) -> str:
    """Return a byte that is no text as an escape."""
    return f"\\x{ord(match[0]) - 0xDC00:02x}"


def say(text: object, file: Any = None) -> None:
    """Print it, printable, on standard output or where `file` says.

    A character that is not in the encoding of the output is shown by its number.
    """
    encoding = getattr(file or sys.stdout, "encoding", None) or "utf-8"
    shown = printable(str(text)).encode(encoding, "backslashreplace").decode(encoding)
    print(shown, file=file, flush=True)


def complain(text: object) -> None:
    """Print a message on standard error: at most three lines, none without end."""
    lines = str(text)[: _LINES * _LENGTH].splitlines()[:_LINES]
    say("\n".join(line[:_LENGTH] for line in lines), sys.stderr)


def note(text: object) -> None:
    """Print a note on standard error: what nobody asked for but may need to know."""
    complain(f"note: {text}")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Orbax and TFDS, which log by absl, below an error."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(max(logging.ERROR, before))
    try:
        yield
    finally:
        logger.setLevel(before)
