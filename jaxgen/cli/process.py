"""The frame around a command: errors become exit codes, warnings a line, and jax is set up.

Exit codes: 0 done; 1 a law of `jaxgen check` failed, or a defect of jaxgen; 2 a wrong flag or
setting, or a run folder that is in use; 3 data; 4 no run there, or a damaged checkpoint; 5 a value
that is not finite; 6 the disk; 75 stopped by a signal, nothing lost: start it again; 130
interrupted twice. An error is one to three lines; `--debug` shows its traceback.
"""

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from jaxgen.console import complain, say
from jaxgen.errors import JaxgenError, PreemptedError

_DEBUG = "--debug"


def guarded(act: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command and return its exit code; an error becomes its message and its code."""
    debug = _DEBUG in argv
    words = [word for word in argv if word != _DEBUG]
    try:
        return act(words)
    except PreemptedError as stop:  # what was asked for; nothing failed
        complain(f"stopped: {stop}")
        return stop.exit_code
    except JaxgenError as error:
        if debug:
            say(traceback.format_exc(), sys.stderr)
        complain(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:
        hush()
        return 0
    finally:
        flush()


def flush() -> None:
    """Hand over what was printed; a reader that has seen enough is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        hush()


def hush() -> None:
    """Let standard output lead nowhere, for its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def prepare_host() -> None:
    """Set up memory and threads, which jax reads when it is imported."""
    from jaxgen.loop.host import keep_freed_memory, spare_thread

    keep_freed_memory()
    spare_thread()


def prepare_jax() -> None:
    """Keep memory and compiled programs; make a line of each warning."""
    prepare_host()
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(caches / "jaxgen" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    for name in ("absl", "asyncio"):  # what Orbax's threads log is raised too
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.showwarning = _warn
    sys.unraisablehook = _without_late_reads
    threading.excepthook = _without_failed_saves


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    complain(f"warning: {message}")


def _without_late_reads(unraisable: Any) -> None:
    """Drop what TensorStore's pending reads say after one of them met a damaged file."""
    closed = str(unraisable.exc_value) == "Event loop is closed"
    if not closed and not _from_orbax(unraisable.exc_traceback):
        sys.__unraisablehook__(unraisable)


def _without_failed_saves(args: threading.ExceptHookArgs) -> None:
    """Silence the traceback of an Orbax thread; its error is raised again where we wait."""
    if not _from_orbax(args.exc_traceback):
        threading.__excepthook__(args)


def _from_orbax(trace: TracebackType | None) -> bool:
    """Say whether an error passed through Orbax."""
    return any("orbax" in frame.filename for frame in traceback.extract_tb(trace))
