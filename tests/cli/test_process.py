"""What libraries say behind a command's back: dropped where it is known noise, and only there."""

import sys
import threading
from types import SimpleNamespace

import pytest

from jaxgen.cli import process

ORBAX = "/site-packages/orbax/checkpoint/_src/serialization/serialization.py"
OURS = "/site-packages/jaxgen/loop/loop.py"


def raised(file, text):
    """Return an error that was raised in a function of that file."""
    try:
        exec(compile(f"raise Exception({text!r})", file, "exec"))
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        (ORBAX, "Encountered error while reading array index: ()", False),
        (ORBAX, "another of its errors", False),
        (OURS, "Event loop is closed", False),
        (OURS, "of ours", True),
    ],
)
def test_an_error_nobody_can_catch_is_told_unless_a_damaged_file_made_it(
    file, text, told, monkeypatch
):
    error, seen = raised(file, text), []
    monkeypatch.setattr(sys, "__unraisablehook__", seen.append)
    unraisable = SimpleNamespace(exc_value=error, exc_traceback=error.__traceback__)
    process._without_late_reads(unraisable)
    assert seen == [unraisable] * told


@pytest.mark.parametrize(("file", "told"), [(ORBAX, False), (OURS, True)])
def test_an_error_of_a_thread_is_told_unless_it_is_handed_to_us(file, told, monkeypatch):
    error, seen = raised(file, "no space"), []
    monkeypatch.setattr(threading, "__excepthook__", seen.append)
    args = threading.ExceptHookArgs((type(error), error, error.__traceback__, None))
    process._without_failed_saves(args)
    assert seen == [args] * told
