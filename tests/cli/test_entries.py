"""Every way in does something, is recorded as it was, and fails before it has done anything."""

import configparser
import importlib
import runpy
import signal
import sys
import textwrap
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from jaxgen import arguments
from jaxgen.cli import recipes
from jaxgen.cli.main import launch
from jaxgen.cli.process import guarded
from jaxgen.errors import ConfigError
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.loop import loop, signals
from jaxgen.vae import vae

ROOT = Path(__file__).parents[2]
OUTER = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    """Put back what a command sets for its process."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in OUTER}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run_module(name, argv, monkeypatch):
    """Run a module as `python -m` does and return its exit code."""
    monkeypatch.setattr(sys, "argv", [name, *argv])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(name, run_name="__main__")
    return stop.value.code


@pytest.mark.parametrize("entry", ["jaxgen.__main__", "jaxgen.cli.__main__", "jaxgen.cli.main"])
@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [(["--version"], 0, "jaxgen "), (["evaluate", "/nonexistent"], 4, "no run here")],
    ids=["version", "evaluate"],
)
def test_every_module_of_the_command_line_is_the_command(
    entry, argv, code, said, monkeypatch, capsys
):
    assert run_module(entry, argv, monkeypatch) == code
    assert said in "".join(capsys.readouterr())


FILES = sorted({recipe.module for recipe in recipes.table().values()})


@pytest.mark.parametrize("module", FILES)
def test_a_file_of_recipes_that_is_run_trains(module, monkeypatch, capsys):
    assert run_module(f"experiments.{module}", [], monkeypatch) == 2
    assert "name a recipe first" in capsys.readouterr().err


def mine(*, settings: CommonFlags = Settings(steps=2, batch_size=8), width: int = 3) -> Experiment:  # noqa: B008
    return Experiment(vae.mlp((8, 8, 1), latent_dim=1, hidden=(width,)), settings)


def bare(width=3):
    return mine(width=width)


def open_ended(**more):
    return mine(**more)


@pytest.fixture
def started(monkeypatch):
    """Launches a recipe and returns what would have been recorded of it."""
    seen = []
    monkeypatch.setattr(loop, "run", lambda *_, **more: seen.append(more))

    def go(recipe, *argv):
        assert launch(recipe, list(argv)) == 0
        return seen[-1]

    return go


@pytest.mark.parametrize("recipe", [mine, bare, open_ended])
def test_a_recipe_needs_no_docstring(recipe, started):
    assert recipe.__doc__ is None
    assert started(recipe)["recipe"] == recipe.__name__


OWN = """
import sys
from jaxgen.__main__ import train
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.vae import vae


def NAME(*, settings: CommonFlags = Settings(steps=3), width: int = 5) -> RETURNS:
    return Experiment(vae.mlp((8, 8, 1), latent_dim=1, hidden=(width,)), settings)


if __name__ == "__main__":
    sys.exit(train())
