"""Asked to leave in every phase of a run: soon gone, by exit code 75, and resumed bit for bit."""

import signal
import subprocess
import sys
import time

import pytest
from nursery import COMMON, MODELS, ROOT
from tiny_runs import assert_same, best, metrics, restored, temporary

import jaxgen
from jaxgen.files import read_json

SECONDS = 5.0  # of a step or a batch and the save
# phase: (the function in which the signal comes, at its n-th call, seconds later, the step saved)
PHASES = {
    "data": ("jaxgen.data:load", 1, 0, None),
    "a reader of data": ("jaxgen.data.readers.digits:read", 1, 0, None),
    "first state": ("jaxgen.parallel:replicate", 1, 0, None),
    "compiling": ("jaxgen.loop.journal:Journal.say", 2, 0.1, 5),
    "a step": ("jaxgen.loop.journal:Journal.add", 5, 0, 25),
    "the evaluation": ("jaxgen.loop.validate:measure", 1, 0, 40),
    "the picture": ("jaxgen.figures.gallery:progress", 2, 0, 80),
    "a save": ("jaxgen.runs.checkpoint:checksums", 3, 0, 15),
    "a commit": ("orbax.checkpoint:CheckpointManager.save", 4, 0.005, None),
    "the last evaluation": ("jaxgen.loop.validate:measure", 3, 0, 120),
    "the last picture": ("jaxgen.figures.gallery:progress", 3, 0, 120),
    "the last save": ("jaxgen.loop.stage:StageTraining._last_save", 1, 0, 120),
}
ONE_BY_ONE = {"compiling": 1, "a step": 5}  # the step saved where a dispatch is a step
FAST = {("a step", "vae", "SIGTERM"), ("the last evaluation", "vae", "SIGUSR1"),
        ("compiling", "vae", "SIGINT")}  # fmt: skip
CASES = [
    pytest.param(*case, marks=[] if case in FAST else [pytest.mark.chaos], id=", ".join(case))
    for case in sorted(FAST | {(phase, model, "SIGTERM") for phase in PHASES for model in MODELS})
]


@pytest.mark.parametrize(("phase", "model", "name"), CASES)
def test_a_signal_is_obeyed_soon_and_loses_nothing(
    phase, model, name, nursery, whole, tmp_path, tfds_dir
):
    place, call, delay, step = PHASES[phase]
    step = ONE_BY_ONE.get(phase, step) if model == "gan" else step
    folder, stamp = tmp_path / "run", tmp_path / "stamp"
    more = {"patches": [[name, place, call, delay]], "env": {"SIGNALLED": str(stamp)}}
    reference = whole(model)
    code = nursery.run(model, folder, tfds_dir, **more)
    took = time.time() - float(stamp.read_text())
    said = (tmp_path / "run.log").read_text()
    finished = phase == "the last save"  # it had nothing left to do
    assert code == (0 if finished else 75), said
    assert took < SECONDS, said
    assert "Traceback" not in said
    assert finished or f"stopped: {name}" in said.splitlines()[-1]
    if step is not None:
        assert restored(jaxgen.load(reference).experiment, folder).step == step, said
    began = (folder / "STATUS.json").exists()
    assert nursery.run(model, folder, tfds_dir) == 0
    assert_same_run(folder, reference)
    status = read_json(folder / "STATUS.json")
    assert (status["state"], status["step"], status["exit_code"]) == ("finished", 120, 0)
    assert (status["restarts"], status["lost_steps"]) == (int(began and not finished), 0)
    assert 0 < status["goodput"] <= 1


def test_a_signal_while_a_checkpoint_is_read_is_no_damage(nursery, whole, tmp_path, tfds_dir):
    """Who catches every error in there must not take it for one."""
    folder, stamp = tmp_path / "run", tmp_path / "stamp"
    assert nursery.run("vae", folder, tfds_dir, flags={"steps": 80}) == 0
    steps = sorted(path.name for path in (folder / "checkpoints").iterdir())
    more = {"patches": [["SIGTERM", "orbax.checkpoint:CheckpointManager.restore", 2, 0]]}
    code = nursery.run("vae", folder, tfds_dir, env={"SIGNALLED": str(stamp)}, **more)
    assert code == 75, (tmp_path / "run.log").read_text()
    assert stamp.exists()
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == steps
    assert nursery.run("vae", folder, tfds_dir) == 0
    assert_same_run(folder, whole("vae"))


