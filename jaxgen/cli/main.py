"""The command line: `jaxgen VERB RUN`, `jaxgen train RECIPE`, and `launch` for your own recipes.

    if __name__ == "__main__":
        sys.exit(launch(my_recipe))         # its keyword arguments are the flags

Exit codes are in `process`. Nothing heavy is imported at the top, so that `jaxgen --help`,
`jaxgen recipes` and a wrong name are answered at once.
"""

import contextlib
import functools
import inspect
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxgen import __version__
from jaxgen.arguments import require_extra
from jaxgen.cli import recipes, verbs
from jaxgen.cli.parsing import deferred, parse
from jaxgen.cli.process import guarded, prepare_host, prepare_jax
from jaxgen.console import say
from jaxgen.errors import ConfigError
from jaxgen.loop import signals
from jaxgen.runs.lock import require_free

_ABOUT = """Deep generative models: training, numbers, pictures and certificates.

A recipe trains a model in a run folder (jaxgen recipes); the other verbs need that folder alone."""
_TRAIN = "jaxgen train"
_TRAIN_USAGE = f"""usage: {_TRAIN} RECIPE [flags]

Train a recipe; {_TRAIN} RECIPE --help shows its flags. The run folder is runs/RECIPE, or
--workdir FOLDER: started again in it, a run goes on where it was.
"""


@dataclass(frozen=True)
class Workplace:
    """The place that a recipe runs in."""

    workdir: str
    """The run folder; started again in it, a run goes on."""
    tensorboard: bool = False
    """Write TensorBoard event files too."""
    on_nan: str = "stop"
    """At a step whose loss or gradient is not finite: stop, or skip:K to leave out up to K."""
    distributed: bool = False
    """One of several processes; the cluster, or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID say which (docs/scaling.md)."""


def main(argv: list[str] | None = None) -> int:
    """Run the command `jaxgen` and return its exit code."""
    return guarded(_command, sys.argv[1:] if argv is None else argv)


def launch(recipe: Callable[..., Any], argv: list[str] | None = None) -> int:
    """Run a recipe as a command of its own: its keyword arguments are the flags.

    Args:
      recipe: a function that returns an `Experiment`.
      argv: the arguments; default those of the process.

    Returns:
      The exit code.
    """
    act = functools.partial(_train, recipe, _started_as())
    return guarded(act, sys.argv[1:] if argv is None else argv)


def parsed(recipe: Callable[..., Any], argv: list[str], program: str = "") -> Any:
    """Return the recipe with its flags bound, `.recipe()`, and the `Workplace` that is `.place`.

    Raises:
      ConfigError: an argument that is no flag, a value that is none of its flag's, or a recipe
        without a name.
    """
    name = _name(recipe)
    place = Workplace(f"runs/{name}")
    command = make_dataclass(
        "Command",
        [
            ("recipe", Annotated[Any, tyro.conf.arg(name="", constructor=deferred(recipe))]),
            ("place", Annotated[Workplace, tyro.conf.arg(name="")], place),
        ],
    )
    about = inspect.getdoc(recipe) or ""
    return parse(
        functools.partial(tyro.cli, command),
        argv,
        prog=program or _started_as() or name,
        description=about.partition("\n\n")[0],
    )


def _command(argv: list[str]) -> int:
    """Run `train`, which has the flags of its recipe, or one of the verbs."""
    if argv[:1] == ["train"]:
        return _train_by_name(argv[1:])
    if argv == ["recipes"]:
        return verbs.recipes()
    if argv == ["--version"]:
        say(f"jaxgen {__version__}")
        return 0
    commands = {verb.__name__: deferred(verb) for verb in verbs.COMMANDS}
    parser = functools.partial(tyro.extras.subcommand_cli_from_dict, commands)
    verb = parse(parser, argv or ["--help"], prog="jaxgen", description=_ABOUT)
    with signals.caught():
        if verb.func not in verbs.LIGHT:
            prepare_jax()
        return verb()


def _train_by_name(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        say(f"{_TRAIN_USAGE}\n{recipes.listing()}")
        return 0
    if not name or name.startswith("-"):
        raise ConfigError(f"train: name a recipe first: {_TRAIN} RECIPE\nTry: jaxgen recipes")
    of_user = recipes.own(name)
    if of_user is not None:
        return _train(of_user, f"{_started_as()} {name}", argv[1:])
    recipe = recipes.find(name)
    prepare_host()
    function = recipe.function()
    return _train(function, f"{_TRAIN} {name}", argv[1:])


def _train(recipe: Callable[..., Any], program: str, argv: list[str]) -> int:
    with signals.caught():
        chosen = parsed(recipe, argv, program)
        place = chosen.place
        if not place.distributed:
            require_free(Path(place.workdir))
            if place.tensorboard:
                require_extra("tensorboard", "--tensorboard")
        prepare_jax()
        from jaxgen import parallel
        from jaxgen.loop import loop
        from jaxgen.loop.dispatch import OnNaN

        on_nan = OnNaN.parse(place.on_nan)
        with parallel.distributed() if place.distributed else contextlib.nullcontext():
            loop.run(
                parallel.agreed(functools.partial(_made, recipe, chosen.recipe)),
                place.workdir,
                recipe=recipe.__name__,
                command=f"{program} {shlex.join(argv)}".strip() if program else "",
                tensorboard=place.tensorboard,
                on_nan=on_nan,
            )
    return 0


def _made(recipe: Callable[..., Any], bound: Callable[[], Any]) -> Any:
    """Return what a recipe makes. Raises ConfigError unless that is an Experiment."""
    from jaxgen.experiment import Experiment

    made = bound()
    if not isinstance(made, Experiment):
        raise ConfigError(
            f"{_name(recipe)}: returned {type(made).__name__}, expected an Experiment\n"
            "Try: return Experiment(model, settings, data, (optimizer,))"
        )
    return made


def _name(recipe: Callable[..., Any]) -> str:
    """Return the name of a recipe, which its run folder has too. Raises ConfigError without one."""
    name = getattr(recipe, "__name__", "")
    if not name.isidentifier():
        kind = name or type(recipe).__name__
        raise ConfigError(
            f"recipe: got a {kind}, expected a function with a name\n"
            "Try: def my_recipe(*, settings: CommonFlags = ...) -> Experiment"
        )
    return name


def _started_as() -> str:
    """Return how this process was started, for who wants to start it again; '' if by no file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":  # which is that of a folder or a zip file
        return f"python -m {spec.name.removesuffix('.__main__')}"
    if getattr(main, "__file__", None) is None:  # typed, piped, or in a notebook
        return ""
    return f"python {shlex.quote(sys.argv[0])}"


if __name__ == "__main__":
    sys.exit(main())
