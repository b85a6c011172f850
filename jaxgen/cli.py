"""The command line: `jaxgen VERB RUN`, and `launch` for the recipes.

Exit codes: 0 done; 1 a law of `jaxgen check` failed, or a defect of jaxgen; 2 a wrong flag or
setting, or a run folder that is in use; 3 data; 4 no run there, or a damaged checkpoint; 5 a value
that is not finite; 6 the disk; 75 asked to leave by a signal, nothing lost: start it again; 130
interrupted twice. An error is one to three lines; `--debug` shows its traceback.

Nothing heavy is imported at the top, so that `jaxgen --help` answers at once.
"""

import contextlib
import functools
import io
import logging
import os
import re
import shlex
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxgen import signals
from jaxgen.console import complain, say
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.lock import require_free

_DEBUG = "--debug"
_ABOUT = """Deep generative models: numbers, pictures and certificates from a run folder.

A run is trained by a recipe: python -m experiments.vae_digits"""


@dataclass(frozen=True)
class Workplace:
    """Where a recipe runs."""

    workdir: str
    """The run folder; started again in it, a run goes on."""
    tensorboard: bool = False
    """Write TensorBoard event files too."""
    on_nan: str = "stop"
    """At a step whose loss or gradient is not finite: stop, or skip:K to leave out up to K."""
    distributed: bool = False
    """One of several processes; the cluster, or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID say which (docs/scaling.md)."""


def launch(recipe: Callable[..., Any], argv: list[str] | None = None) -> int:
    """Runs a recipe as a command: its keyword arguments are the flags.

    Args:
      recipe: a function that returns an `Experiment`.
      argv: the arguments; default those of the process.

    Returns:
      The exit code.
    """
    name, argv = recipe.__name__, sys.argv[1:] if argv is None else argv

    def act(argv: list[str]) -> int:
        chosen = parsed(recipe, argv)
        place = chosen.place
        if not place.distributed:
            require_free(Path(place.workdir))
        _prepare_jax()
        from jaxgen import loop, parallel
        from jaxgen.stepping import OnNaN

        on_nan = OnNaN.parse(place.on_nan)
        with parallel.processes() if place.distributed else contextlib.nullcontext():
            loop.run(
                parallel.agreed(chosen.recipe),
                place.workdir,
                recipe=name,
                command=f"{_program(recipe)} {shlex.join(argv)}".strip(),
                tensorboard=place.tensorboard,
                on_nan=on_nan,
            )
        return 0

    return _guarded(act, argv)


def parsed(recipe: Callable[..., Any], argv: list[str]) -> Any:
    """The recipe with its flags bound, `.recipe()`, and the `Workplace` that is `.place`.

    Raises:
      ConfigError: an argument that is no flag, or a value that is none of its flag's.
    """
    place = Workplace(f"runs/{recipe.__name__}")
    command = make_dataclass(
        "Command",
        [
            ("recipe", Annotated[Any, tyro.conf.arg(name="", constructor=_deferred(recipe))]),
            ("place", Annotated[Workplace, tyro.conf.arg(name="")], place),
        ],
    )
    about = recipe.__doc__.partition("\n\n")[0]
    parser = functools.partial(tyro.cli, command)
    return _parse(parser, argv, prog=_program(recipe), description=about)


def main(argv: list[str] | None = None) -> int:
    """The command `jaxgen`."""
    from jaxgen import verbs

    commands = {verb.__name__: _deferred(verb) for verb in verbs.COMMANDS}

    def act(argv: list[str]) -> int:
        parser = functools.partial(tyro.extras.subcommand_cli_from_dict, commands)
        command = _parse(parser, argv or ["--help"], prog="jaxgen", description=_ABOUT)
        _prepare_jax()
        return command()

    return _guarded(act, sys.argv[1:] if argv is None else argv)


def _program(recipe):
    return f"python -m experiments.{recipe.__name__}"


def _deferred(function):
    """Has the signature of `function`, and returns a call of it that is yet to be made."""

    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Any:
        return functools.partial(function, *args, **kwargs)

    return bind


def _parse(parser, argv, *, prog, description):
    """What tyro makes of the arguments; its boxed complaints become a ConfigError."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return parser(args=argv, prog=prog, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(f"{_unboxed(printed.getvalue())}\nTry: {prog} --help") from None


def _unboxed(text):
    """One line from a box drawn by tyro, without its title and its hints for help."""
    lines = [re.sub(r"[│╭╮╰╯─]+|\x1b\[[0-9;]*m", " ", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("For full helptext")]
    return " ".join(lines[1:] if len(lines) > 1 else lines)


def _prepare_jax():
    """Memory and compiled programs are kept; warnings are one line each."""
    from jaxgen.memory import keep_freed_memory
    from jaxgen.threads import spare_thread

    keep_freed_memory()
    spare_thread()
    import jax

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgen" / "xla"
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    for name in ("absl", "asyncio"):  # what Orbax's threads log is raised too
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.showwarning = lambda message, *_: complain(f"warning: {message}")
    sys.unraisablehook = _without_late_reads
    threading.excepthook = _without_failed_saves


def _without_late_reads(unraisable):
    """Drops what TensorStore's pending reads say after one of them met a damaged file."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _without_failed_saves(args):
    """Drops what a thread of Orbax says before it hands its error to us."""
    frames = traceback.extract_tb(args.exc_traceback)
    if not any("orbax" in frame.filename for frame in frames):
        threading.__excepthook__(args)


def _guarded(act, argv):
    """Runs `act`; an error becomes its message and its exit code."""
    debug = _DEBUG in argv
    try:
        with signals.caught():
            return act([word for word in argv if word != _DEBUG])
    except JaxgenError as error:
        if debug:
            say(traceback.format_exc(), sys.stderr)
        complain(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
