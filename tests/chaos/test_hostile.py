"""Folders made to harm: nothing in them is executed, nothing outside opened, nothing endless.

Each case is a finished run with something planted in it, and the commands a user would run on it.
"""

import copy
import json
import logging
import os
import pickle
import shutil
import sys
import threading
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorstore
import watched
from PIL import Image

from jaxgen import measurement, run
from jaxgen.evaluation import classifier
from jaxgen.spec import to_json
from jaxgen.vae import vae

EVALUATE, SAMPLE, REPORT = ("evaluate", "--num-samples", "2"), ("sample", "--num", "4"), ("report",)
STEPS = (4, 8)
HTML, ANSI = "<script>alert(1)</script>", "\x1b[2J\x1b]0;title\x07\x9b31m"
SECRET = "a secret of the reader's"
HUGE = 2**30

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass
class Place:
    """A copy of a finished run, and what lies around it."""

    folder: Path
    outside: Path

    def path(self, name, step=8):
        """Of a file of the run, or of its record at a step."""
        record = self.folder / "checkpoints" / str(step) / "record" / "metadata"
        return record if name == "record" else self.folder / name

    def record(self, change, steps=STEPS):
        """Changes the record of the steps."""
        for step in steps:
            path = self.path("record", step)
            value = json.loads(path.read_text())
            change(value)
            path.write_text(json.dumps(value))

    def change(self, name, change):
        """Changes a file of JSON."""
        value = json.loads(self.path(name).read_text())
        change(value)
        self.path(name).write_text(json.dumps(value))

    def link(self, path):
        """A link in its place, to where it is moved."""
        target = self.outside / path.name
        path.rename(target)
        path.symlink_to(target)

    def pipe(self, path):
        """A pipe in its place, which nobody writes to."""
        path.unlink(missing_ok=True)
        os.mkfifo(path)


class Payload:
    """What a pickle would do."""

    def __init__(self, marker):
        self._marker = marker

    def __reduce__(self):
        """A file that shows that it was done."""
        return (os.system, (f"touch '{self._marker}'",))


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
    dataset = run.load(evaluated).dataset()

    class AnewError(Exception):
        pass

    def train(*_, **__):
        raise AnewError

    monkeypatch.setattr(classifier, "train", train)

    def act(folder):
        try:
            measurement.known_classifier(folder, dataset)
        except AnewError:
            return 9
        return 0

    return act


def pickles(place):
    """A pickle under the names of our files."""
    content = pickle.dumps(Payload(place.outside / "marker"))
    objects = np.empty(1, object)
    objects[0] = Payload(place.outside / "marker")
    names = ("spec.json", "evaluation.json", "metrics.jsonl", "classifier.json", "samples.png")
    for name in names:
        place.path(name).write_bytes(content)
    for step in STEPS:
        place.path("record", step).write_bytes(content)
    yield SAMPLE, 4, "record: damaged"
    yield REPORT, 4, "spec.json"
    place.path("classifier.json").unlink()  # or it is all that is looked at
    for write in (np.savez, np.savez_compressed):
        write(place.path("classifier.npz"), x=objects)
        yield "classifier", 9, ""
    place.path("classifier.npz").write_bytes(content)
    yield "classifier", 9, ""


def names_of_code(place):
    """Names of code where a type is expected."""
    marker = str(place.outside / "marker")
    for name in ("os.system", "antigravity.X", "builtins.eval", "jaxgen.files.write_file"):
        place.record(lambda r, name=name: r["experiment"]["model"].update(type=name))
        yield SAMPLE, 4, "unknown type"
    call = {"__reduce__": ["os.system", [f"touch {marker}"]], "py/object": "os.system"}
    place.record(lambda r: r["experiment"].update(model=call))
    yield SAMPLE, 4, "unknown type"
    place.change("spec.json", lambda r: r["experiment"].update(model=call))
    yield REPORT, 0, ""