def assert_same_run(folder, reference):
    experiment = jaxgen.load(reference).experiment
    state = restored(experiment, folder)
    assert int(state.step) == COMMON["steps"]
    assert_same(state, restored(experiment, reference))
    assert metrics(folder) == metrics(reference)
    assert best(folder) == best(reference)
    names = {path.name for path in (reference / "samples").iterdir()}
    assert {path.name for path in (folder / "samples").iterdir()} == names
    assert [path for path in temporary(folder) if path.is_dir()] == []


@pytest.mark.parametrize(
    "between", [[], [["SIGTERM", "jaxgen.loop.stage:StageTraining._leave", 1, 0]]]
)
def test_a_second_interrupt_leaves_at_once(between, nursery, tmp_path, tfds_dir):
    """The first one waits for a save that takes long; another signal may come in between."""
    stamp = tmp_path / "stamp"
    first = ["SIGINT", "jaxgen.loop.journal:Journal.add", 5, 0]
    patches = [first, *between, ["SIGINT", "jaxgen.loop.stage:StageTraining._last_save", 1, 0]]
    more = {"patches": patches, "env": {"SIGNALLED": str(stamp)}}
    assert nursery.run("vae", tmp_path / "run", tfds_dir, **more) == 130
    assert time.time() - float(stamp.read_text()) < 1
    assert "interrupted twice" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_while_modules_are_imported(name, tmp_path):
    number = getattr(signal, name)
    child = subprocess.Popen(
        [
            sys.executable,
            "-v",
            "-m",
            "experiments",
            "vae_digits",
            "--workdir",
            str(tmp_path / "run"),
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in child.stderr:  # -v names each module as it is found
        if line.startswith("import 'numpy'"):
            break
    child.send_signal(number)
    _, said = child.communicate(timeout=SECONDS)
    assert child.returncode == 75
    assert f"stopped: {name}: nothing had begun" in said
    assert not (tmp_path / "run").exists()


def test_a_verb_leaves_too(finished, tmp_path):
    out = tmp_path / "samples.png"
    code = (
        "import os, signal, sys\n"
        "from jaxgen.cli.main import main\n"
        "from jaxgen.evaluation import generate\n"
        "real = generate.samples\n"
        "def draw(*a, **k): os.kill(os.getpid(), signal.SIGTERM); return real(*a, **k)\n"
        "generate.samples = draw; sys.exit(main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", code, "sample", str(finished), "--out", str(out)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 75, done.stderr
    assert done.stderr.splitlines()[-1].startswith("stopped: SIGTERM")
    assert list(tmp_path.iterdir()) == []


PUT_BACK = """
import os, signal, sys
from pathlib import Path
from jaxgen.errors import PreemptedError
from jaxgen.loop import signals

def handlers():
    return [signal.getsignal(number) for number in signals.SIGNALS]

before = handlers()
try:
    with signals.caught():
        os.kill(os.getpid(), signal.SIGUSR1)
        Path("never").touch()
except PreemptedError as error:
    print(error)
assert handlers() == before
with signals.caught(), signals.held() as asked:
    os.kill(os.getpid(), signal.SIGUSR1)
    print("asked", asked() == signal.SIGUSR1 or asked())
    try:
        with signals.released():
            Path("never").touch()
    except PreemptedError:
        print("released")
assert handlers() == before
"""


def test_handlers_are_put_back(tmp_path):
    """In a process of its own: a signal may fall into whatever runs in this one."""
    line = [sys.executable, "-c", PUT_BACK]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, asked, released = done.stdout.splitlines()
    assert first.startswith("SIGUSR1: nothing was lost")
    assert (asked, released) == ("asked True", "released")
    assert not (tmp_path / "never").exists()
