"""Folders made to harm: nothing in them is executed, nothing outside opened, nothing endless.

Each case is a finished run with something planted in it, and the commands a user would run on it.
"""

import logging
import pickle
import shutil
import sys
import threading
from functools import partial
from pathlib import Path

import hostile
import hostile_records
import jax
import pytest
import watched
from hostile import EVALUATE, REPORT, SAMPLE, SECRET, Payload, Place

from jaxgen.evaluation import classifier
from jaxgen.runs import loaded, measure

pytestmark = pytest.mark.filterwarnings(
    "default", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    levels = {name: logging.getLogger(name).level for name in ("absl", "asyncio")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory):
    """A finished run that the verbs have run on: what jax imports and compiles is there."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("evaluated") / "run")
    for verb in (EVALUATE, SAMPLE, REPORT):
        assert watched.jaxgen(*verb, folder)() == 0
    return folder


@pytest.fixture
def place(evaluated, tmp_path):
    (tmp_path / "outside").mkdir()
    return Place(shutil.copytree(evaluated, tmp_path / "run"), tmp_path / "outside")


@pytest.fixture
def known(monkeypatch, evaluated):
    """Looks for the classifier in a folder: 0 if it is believed, 9 if a new one is trained."""
    dataset = loaded.load(evaluated).dataset()

    class AnewError(Exception):
        pass

    def train(*_, **__):
        raise AnewError

    monkeypatch.setattr(classifier, "train", train)

    def act(folder):
        try:
            measure.known_classifier(folder, dataset)
        except AnewError:
            return 9
        return 0

    return act


CASES = (
    hostile.pickles,
    hostile.linked_steps,
    hostile.linked_files_of_a_step,
    hostile.linked_files_of_the_run,
    hostile.pipes,
    hostile.empty_steps,
    hostile.deep,
    hostile.huge,
    hostile_records.names_of_code,
    hostile_records.paths_of_data,
    hostile_records.bombs_of_shape,
    hostile_records.html,
    hostile_records.escapes,
    hostile_records.another_model,
    hostile_records.packed_bombs,
)


@pytest.mark.parametrize("plant", CASES, ids=lambda plant: plant.__name__)
def test_a_hostile_folder_does_no_harm(plant, place, known, capsys, monkeypatch, tfds_dir):
    monkeypatch.chdir(place.folder)
    for verb, code, says in plant(place):
        folder = place.folder
        act = partial(known, folder) if verb == "classifier" else watched.jaxgen(*verb, folder)
        done = watched.command(act, capsys)
        assert done.code == code, done.err
        assert done.wrong(folder, *allowed(tfds_dir)) == []
        assert done.seconds < watched.LIMIT
        assert done.growth < 200e6
        lines = done.err.splitlines()
        assert len(lines) <= 4, done.err  # a warning, and an error of three
        assert says in done.err
        assert not {"\x1b", "\x9b", "\x07"} & set(done.out + done.err)
        assert not [line for line in lines if line.startswith("Try: something else")]
        assert not (place.outside / "marker").exists()
        if verb == REPORT and code == 0:
            page = (folder / "report.html").read_text()
            assert not [bad for bad in ("<script", "\x1b", SECRET) if bad in page]


def allowed(tfds_dir):
    """Where the data and what was compiled lie."""
    cache = jax.config.jax_compilation_cache_dir
    return [Path(tfds_dir), *([Path(cache)] if cache else [])]


def test_the_watch_sees_what_it_looks_for(tmp_path, capsys):
    """A link that is followed, a pickle that is loaded, a line that is executed."""
    (tmp_path / "outside").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "outside")

    def harm():
        (tmp_path / "run" / "link").read_text()
        pickle.loads(pickle.dumps(Payload(tmp_path / "marker")))
        exec("1 + 1")
        return 0

    seen = [event for event, _ in watched.command(harm, capsys).wrong(tmp_path / "run")]
    assert seen == ["open", "pickle.find_class", "os.system", "exec"]