def paths_of_data(place):
    """Paths where a name of data is expected."""
    for n in range(6):
        Image.new("L", (8, 8), n).save(place.outside / f"{n}.png")
    shutil.copytree(place.outside, place.folder / "run")  # beside the working directory too
    os.mkfifo(place.folder / "pipe")
    for name in (
        *("../outside", "./../outside", "run/../../outside", "~", "/dev/zero"),
        *(str(place.folder / "pipe"), f"{place.folder}/../outside"),
    ):
        place.record(lambda r, name=name: r["experiment"]["data"].update(name=name))
        yield EVALUATE, 3, "--data.name"
        yield ("check",), 3, "--data.name"
    place.record(lambda r: r["experiment"]["data"].update(name="digits", dir="../outside"))
    yield EVALUATE, 3, "--data.dir"
    evil = place.folder / "sets" / "evil" / "1.0.0"
    evil.mkdir(parents=True)
    (evil / "features.json").write_text('{"pythonClassName": "antigravity.X"}')
    (evil / "dataset_info.json").write_text('{"name": "evil", "version": "1.0.0"}')
    data = {"name": "evil", "dir": str(place.folder / "sets")}
    place.record(lambda r: r["experiment"]["data"].update(data))
    yield EVALUATE, 3, "antigravity.X"


def linked_steps(place):
    """Steps that are links."""
    steps = place.folder / "checkpoints"
    place.link(steps / "8")
    yield SAMPLE, 0, ""
    place.link(steps / "4")
    yield SAMPLE, 4, "no checkpoint yet"
    place.link(steps)
    yield SAMPLE, 4, "checkpoints: a link"


def linked_files_of_a_step(place):
    """Links in the steps."""
    place.link(place.path("record"))
    yield SAMPLE, 0, "neither a file nor a folder"
    state = place.folder / "checkpoints" / "4" / "state"
    place.link(state / "d")
    yield SAMPLE, 4, "neither a file nor a folder"


def linked_files_of_the_run(place):
    """Links to the reader's own files."""
    secret = place.outside / "secret"
    secret.write_text(json.dumps({"step": 1, "loss": 1.0, "recipe": SECRET, "split": SECRET}))
    for name in ("metrics.jsonl", "evaluation.json", "data.json", "certificate.json"):
        place.path(name).unlink(missing_ok=True)
        place.path(name).symlink_to(secret)
    place.link(place.path("samples.png"))
    place.link(place.path("samples"))
    yield REPORT, 0, ""
    yield EVALUATE, 0, ""  # the link goes, its target stays
    assert SECRET in secret.read_text()
    for target in (secret, place.outside / "nothing", place.folder):
        place.path("spec.json").unlink()
        place.path("spec.json").symlink_to(target)
        yield REPORT, 4, "spec.json"


def pipes(place):
    """Pipes that nobody writes to."""
    for name in ("metrics.jsonl", "evaluation.json", "samples.png", "samples/step_00000008.png"):
        place.pipe(place.path(name))
    yield REPORT, 0, ""
    place.pipe(place.path("spec.json"))
    yield REPORT, 4, "spec.json"
    for name in ("classifier.npz", "classifier.json"):
        place.pipe(place.path(name))
        yield "classifier", 9, ""
    place.pipe(place.path("record"))
    yield SAMPLE, 0, "neither a file nor a folder"
    place.pipe(place.folder / "checkpoints" / "8" / "_CHECKPOINT_METADATA")
    yield SAMPLE, 0, "neither a file nor a folder"
    place.pipe(place.folder / "checkpoints" / "4" / "state" / "_METADATA")
    yield SAMPLE, 4, "neither a file nor a folder"


def empty_steps(place):
    """A newest step with nothing in it."""
    steps = place.folder / "checkpoints"
    (steps / "12").mkdir()
    yield SAMPLE, 0, "checkpoints/12: record: damaged"
    for step in STEPS:
        shutil.rmtree(steps / str(step))
    yield SAMPLE, 4, "checkpoints/12: record: damaged"


