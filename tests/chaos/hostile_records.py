"""Records made to harm: what the files of a finished run say, not what they are."""

import copy
import json
import os
import shutil
import zipfile
from pathlib import Path

import jax
import numpy as np
import tensorstore
from hostile import ANSI, EVALUATE, HTML, REPORT, SAMPLE, STEPS
from PIL import Image

from jaxgen.evaluation import classifier
from jaxgen.experiment.spec import to_json
from jaxgen.runs import loaded, measure
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.vae import vae


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
    abstract = loaded._target(Recorded(first), loaded.known_classes(), {}, 8)
    leaves = {
        name: {"shape": list(x.shape), "dtype": str(x.dtype), "crc32": 0}
        for name, x in measure.named_leaves(abstract).items()
    }
    place.record(lambda record: record.update(leaves=leaves))  # agrees with itself
    yield SAMPLE, 4, "shape on disk"


class Recorded(Checkpoints):
    """Gives one record for all steps, and has no folder."""

    def __init__(self, value):
        self.value = value
        self.folder = Path()

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
    other = {name: np.zeros(2, np.float32) for name in measure.named_leaves(variables)}
    yield from believed(place, other)


def believed(place, arrays):
    """A classifier of other shapes, whose record agrees with it."""
    np.savez(place.path("classifier.npz"), **arrays)
    dataset = loaded.load(place.folder).dataset()
    x = dataset.batch("train")["image"]
    model = classifier.for_examples(x, dataset.num_classes)
    recipe = {"model": to_json(model), "data": dataset.record()}
    recipe |= {"steps": classifier.STEPS, "seed": measure.SEED}
    for accuracy in (0.5, ANSI):
        record = {"recipe": recipe, "sha256": measure.content_hash(arrays)}
        place.path("classifier.json").write_text(json.dumps(record | {"accuracy": accuracy}))
        yield "classifier", 9, ""
