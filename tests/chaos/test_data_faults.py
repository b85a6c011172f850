"""Twenty kinds of malformed data: each ends a training before its first step, and is named.

All lie on disk, in the forms that jaxgen reads, and meet the command of a recipe. What is streamed
is read in the middle of a run: it ends at the first batch that holds the fault.
"""

import re
import sys
import threading

import malformed
import numpy as np
import pytest
import tensorflow_datasets as tfds
from data.readers.test_folder import save
from data.readers.test_idx import damage_magic
from malformed import LAST, beside_images, features, idx, one_odd_image, shard, sound, tensor

from experiments.autoregressive.rnade import rnade_banana
from experiments.vae.vae import vae_digits
from jaxgen.cli.main import launch
from jaxgen.data import Data, load
from jaxgen.data import split as split_module

TRAIN, IMAGE, LABEL = "split 'train'", "field 'image'", "field 'label'"
INDEX = r"index \d+"
SET, FLOATS, SOUND = "damaged", ["--data.transform", "none"], ["--data.length", "32"]
GREY = np.zeros((4, 6), np.uint8)

# kind, form -> what makes it in a folder, what is read (None: the folder), flags, what is said
KINDS = {
    ("shape of one image", "folder"): (
        lambda root: one_odd_image(root, np.zeros((5, 6), np.uint8)),
        *(None, [], ["500.png", "got 6 x 5 pixels", "expected 6 x 4"]),
    ),
    ("rank", "TFDS"): (
        features(image=tensor(np.uint8, 2, 2), x=lambda i: np.zeros((2, 2), np.uint8)),
        *(SET, [], [TRAIN, IMAGE, r"got examples of shape \(2, 2\)", "expected .*channels"]),
    ),
    ("channels", "RGB"): (
        lambda root: one_odd_image(root, np.stack([GREY] * 3, axis=-1)),
        *(None, [], ["500.png", "got an RGB image", "expected a grey image"]),
    ),
    ("channels", "RGBA"): (
        lambda root: one_odd_image(root, np.stack([GREY] * 4, axis=-1)),
        *(None, [], ["500.png", "got an alpha channel", "mode RGBA", "expected L"]),
    ),
    ("channels", "palette"): (
        *(malformed.palette, None, []),
        ["500.png", "got an RGB image", "expected a grey image"],
    ),
    ("dtype object", "TFDS"): (
        features(image=tfds.features.Text(), x=str),
        *(SET, [], [IMAGE, "got dtype object", "expected uint8 or float32"]),
    ),
    ("dtype complex", "TFDS"): (
        *(malformed.complex_pixels, SET, []),
        [IMAGE, "got dtype complex64", "expected uint8 or float32"],
    ),
    ("dtype float64", "TFDS"): (
        features(image=tensor(np.float64, 2, 2, 1), x=lambda i: np.full((2, 2, 1), i / 9)),
        *(SET, [], [IMAGE, "got dtype float64", "expected uint8 or float32"]),
    ),
    ("beyond the levels", "npz"): (
        lambda root: malformed.arrays(root, image=np.arange(40).reshape(10, 2, 2) + 217),
        *(malformed.ARRAYS, [], [TRAIN, INDEX, IMAGE, "got 256", r"expected 0\.\.255"]),
    ),
    ("dtype object", "npz"): (
        lambda root: malformed.arrays(root, image=np.array([{}] * 10)),
        *(malformed.ARRAYS, [], ["cannot be read as arrays", "Object arrays"]),
    ),
    ("NaN", "TFDS"): (
        lambda root: malformed.vectors(root, np.nan),
        *(SET, FLOATS, [TRAIN, INDEX, IMAGE, "got nan", "expected finite"]),
    ),
    ("infinite", "TFDS"): (
        lambda root: malformed.vectors(root, -np.inf),
        *(SET, FLOATS, [TRAIN, INDEX, IMAGE, "got -inf", "expected finite"]),
    ),
    ("empty split", "TFDS"): (
        features(sizes={"train": 3, "test": 9}),
        *(SET, [], ["split 'validation'", "empty"]),
    ),
    ("empty split", "folder"): (
        lambda root: save(root / "a" / "000.png", GREY),
        *(None, [], ["split '(train|validation|test)'", "empty", "Got 1 images"]),
    ),
    # A split smaller than a batch is no fault, see below: here are images without pixels.
    ("no pixels", "IDX"): (
        malformed.no_pixels,
        *(None, [], [TRAIN, IMAGE, r"got examples of shape \(0, 5, 1\)", "expected .*height"]),
    ),
    ("label out of range", "TFDS"): (
        *(malformed.too_few_classes, SET, []),
        [TRAIN, INDEX, LABEL, "got [3456]", r"expected 0\.\.2"],
    ),
    ("negative label", "TFDS"): (
        features(y=lambda i: -2 if i == 7 else 0),
        *(SET, [], [TRAIN, INDEX, LABEL, "got -2", "or -1 for unknown"]),
    ),
    ("float label", "TFDS"): (
        features(label=tfds.features.Scalar(np.float32), y=float),
        *(SET, [], [TRAIN, LABEL, "got dtype float64", "expected integers"]),
    ),
    ("large label", "TFDS"): (
        features(y=lambda i: 2**40 + 3 if i == 7 else 0),
        *(SET, [], [TRAIN, INDEX, LABEL, f"got {2**40 + 3}", r"expected 0\.\.2147483647"]),
    ),
    # An image of one value is an image: here the labels are fewer than the images.
    ("number of labels", "IDX"): (
        *(malformed.labels_of_another_number, None, []),
        ["train-labels-idx1-ubyte", "got 39 labels", "expected 40"],
    ),
    ("wrong file", "text named .png"): (
        lambda root: beside_images(root, lambda _: b"not a picture"),
        *(None, [], ["500.png", "cannot be read as an image"]),
    ),
    ("wrong file", "IDX of floats"): (
        lambda root: idx(root, damage_magic),
        *(None, [], [LAST, "got magic number 0x00000d03", "expected 0x00000803"]),
    ),
    ("wrong file", "text named .wav"): (
        lambda root: sound(root, "text"),
        *(None, SOUND, [r"5\d\d.wav", "cannot be read as sound"]),
    ),
    ("truncated file", "IDX"): (
        lambda root: idx(root, lambda content: content[:-7]),
        *(None, [], [LAST, "got 609 bytes", "expected 616"]),
    ),
    ("truncated file", "PNG"): (
        lambda root: beside_images(root, lambda content: content[:60]),
        *(None, [], ["500.png", "cannot be read as an image"]),
    ),
    ("truncated file", "WAV"): (
        lambda root: sound(root, "truncated"),
        *(None, SOUND, [r"5\d\d.wav", "field 'samples'", "got 26 before", "expected 101"]),
    ),
    ("missing set", "TFDS"): (
        lambda root: None,
        *("mnist", [], ["'mnist' is not prepared in", "--data.download"]),
    ),
    ("damaged shard", "cut"): (
        lambda root: shard(root, lambda content: content[: len(content) // 2]),
        *(SET, [], [TRAIN, "cannot read", "Delete that folder"]),
    ),
    ("damaged shard", "one byte"): (
        lambda root: shard(root, malformed.flipped),
        *(SET, [], [TRAIN, "cannot read", "Delete that folder"]),
    ),
}
STREAMED = [
    ("NaN", "TFDS"),
    ("large label", "TFDS"),
    ("truncated file", "PNG"),
    ("truncated file", "WAV"),
    ("damaged shard", "cut"),
]


def test_there_are_twenty_kinds():
    assert len({kind for kind, _ in KINDS}) == 20


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    """What the command sets for its process is put back."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


def require_complaint(case, root, capsys):
    """A run on the data ends with exit 3, is told what is wrong, and has no metrics."""
    make, name, flags, said = KINDS[case]
    (data := root / "data").mkdir()
    make(data)
    recipe, small = vae_digits, ["--hidden", "4", "--latent-dim", "2"]
    if "none" in flags:  # a density of real numbers
        recipe, small = rnade_banana, ["--hidden", "4"]
    name = str(data) if name is None else str(data / name) if name.endswith(".npz") else name
    place = ["--data.name", name, "--data.dir", str(data), "--workdir", str(root / "r")]
    assert launch(recipe, [*place, *flags, *small, "--batch-size", "8", "--steps", "900"]) == 3
    printed = capsys.readouterr().err
    text = printed[printed.index("error: ") :].rstrip()
    assert 1 <= len(text.splitlines()) <= 3, text
    assert "Traceback" not in printed
    for part in (re.escape(name), *said):
        assert re.search(part, text), (part, text)
    assert not any(path.read_text() for path in root.rglob("metrics.jsonl"))


@pytest.mark.parametrize("case", KINDS, ids=", ".join)
def test_malformed_data_end_a_run_before_its_first_step(case, tmp_path, capsys):
    require_complaint(case, tmp_path, capsys)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("case", STREAMED, ids=", ".join)
def test_streamed_data_end_a_run_at_the_first_bad_batch(case, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 0)
    require_complaint(case, tmp_path, capsys)


def test_a_split_smaller_than_a_batch_is_no_fault(tmp_path):
    malformed.damaged_set(tmp_path)  # which is whole
    train = load(Data(name=SET, dir=str(tmp_path))).splits["train"]
    numbers = train.batch(0, 0, 3 * train.num)["image"][:, 0, 0, 0]
    assert np.bincount(numbers).tolist() == [3] * 40