def bombs_of_shape(place):
    """Arrays of 2^40 elements, on paper."""

    def large(record):
        for leaf in record["leaves"].values():
            leaf["shape"] = [2**20, 2**20]

    first = place.path("record").read_text()
    place.record(large, steps=[8])
    yield SAMPLE, 0, "shape is [1048576, 1048576]"
    place.path("record").write_text(first)
    wide(place, 2**40)
    yield SAMPLE, 4, "bytes of arrays in"


def wide(place, width):
    """Encoders of that width, in the records; and at the newest step in the arrays' files too."""

    def change(record):
        record["experiment"]["model"]["encoder"]["hidden"] = [width]
        for name, leaf in record["leaves"].items():
            if "encoder" in name and leaf["shape"]:
                leaf["shape"] = [width if n == 8 else n for n in leaf["shape"]]

    place.record(change)
    spec = {"driver": "ocdbt", "base": f"file://{place.folder}/checkpoints/8/state/"}
    arrays = tensorstore.KvStore.open(spec).result()
    for key in arrays.list().result():
        if b"encoder" in key and key.endswith(b".zarray"):
            about = json.loads(arrays.read(key).result().value)
            about["shape"] = [width if n == 8 else n for n in about["shape"]]
            arrays.write(key, json.dumps(about).encode()).result()


def deep(place):
    """JSON without a bottom."""
    text = '{"a":' * 10**5 + "1" + "}" * 10**5
    place.path("evaluation.json").write_text("[" * 10**5 + "]" * 10**5)
    place.path("metrics.jsonl").write_text(text)
    yield REPORT, 0, ""
    place.path("spec.json").write_text(text)
    yield REPORT, 4, "spec.json"
    place.path("record").write_text(text)
    (place.folder / "checkpoints" / "8" / "_CHECKPOINT_METADATA").write_text(text)
    yield SAMPLE, 0, "record: damaged"
    half = '{"format": 1, "experiment": ' + '{"a":' * 450 + "1" + "}" * 451
    place.path("record", 4).write_text(half)  # deep enough for what comes after the parser
    yield SAMPLE, 4, "checkpoints/4"


def huge(place):
    """JSON of 1 GB."""
    names = ("evaluation.json", "metrics.jsonl", "samples.png", "classifier.npz")
    for name in names:
        with place.path(name).open("ab") as file:
            file.truncate(HUGE)
    yield REPORT, 0, ""
    yield "classifier", 9, ""
    os.truncate(place.path("spec.json"), HUGE)
    yield REPORT, 4, "spec.json"
    os.truncate(place.path("record"), HUGE)
    yield SAMPLE, 0, "'metadata' has 1073741824 bytes"
    os.truncate(place.folder / "checkpoints" / "4" / "state" / "_METADATA", HUGE)
    yield SAMPLE, 4, "'_METADATA' has 1073741824 bytes"


