"""Arguments: tyro makes flags of a signature; its boxed complaints become one line."""

import contextlib
import functools
import io
import re
from collections.abc import Callable
from typing import Any

from jaxgen.errors import ConfigError

_BOX = re.compile(r"[│╭╮╰╯─]+|\x1b\[[0-9;]*m")


def deferred(function: Callable[..., Any]) -> Callable[..., functools.partial]:
    """Return a function of the same signature that returns the call, yet to be made."""

    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> functools.partial:
        return functools.partial(function, *args, **kwargs)

    return bind


def parse(parser: Callable[..., Any], argv: list[str], *, prog: str, description: str) -> Any:
    """Return what tyro makes of the arguments.

    Raises:
      ConfigError: an argument that is no flag, a value that is none of its flag's, or a function
        that has the same flag twice.
      SystemExit: help was asked for, and is printed.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return parser(args=argv, prog=prog, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ConfigError(f"{_unboxed(printed.getvalue())}\nTry: {prog} --help") from None
    except AssertionError as error:
        if "conflict" not in str(error):
            raise
        raise ConfigError(f"{prog}: two of its arguments are the same flag: rename one") from error


def _unboxed(text: str) -> str:
    """Return one line of a box drawn by tyro, without its title and its hints for help."""
    lines = [_BOX.sub(" ", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("For full helptext")]
    return " ".join(lines[1:] if len(lines) > 1 else lines)
