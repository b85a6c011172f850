"""Files and folders made to harm, planted in a finished run; and a place to plant them."""

import json
import os
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EVALUATE, SAMPLE, REPORT = ("evaluate", "--num-samples", "2"), ("sample", "--num", "4"), ("report",)
STEPS = (4, 8)
HTML, ANSI = "<script>alert(1)</script>", "\x1b[2J\x1b]0;title\x07\x9b31m"
SECRET = "a secret of the reader's"
HUGE = 2**30


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