def html(place):
    """Markup in whatever the page shows."""
    spec = {"recipe": HTML, "command": f"'\"{HTML}", "experiment": {HTML: HTML, "model": HTML}}
    place.path("spec.json").write_text(json.dumps(spec))
    line = {"step": 8, "split": HTML, HTML: 1.0, "loss": 2.0, f"{HTML}_per_second": 3}
    lines = [line, line | {"split": "train"}, line | {"step": 9, "split": "validation"}]
    place.path("metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    number = dict.fromkeys(("metric", "protocol", "split", "unit"), HTML)
    numbers = [{**number, "value": HTML}, {**number, "value": 1.0, "standard_error": 0.1}]
    place.path("evaluation.json").write_text(json.dumps(numbers))
    law = {"law": HTML, "unit": HTML, "figure": HTML, "bound": HTML, "passed": True}
    place.path("certificate.json").write_text(json.dumps({"laws": [law], "step": HTML}))
    for name in ("data.json", "environment.json"):
        place.path(name).write_text(json.dumps({HTML: HTML, "splits": {HTML: {HTML: HTML}}}))
    yield REPORT, 0, ""
    assert "&lt;script&gt;" in place.path("report.html").read_text()


def escapes(place):
    """What a terminal obeys, and lines that are not ours, in whatever is printed."""
    fake = f"{ANSI}\nTry: something else\n" * 3
    first = place.path("record").read_text()

    def model(**fields):
        return lambda record: record["experiment"]["model"].update(fields)

    def settings(**fields):
        return lambda record: record["experiment"]["settings"].update(fields)

    for change in (
        *(model(type=fake), model(**{fake: 1}), model(latent_dim=fake), settings(precision=fake)),
        lambda record: record["experiment"]["data"].update(name=fake),
        lambda record: record["leaves"].update({fake: {"shape": [], "dtype": fake}}),
        lambda record: record["leaves"]["step"].update(dtype=fake),
        lambda record: record["data"].update(levels=fake),
        lambda record: record["data"].update(splits={fake: {}}),
        lambda record: record["data"]["splits"].update(test=fake),
    ):
        for step in STEPS:
            place.path("record", step).write_text(first)
        place.record(change)
        yield EVALUATE, 4, ""
    for step in STEPS:
        place.path("record", step).write_text(first)
    place.record(lambda record: record["data"]["splits"]["test"].update(sha256=fake))
    yield EVALUATE, 3, "the test split is"
    place.folder = place.folder.rename(place.folder.with_name(f"run {ANSI}"))
    yield REPORT, 0, ""


def another_model(place):
    """The record of one model, the arrays of another."""
    shape = (8, 8, 1)
    for model in (vae.mlp(shape, latent_dim=2, hidden=(9,)), vae.mlp(shape, latent_dim=3)):
        place.record(lambda r, model=model: r["experiment"].update(model=to_json(model)))
        yield SAMPLE, 4, ""
    first = json.loads(place.path("record").read_text())
    abstract = run._target(Recorded(first), run.known_classes(), {}, 8)
    leaves = {
        name: {"shape": list(x.shape), "dtype": str(x.dtype), "crc32": 0}
        for name, x in measurement.named_leaves(abstract).items()
    }
    place.record(lambda record: record.update(leaves=leaves))  # agrees with itself
    yield SAMPLE, 4, "shape on disk"


@dataclass
class Recorded:
    """Gives one record for all steps."""

    value: dict
    folder: str = ""

    def record(self, step):
        """The record."""
        return copy.deepcopy(self.value)


def packed_bombs(place):
    """Little files of large arrays."""
    path = place.path("classifier.npz")
    for shape, content in (((2**40,), b""), ((2**28,), b"\0" * 2**20), ((0, 2**62), b"")):
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w") as file,
        ):
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(2**8 if shape == (2**28,) else 1):
                file.write(content)
        yield "classifier", 9, ""
    variables = jax.eval_shape(classifier.build((8, 8, 1), 10).init, jax.random.key(0))
    other = {name: np.zeros(2, np.float32) for name in measurement.named_leaves(variables)}
    yield from believed(place, other)


def believed(place, arrays):
    """A classifier of other shapes, whose record agrees with it."""
    np.savez(place.path("classifier.npz"), **arrays)
    dataset = run.load(place.folder).dataset()
    x = dataset.batch("train")["image"]
    model = classifier.for_examples(x, dataset.num_classes)
    recipe = {"model": to_json(model), "data": dataset.record()}
    recipe |= {"steps": classifier.STEPS, "seed": measurement.SEED}
    for accuracy in (0.5, ANSI):
        record = {"recipe": recipe, "sha256": measurement.content_hash(arrays)}
        place.path("classifier.json").write_text(json.dumps(record | {"accuracy": accuracy}))
        yield "classifier", 9, ""


CASES = (
    *(pickles, names_of_code, paths_of_data, linked_steps, linked_files_of_a_step),
    *(linked_files_of_the_run, pipes, empty_steps, bombs_of_shape, deep),
    *(huge, html, escapes, another_model, packed_bombs),
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
