"""The command line as a process, and the flags of a recipe."""

import statistics
import subprocess
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from jaxgen.cli.main import launch, main
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.loop.dispatch import OnNaN

ROOT = Path(__file__).parents[2]
LIGHT = "import sys, {act}; print('jax' in sys.modules, 'flax' in sys.modules)"


def timed(*command):
    began = time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.monotonic() - began, out.stdout


@pytest.mark.parametrize(
    "command",
    [[str(Path(sys.executable).parent / "jaxgen")], [sys.executable, "-m", "jaxgen"]],
    ids=["jaxgen", "python -m"],
)
def test_help_answers_at_once(command):
    runs = [timed(*command, "--help") for _ in range(3)]
    assert statistics.median(seconds for seconds, _ in runs) < 1.5
    for verb in ("recipes", "train", "evaluate", "check", "sample", "reconstruct", "report"):
        assert verb in runs[0][1]


def test_the_command_line_imports_nothing_heavy():
    assert timed(sys.executable, "-c", LIGHT.format(act="jaxgen.cli.main"))[1].split() == [
        "False",
        "False",
    ]


def test_no_verb_is_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert not stop.value.code
    assert "evaluate" in capsys.readouterr().out


def test_each_verb_has_help(capsys):
    for verb in ("evaluate", "check", "sample", "reconstruct", "interpolate", "report"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert not stop.value.code
        assert "run folder" in capsys.readouterr().out


ANSWERED = """
import sys
from jaxgen.cli.main import main
code = main(sys.argv[1:])
print({"jax", "flax", "numpy"} & set(sys.modules), code)
"""


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["recipes"], 0), (["train", "--help"], 0), (["train", "vae_digit"], 2), (["--version"], 0)],
    ids=["recipes", "train", "unknown", "version"],
)
def test_recipes_are_found_by_name_at_once(argv, code):
    runs = [timed(sys.executable, "-c", ANSWERED, *argv) for _ in range(3)]
    assert runs[0][1].splitlines()[-1] == f"set() {code}"
    assert statistics.median(seconds for seconds, _ in runs) < 1.5


