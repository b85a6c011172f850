"""What is printed and shown: text that a file may have made, without what a terminal obeys."""

import logging
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_HIDDEN = ("Cc", "Cf", "Cs")  # control, formatting (also right-to-left marks), surrogates
_LINES, _LENGTH = 3, 1000  # of a message


def printable(text: str) -> str:
    """The text without terminal escapes and invisible characters, but for newline and tab."""
    text = ESCAPES.sub("", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _HIDDEN)


def say(text: object, file: Any = None) -> None:
    """Prints it, printable, on standard output or where `file` says."""
    print(printable(str(text)), file=file)


def complain(text: object) -> None:
    """Prints a message on standard error: at most three lines, none without end."""
    lines = str(text)[: _LINES * _LENGTH].splitlines()[:_LINES]
    say("\n".join(line[:_LENGTH] for line in lines), sys.stderr)


def first_line(error: object) -> str:
    """What an error says, cut to one line of a message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


@contextmanager
def quiet() -> Iterator[None]:
    """Orbax and TFDS, which log by absl, say nothing below an error."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(max(logging.ERROR, before))
    try:
        yield
    finally:
        logger.setLevel(before)
