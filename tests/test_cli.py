"""The command line as a process, and the flags of a recipe."""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxgen.cli import launch, main
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.stepping import OnNaN

LIGHT = "import sys, jaxgen.cli; {act}; print('jax' in sys.modules, 'flax' in sys.modules)"


def timed(*command):
    began = time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.monotonic() - began, out.stdout


@pytest.mark.parametrize(
    "command",
    [[str(Path(sys.executable).parent / "jaxgen")], [sys.executable, "-m", "jaxgen.cli"]],
    ids=["jaxgen", "python -m"],
)
def test_help_answers_at_once(command):
    if len(command) > 1:
        command = [
            sys.executable,
            "-c",
            "import sys; from jaxgen.cli import main; main(sys.argv[1:])",
        ]
    runs = [timed(*command, "--help") for _ in range(3)]
    assert statistics.median(seconds for seconds, _ in runs) < 1.5
    for verb in ("evaluate", "check", "sample", "reconstruct", "interpolate", "report"):
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


@pytest.fixture
def launched(monkeypatch):
    """Launches a recipe and returns what would have been trained, and how."""
    from jaxgen import loop

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


def test_a_recipe_runs_at_its_defaults(launched):
    experiment, workdir, more = launched()
    assert experiment == Experiment(3, Settings(steps=7))
    assert workdir == "runs/recipe"
    assert more == {
        "recipe": "recipe",
        "command": "python -m experiments.recipe",
        "tensorboard": False,
        "on_nan": OnNaN(),
    }


def test_every_keyword_is_a_flag(launched):
    flags = ["--steps", "9", "--width", "4", "--workdir", "w", "--precision", "bfloat16"]
    experiment, workdir, more = launched(*flags, "--tensorboard", "--seed", "5")
    assert experiment == Experiment(4, Settings(steps=9, precision="bfloat16", seed=5))
    assert workdir == "w"
    assert more["tensorboard"] is True
    assert more["command"].endswith(
        "--steps 9 --width 4 --workdir w --precision bfloat16 --tensorboard --seed 5"
    )


def test_debug_may_stand_anywhere(launched):
    assert launched("--debug", "--steps", "9")[0].settings.steps == 9


def test_a_signal_is_75_and_says_how_to_go_on(capsys, monkeypatch):
    from jaxgen import loop

    def interrupt(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(loop, "run", interrupt)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = signal.getsignal(signal.SIGINT)
    assert launch(recipe, []) == 75
    assert capsys.readouterr().err == "error: SIGINT: nothing was lost. Start it again to go on\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_reader_that_has_seen_enough_is_no_error(finished):
    line = f"{Path(sys.executable).parent}/jaxgen evaluate {finished} | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