"""


@pytest.mark.parametrize("name", ["vae_digits", "dcgan_digits", "my_own"])
@pytest.mark.parametrize("returns", ["Experiment", '"Experiment"'])
def test_a_file_of_ones_own_trains_its_own_recipe(name, returns, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "run", lambda make, *_, **more: seen.append((make, more)))
    file = tmp_path / "own.py"
    file.write_text(OWN.replace("NAME", name).replace("RETURNS", returns))
    main = ModuleType("__main__")
    main.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["own.py", name, "--width", "4"])
    with pytest.raises(SystemExit) as stop:
        exec(compile(file.read_text(), str(file), "exec"), main.__dict__)
    assert stop.value.code == 0
    ((experiment, told),) = seen
    assert experiment.model.encoder.hidden == (4,)
    assert told["command"] == f"python own.py {name} --width 4"


@pytest.mark.parametrize("name", ["main", "train", "Experiment", "no_such"])
def test_what_a_file_only_imports_is_no_recipe_of_its_own(name, monkeypatch):
    main = ModuleType("__main__")
    main.__file__ = "/a/own.py"
    main.Experiment = Experiment
    main.train = main.main = launch
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert recipes.own(name) is None


def nothing():
    """Return no experiment."""


def its_model():
    """Return the model without an experiment around it."""
    return mine().model


def clashing(*, workdir: str = "x"):
    """Have a flag that every recipe has."""
    return mine()


class Called:
    """Something that is called, and is no function."""

    def __call__(self):
        """Return an experiment."""
        return mine()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (nothing, "nothing: returned NoneType, expected an Experiment"),
        (its_model, "its_model: returned VAE, expected an Experiment"),
        (clashing, "the same flag"),
        (lambda: mine(), "recipe: got a <lambda>, expected a function with a name"),
        (partial(mine, width=4), "recipe: got a partial"),
        (Called(), "recipe: got a Called"),
    ],
    ids=["nothing", "model", "clash", "lambda", "partial", "object"],
)
def test_what_is_no_recipe_is_a_line(recipe, said, started, capsys):
    assert launch(recipe, []) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[0]
    assert len(lines) <= 3


@pytest.mark.parametrize(
    ("name", "file", "argv0", "command"),
    [
        ("mine.tools", "tools.py", "/a/tools.py", "python -m mine.tools --width 4"),
        ("mine.__main__", "__main__.py", "/a/mine/__main__.py", "python -m mine --width 4"),
        (None, "mine.py", "mine.py", "python mine.py --width 4"),
        (None, "my recipe.py", "my recipe.py", "python 'my recipe.py' --width 4"),
        ("__main__", "folder/__main__.py", "folder", "python folder --width 4"),
        (None, None, "", ""),
        (None, None, "-c", ""),
    ],
    ids=["module", "package", "file", "spaces", "folder", "typed", "code"],
)
def test_a_recorded_command_is_one_that_can_be_given(
    name, file, argv0, command, started, monkeypatch
):
    main = ModuleType("__main__")
    main.__spec__ = name and ModuleSpec(name, None)
    if file:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", [argv0])
    assert started(mine, "--width", "4")["command"] == command


def test_extras_are_those_of_the_wheel():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    for extra, (module, requirement) in arguments.EXTRAS.items():
        assert extras[extra].split() == [requirement]
        importlib.import_module(module)


def broken(name):
    """Fail as the import of a package does whose own dependency is missing."""
    raise ImportError(f"cannot import what {name} needs")


def missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)


def damaged(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", broken)


@pytest.mark.parametrize("how", [missing, damaged])
def test_an_extra_that_is_missing_is_said_before_the_recipe_runs(
    how, monkeypatch, tmp_path, capsys
):
    how(monkeypatch)

    def late() -> Experiment:
        """Load data, which may take minutes."""
        raise AssertionError

    assert launch(late, ["--tensorboard", "--workdir", str(tmp_path / "runs" / "x")]) == 2
    said = capsys.readouterr().err
    assert "--tensorboard: the package tensorboardX" in said
    assert "pip install 'tensorboardX>=2.6.4'\n" in said
    assert "pip install 'jaxgen[tensorboard]'" in said
    assert list(tmp_path.iterdir()) == []


def test_an_extra_is_asked_for_before_the_folder_is_made(monkeypatch, tmp_path):
    missing(monkeypatch)
    with pytest.raises(ConfigError, match="pip install"):
        loop.run(mine(), tmp_path / "run", tensorboard=True)
    assert list(tmp_path.iterdir()) == []


class FailsError(Exception):
    """An error that is not jaxgen's."""


@pytest.mark.parametrize(
    "at", ["Checkpoints", "_Session._first_state", "Status", "_Session._journal"]
)
def test_a_start_that_fails_leaves_no_folder(at, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise FailsError

    owner, _, name = at.rpartition(".")
    monkeypatch.setattr(getattr(loop, owner) if owner else loop, name, fail)
    with pytest.raises(FailsError):
        loop.run(mine(), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()  # the user's own, with what is in it
    (tmp_path / "run" / "notes").write_text("")
    with pytest.raises(FailsError):
        loop.run(mine(), tmp_path / "run")
    assert (tmp_path / "run" / "notes").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_who_is_stopped_is_told_so_and_not_of_an_error(name, monkeypatch, capsys):
    def leave(argv):
        del argv
        monkeypatch.setattr(signals._watch, "asked", getattr(signal, name))
        raise signals.preempted("step 3 is saved")

    assert guarded(leave, []) == 75
    said = capsys.readouterr().err
    assert said == f"stopped: {name}: step 3 is saved. Start it again to go on\n"


TABLE = {
    "documented": '"""A model."""\n\ndef one() -> Experiment:\n    """Train it."""\n',
    "silent": "def two() -> Experiment:\n    return 0\n",
    "named": "def three(*, data=Data(name='bars')) -> Experiment:\n    return 0\n",
    "computed": "def four(*, data=Data(WHERE / 'x')) -> Experiment:\n    return 0\n",
}


@pytest.fixture
def folder_of_recipes(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(recipes, "_package", lambda: ("own", tmp_path))
    for name, text in TABLE.items():
        (tmp_path / "mine" / f"{name}.py").write_text(textwrap.dedent(text))
    return tmp_path / "mine"


def test_a_recipe_without_a_docstring_is_in_the_table(folder_of_recipes):
    lines = recipes.listing().splitlines()
    for model, line in (
        ("A model", "  one    digits         Train it"),
        ("silent", "  two    digits         No description"),
        ("named", "  three  bars           No description"),
        ("computed", "  four   WHERE / 'x' +  No description"),
    ):
        assert lines[lines.index(model) + 1] == line


@pytest.mark.parametrize("text", [b"def x(:\n", b"x = '\xff'\n", b"x\x00\n"])
def test_a_file_of_recipes_that_is_not_python_is_named(text, folder_of_recipes):
    (folder_of_recipes / "torn.py").write_bytes(text)
    with pytest.raises(ConfigError, match=r"torn\.py"):
        recipes.find("one")
