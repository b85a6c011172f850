"""The command line in this process, watched: what it opened and executed, said, and took."""

import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaxgen.cli.main import main

ROOT = Path(__file__).parents[2]
LIMIT = 5  # seconds a command may take
_EXECUTES = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pickle.find_class"),
    *("socket.connect", "socket.getaddrinfo", "ctypes.dlopen", "webbrowser.open"),
)
_LIBRARIES = (str(ROOT / ".venv"), sys.prefix, sys.base_prefix + "/lib", "<frozen")
_OURS = (
    *(str(ROOT / name) for name in ("jaxgen", "experiments", "tests")),
    *(*_LIBRARIES, "/proc/", "/sys/", "/dev/null"),
)
_armed: list | None = None


def _hook(event, args):
    if _armed is None:
        return
    if event == "open":
        _armed.append((event, _place(*args)))
    elif event == "exec":
        _armed.append((event, (args[0].co_filename, sys._getframe(1).f_code.co_filename)))
    elif event in _EXECUTES or event == "import":
        _armed.append((event, args))


sys.addaudithook(_hook)  # for ever, hence `_armed`


@dataclass(frozen=True)
class Outcome:
    """What became of a command."""

    code: int
    out: str
    err: str
    seconds: float
    growth: int  # bytes of memory at the highest, over those before
    events: list

    def wrong(self, folder, *more):
        """The events that must not be: code of the folder, files outside `folder` and `more`."""
        good = [*_OURS, *(str(path.resolve()) for path in (folder, *more))]
        return [event for event in self.events if not _harmless(*event, good)]


def command(act, capsys):
    """Runs `act()`, which returns an exit code, watched."""
    global _armed
    capsys.readouterr()
    before, began = _memory("VmRSS"), time.monotonic()
    Path("/proc/self/clear_refs").write_text("5")  # the highest begins anew
    events = []
    with _in_time():
        _armed = events
        try:
            code = act()
        finally:
            _armed = None
    seconds, growth = time.monotonic() - began, _memory("VmHWM") - before
    said = capsys.readouterr()
    return Outcome(code, said.out, said.err, seconds, growth, events)


def jaxgen(*argv):
    """A call of the command line."""
    return lambda: main([str(word) for word in argv])


@contextmanager
def _in_time():
    """A command that waits for ever is stopped."""

    def stop(*_):
        pytest.fail(f"no answer within {4 * LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(4 * LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _place(path, mode, flags):
    """Where a file that is opened is, links followed as far as they are."""
    if isinstance(path, int):
        return ""
    folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
    if flags & os.O_NOFOLLOW:
        return os.path.join(os.path.realpath(folder), name)
    return os.path.realpath(os.path.join(folder, name))


def _harmless(event, args, good):
    if event == "exec":  # of a module, or of what the type checker and tyro write themselves
        code, caller = args
        return code.startswith(("<", *_OURS)) and caller.startswith(_LIBRARIES)
    if event == "import":
        return args[0] not in ("antigravity", "this", "evil")
    return event == "open" and (not args or args.startswith(tuple(good)))