def test_the_table_of_recipes_fits_a_terminal(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = (line for line in lines if "vae_linear_gaussian" in line)
    assert line.split()[1] == "linear_gaussian"
    assert lines[lines.index(line) - 1] == "The linear-Gaussian VAE (Tipping and Bishop, 1999)"


def test_the_table_of_recipes_says_how_to_train_and_what_must_be_fetched(capsys):
    from jaxgen.cli import recipes
    from jaxgen.data import load

    assert set(recipes.EMBEDDED) == set(sys.modules[load.__module__].EMBEDDED)
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "jaxgen train NAME" in lines[-1]
    marked = {
        line.split()[0]: line.split()[2] for line in lines if line.split()[2:3] in (["*"], ["+"])
    }
    assert marked == {
        "gated_pixel_cnn_cifar10": "+",
        "nade_fashion_mnist": "*",
        "pixel_cnn_fashion_mnist": "*",
        "dcgan_fashion_mnist": "*",
        "dcgan_celeba": "+",
        "ddpm_fashion_mnist": "*",
        "vae_fashion_mnist": "*",
    }
    for mark in "*+":
        assert any(line.startswith(f"{mark}  ") and "--data." in line for line in lines)


def test_an_unknown_recipe_names_those_that_are_near(capsys):
    assert main(["train", "vae_digit", "--steps", "3"]) == 2
    said = capsys.readouterr().err
    assert "'vae_digit'" in said
    assert "Near it: vae_digits" in said
    assert main(["train", "--steps", "3"]) == 2
    assert "name a recipe first" in capsys.readouterr().err


def test_train_runs_a_recipe_and_records_how_to_start_it_again(monkeypatch, capsys):
    from jaxgen.loop import loop

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(loop, "run", lambda *x, **more: seen.append((*x, more)))
    assert main(["train", "vae_digits", "--steps", "5", "--debug", "--beta", "2"]) == 0
    ((experiment, workdir, more),) = seen
    assert experiment.settings.steps == 5
    assert experiment.model.beta == 2
    assert workdir == "runs/vae_digits"
    assert more["recipe"] == "vae_digits"
    assert more["command"] == "jaxgen train vae_digits --steps 5 --beta 2"
    assert main(["train", "vae_digits", "--stepz", "5"]) == 2
    assert "Try: jaxgen train vae_digits --help" in capsys.readouterr().err


@pytest.mark.parametrize("door", ["experiments", "jaxgen"])
def test_modules_are_the_same_command(door):
    argv = ["vae_digit"] if door == "experiments" else ["train", "vae_digit"]
    command = [sys.executable, "-m", door, *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Near it: vae_digits" in done.stderr


@pytest.fixture
def launched(monkeypatch):
    """Launches a recipe and returns what would have been trained, and how."""
    from jaxgen.loop import loop

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(loop, "run", lambda *x, **more: seen.append((*x, more)))

    def go(*argv):
        assert launch(recipe, list(argv)) == 0
        return seen[-1]

    return go


def recipe(*, settings: CommonFlags = Settings(steps=7), width: int = 3) -> Experiment:  # noqa: B008
    """A recipe.

    Args:
      settings: the flags every recipe has.
      width: of something.
    """
    return Experiment(width, settings)


def test_a_recipe_of_ones_own_runs_at_its_defaults(launched, monkeypatch):
    own = ModuleType("__main__")
    own.__spec__ = ModuleSpec("somewhere.__main__", None)
    monkeypatch.setitem(sys.modules, "__main__", own)
    experiment, workdir, more = launched()
    assert experiment == Experiment(3, Settings(steps=7))
    assert workdir == "runs/recipe"
    assert more == {
        "recipe": "recipe",
        "command": "python -m somewhere",
        "tensorboard": False,
        "on_nan": OnNaN(),
    }


def test_every_keyword_is_a_flag(launched, monkeypatch):
    monkeypatch.setattr(sys.modules[launch.__module__], "_started_as", lambda: "python mine.py")
    flags = ["--steps", "9", "--width", "4", "--workdir", "w", "--precision", "bfloat16"]
    experiment, workdir, more = launched(*flags, "--tensorboard", "--seed", "5")
    assert experiment == Experiment(4, Settings(steps=9, precision="bfloat16", seed=5))
    assert workdir == "w"
    assert more["tensorboard"] is True
    assert more["command"] == (
        "python mine.py --steps 9 --width 4 --workdir w --precision bfloat16 --tensorboard --seed 5"
    )


def test_debug_may_stand_anywhere(launched):
    assert launched("--debug", "--steps", "9")[0].settings.steps == 9


INTERRUPTED = """
import os, signal, sys
from jaxgen.cli.main import launch
from jaxgen.loop import loop
from test_main import recipe

loop.run = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)
before = signal.getsignal(signal.SIGINT)
code = launch(recipe, [])
assert signal.getsignal(signal.SIGINT) is before
sys.exit(code)
"""


def test_a_signal_is_75_and_says_how_to_go_on():
    """In a process of its own: a signal may fall into whatever runs in this one."""
    line = [sys.executable, "-c", INTERRUPTED]
    here = Path(__file__).parent
    done = subprocess.run(line, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 75, done.stderr
    assert done.stderr == "stopped: SIGINT: nothing was lost. Start it again to go on\n"


UNREAD = """
import os, sys
from jaxgen.cli.main import main
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(reader)  # as `head -0` does
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("verb", ["evaluate", "recipes", "--help"])
def test_a_reader_that_has_seen_enough_is_no_error(verb, copied):
    argv = [verb, str(copied), "--num-samples", "2"] if verb == "evaluate" else [verb]
    (copied / "evaluation.json").unlink(missing_ok=True)
    line = [sys.executable, "-c", UNREAD, *argv]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (copied / "evaluation.json").exists() is (verb == "evaluate")
