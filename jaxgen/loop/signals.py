"""Leaving when asked: SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 (of SLURM, before the time is up).

    with caught():               # a signal raises PreemptedError, where nothing is lost by it
        ...
        with held() as asked:    # a signal waits until somebody looks at asked()
            ...
            with released():     # in here it raises again
                ...

What a signal raises is at first no `Exception`, so that nobody who catches all of these takes it
for a damaged file. A second SIGINT ends the process at once. Python runs a handler between two of
its own operations: a signal that comes while XLA compiles or a step runs is seen when that returns.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxgen.errors import PreemptedError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
INTERRUPTED_TWICE = 130


class _Asked(KeyboardInterrupt):
    """A signal came; asyncio and others let it pass."""


class _Watch:
    """The signal that came, and whether it has to wait."""

    asked: int | None = None
    interrupts = 0
    held = False
    depth = 0


_watch = _Watch()


@contextmanager
def caught() -> Iterator[None]:
    """Raise PreemptedError for a signal in here, on the main thread and in the outermost call."""
    if threading.current_thread() is not threading.main_thread() or _watch.depth:
        yield
        return
    before = {number: signal.signal(number, _arrived) for number in SIGNALS}
    _watch.asked = None
    _watch.interrupts = 0
    _watch.held = False
    _watch.depth = 1
    try:
        yield
    except _Asked:
        raise preempted() from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _watch.depth = 0


@contextmanager
def held() -> Iterator[Callable[[], bool]]:
    """Let signals wait in here; give a function that says whether one came."""
    before = _watch.held
    _watch.held = True
    try:
        yield _came
    finally:
        _watch.held = before


@contextmanager
def released() -> Iterator[None]:
    """Let a signal cut this part short, within `held`; also one that came before."""
    _watch.held = False
    try:
        if _watch.asked is not None:
            raise _Asked
        yield
    except _Asked:
        raise preempted() from None
    finally:
        _watch.held = True


@contextmanager
def reported() -> Iterator[None]:
    """Raise PreemptedError for a signal that comes between parts that hold signals."""
    try:
        yield
    except _Asked:
        raise preempted() from None


def preempted(detail: str = "nothing was lost") -> PreemptedError:
    """Return the error for the signal that came."""
    name = signal.Signals(_watch.asked).name if _watch.asked else "another process's signal"
    return PreemptedError(f"{name}: {detail}. Start it again to go on")


def _came() -> bool:
    return _watch.asked is not None


def _arrived(number: int, frame: Any) -> None:
    """Handle a signal: note it, and raise unless it has to wait."""
    del frame
    _watch.interrupts += number == signal.SIGINT
    if number == signal.SIGINT and _watch.interrupts > 1:
        sys.stderr.write("\nstopped: interrupted twice; the last checkpoint is kept\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED_TWICE)
    _watch.asked = number
    if not _watch.held:
        raise _Asked


def leave_at_once() -> None:
    """End the process at a signal while nothing has begun, with PreemptedError's exit code."""
    for number in SIGNALS:
        signal.signal(number, _gone)


def _gone(number: int, frame: Any) -> None:
    del frame
    sys.stderr.write(f"stopped: {signal.Signals(number).name}: nothing had begun\n")
    sys.stderr.flush()
    os._exit(PreemptedError.exit_code)
