"""TFDS sets: found, prepared once however many ask, cut where splits are missing, errors short."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxgen.data import Data, load
from jaxgen.data import split as split_module
from jaxgen.data.readers import synthetic
from jaxgen.data.readers.prepare import find, prepare
from jaxgen.data.readers.tfds import cut
from jaxgen.errors import DataError

with tfds.core.registered.skip_registration():

    class Numbered(tfds.core.GeneratorBasedBuilder):
        """Images 2 x 2 x 1 whose pixels are their number; splits and fields as told."""

        VERSION = tfds.core.Version("1.0.0")
        sizes = MappingProxyType({"train": 200, "test": 30})
        image = tfds.features.Tensor(shape=(2, 2, 1), dtype=np.uint8)

        def _info(self):
            features = {"image": self.image, "label": tfds.features.Scalar(np.int64)}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {name: self._generate_examples(size) for name, size in self.sizes.items()}

        def _generate_examples(self, size):
            shape = [2 if n is None else n for n in self.image.shape]
            for i in range(size):
                yield i, {"image": np.full(shape, i, self.image.np_dtype), "label": self.label(i)}

        def label(self, i):
            """Label of image i."""
            return i % 7


def prepared(directory, name="Numbered", **attributes):
    with tfds.core.registered.skip_registration():
        cls = type(name, (Numbered,), {"__module__": __name__, **attributes})
    builder = cls(data_dir=str(directory), file_format="array_record")
    builder.download_and_prepare(file_format="array_record")
    return Path(builder.info.data_dir)


@pytest.fixture(scope="module")
def numbered_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("numbered")
    prepared(directory)
    return directory


def test_a_prepared_set_is_read_by_name(numbered_dir):
    data = load(Data(name="numbered", dir=str(numbered_dir)))
    sizes = {name: s.num for name, s in data.splits.items()}
    assert sizes == {"train": 180, "validation": 20, "test": 30}
    assert (data.shape, data.levels, data.num_classes) == ((2, 2, 1), 256, None)
    parts = [data.splits[s].resident for s in ("train", "validation")]
    numbers = np.concatenate([part["image"][:, 0, 0, 0] for part in parts])
    assert sorted(numbers) == list(range(200))
    np.testing.assert_array_equal(numbers % 7, np.concatenate([part["label"] for part in parts]))


def test_a_large_set_is_streamed_and_gives_the_same_batches(numbered_dir, monkeypatch):
    config = Data(name="numbered", dir=str(numbered_dir), train_on="train+validation")
    whole = load(config)
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 100)
    streamed = load.__wrapped__(config)
    for name, split in whole.splits.items():
        lazy = streamed.splits[name]
        assert lazy.resident is None
        assert lazy.num == split.num
        for step in (0, 11):
            a, b = split.batch(3, step, 16), lazy.batch(3, step, 16)
            for field in a:
                np.testing.assert_array_equal(a[field], b[field])
                assert a[field].dtype == b[field].dtype
    hashes = {s.sha256 for s in streamed.splits.values()}
    assert len(hashes) == 3
    assert streamed.record() == load.__wrapped__(config).record()


@pytest.mark.parametrize(
    ("found", "parts"),
    [
        ({"train", "validation", "test"}, ("train", "validation", "test")),
        ({"train", "test"}, ("train[:90%]", "train[90%:100%]", "test")),
        ({"train", "validation"}, ("train[:90%]", "validation", "train[90%:100%]")),
        ({"train"}, ("train[:80%]", "train[80%:90%]", "train[90%:100%]")),
    ],
)
def test_missing_splits_come_out_of_train(found, parts):
    assert tuple(cut("x", found)[s] for s in ("train", "validation", "test")) == parts


def prepare_numbered(directory):
    """As `load` prepares a set of the catalogue; its builder."""
    config = Data(name="numbered", dir=str(directory))

    def build():
        return Numbered(data_dir=str(directory), file_format="array_record")

    return prepare(config, "numbered:1.0.0", build)


def test_two_processes_may_prepare_a_set_at_once(tmp_path):
    program = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from data.readers.test_tfds import prepare_numbered\n"
        "print(prepare_numbered(sys.argv[1]).info.splits['test'].num_examples)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    env = {**os.environ, "PYTHONPATH": paths}
    both = [subprocess.Popen(command, env=env, **pipes) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert out == b"30\n"  # and nothing else on stdout
        assert err == b""
    assert load(Data(name="numbered", dir=str(tmp_path))).splits["test"].num == 30


def test_the_loser_of_a_race_takes_the_winners_preparation(tmp_path, monkeypatch):
    from jaxgen.data.readers import prepare as prepare_module

    answers = []

    def counted(name, directory):
        answers.append(find(name, directory))
        return answers[-1]

    prepared(tmp_path)
    monkeypatch.setattr(prepare_module, "find", counted)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda *_, **__: 1 / 0, raising=True
    )
    assert prepare_numbered(tmp_path).info.splits["test"].num_examples == 30
    assert len(answers) == 1


def test_importing_the_package_imports_no_reader():
    program = (
        "import sys, jaxgen.data\n"
        "heavy = {'tensorflow_datasets', 'sklearn', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_an_unprepared_set_says_how_to_get_it_and_at_once(tmp_path):
    began = time.monotonic()
    assert_error(
        {"name": "mnist", "dir": str(tmp_path)}, "'mnist'", "--data.download", str(tmp_path)
    )
    assert time.monotonic() - began < 5
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("fashin_mnist", "fashion_mnist"),
        ("MNIST", "mnist"),
        ("digit", "digits"),
        ("chains", "chain"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(tmp_path, name, guess):
    message = assert_error({"name": name, "dir": str(tmp_path), "download": True}, name, guess)
    assert ", ".join(synthetic.SETS) in message
    assert len(message) < 300  # never the catalogue


@pytest.mark.parametrize("name", ["xqzw 7", "kaggle:xqzw", "xqzw/a:1.2.3"])
def test_a_name_close_to_nothing_is_unknown(tmp_path, name):
    assert_error({"name": name, "dir": str(tmp_path)}, "No such data set", name)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_path_that_is_not_there_is_no_data_set_name(name):
    assert_error({"name": name}, "no such file or folder", name)


def test_a_failed_download_is_one_line_of_reason(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("Max retries exceeded\nand\nmuch\nmore")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    config = {"name": "mnist", "dir": str(tmp_path), "download": True}
    message = assert_error(config, "'mnist' could not be prepared", "Max retries", "network")
    assert "much" not in message


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.5, 0.9])  # at half, every record comes back empty
def test_a_truncated_shard_is_named_by_its_folder(tmp_path, keep):
    folder = prepared(tmp_path, "Cut", sizes={"train": 40, "test": 40, "validation": 40})
    (shard,) = folder.glob("*-test*")
    shard.write_bytes(shard.read_bytes()[: int(shard.stat().st_size * keep)])
    assert_error({"name": "cut", "dir": str(tmp_path)}, "'test'", str(folder), "Delete that folder")


def test_a_missing_shard_is_named_by_its_folder(tmp_path):
    folder = prepared(tmp_path, "Lost", sizes={"train": 40, "test": 40, "validation": 40})
    (shard,) = folder.glob("*-validation*")
    shard.unlink()
    assert_error({"name": "lost", "dir": str(tmp_path)}, "'validation'", str(folder))


@pytest.mark.parametrize("content", ["", "{"])
def test_a_damaged_description_is_named(tmp_path, content):
    folder = prepared(tmp_path, "Mute")
    (folder / "dataset_info.json").write_text(content)
    assert_error({"name": "mute", "dir": str(tmp_path)}, "mute", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "attributes", "words"),
    [
        (
            "Ragged",
            {"image": tfds.features.Tensor(shape=(None, 2, 1), dtype=np.uint8)},
            ["fixed", "many sizes", "--data.image-size"],
        ),
        ("Wide", {"image": tfds.features.Tensor(shape=(2, 2, 1), dtype=np.int32)}, ["int32"]),
        ("Flat", {"image": tfds.features.Tensor(shape=(2, 2), dtype=np.uint8)}, ["(2, 2)"]),
        ("Untrained", {"sizes": {"test": 9}}, ["no split 'train'", "test"]),
        ("Tiny", {"sizes": {"train": 3, "test": 9}}, ["'validation'", "empty"]),
        ("Signed", {"label": lambda self, i: i - 2}, ["'label'", "got -2", "index"]),
    ],
)
def test_a_set_that_is_no_image_set_is_refused(tmp_path, name, attributes, words):
    prepared(tmp_path, name, **attributes)
    assert_error({"name": name.lower(), "dir": str(tmp_path)}, name.lower(), *words)


def test_a_streamed_batch_is_checked_when_it_is_read(tmp_path, monkeypatch):
    folder = prepared(tmp_path, "Late", label=lambda self, i: -2 if i == 5 else 0)
    source = tfds.builder_from_directory(str(folder)).as_data_source(split="train[:90%]")
    bad = next(i for i in range(len(source)) if source[i]["label"] == -2)
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 1)
    data = load(Data(name="late", dir=str(tmp_path), rules=1))
    split = data.splits["train"]
    with pytest.raises(DataError, match=f"'train', index {bad}, field 'label': got -2"):
        split.batch(0, 0, split.num)


def test_float_vectors_are_continuous(tmp_path):
    prepared(tmp_path, "Vectors", image=tfds.features.Tensor(shape=(4,), dtype=np.float32))
    data = load(Data(name="vectors", dir=str(tmp_path), transform="none"))
    assert (data.shape, data.levels) == ((4,), None)
    assert "vectors" in data.protocol("test")


def in_order(directory, name="Ordered", per_class=20, first=0, pixel=3, more=None):
    """A set sorted by its ten classes, which are numbered from `first`."""

    def _info(self):
        features = {"image": self.image, "label": tfds.features.ClassLabel(num_classes=37)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _generate_examples(self, size):
        for i in range(size):
            number = i * 10 // size
            image = np.full((2, 2, 1), pixel * number, np.uint8)
            yield i, {"image": image, "label": first + number}

    sizes = {"train": 10 * per_class, **(more or {})}
    told = {"_info": _info, "_generate_examples": _generate_examples, "sizes": sizes}
    prepared(directory, name, **told)
    return Data(name=name.lower(), dir=str(directory), transform="unit")


@pytest.mark.parametrize("limit", [2**30, 1])
@pytest.mark.parametrize("more", [{}, {"test": 50}, {"validation": 50}])
def test_what_a_set_in_order_holds_out_is_of_all_classes(tmp_path, monkeypatch, limit, more):
    config = in_order(tmp_path, more=more, pixel=25)
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", limit)
    data = load.__wrapped__(config)
    num = 200 - 20 * (2 - len(more))
    assert data.splits["train"].num == num
    for name, split in data.splits.items():
        stored = split.all()
        assert len(set(stored["label"].tolist())) > 5, name  # one of the last tenth
        np.testing.assert_array_equal(stored["image"][:, 0, 0, 0], 25 * stored["label"])
    both = load.__wrapped__(replace(config, train_on="train+validation")).splits["train"].all()
    expected = [data.splits[name].all()["label"] for name in ("train", "validation")]
    np.testing.assert_array_equal(both["label"], np.concatenate(expected))


def test_classes_that_a_set_names_and_no_example_has_are_none(tmp_path):
    config = in_order(tmp_path, "Letters", first=1)
    data = load.__wrapped__(config)
    assert (data.num_classes, data.classes) == (10, tuple(range(1, 11)))
    assert (data.levels, data.levels_shown) == (28, True)
    before = load.__wrapped__(replace(config, rules=1))
    assert (before.num_classes, before.levels) == (37, 256)
    validation = before.splits["validation"]
    assert set(validation.all()["label"].tolist()) == {9}  # of 1 .. 10, the last but one


def assert_error(config, *words):
    with pytest.raises(DataError) as caught:
        load.__wrapped__(Data(**config))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
    return message


def test_a_description_that_names_a_class_of_its_own_is_refused_and_not_imported(tmp_path):
    folder = prepared(tmp_path, "Foreign")
    (path,) = folder.rglob("features.json")
    text = path.read_text()
    path.write_text(text.replace("tensorflow_datasets.core.features.tensor_feature", "antigravity"))
    assert path.read_text() != text
    with pytest.raises(DataError, match=r"names the class antigravity.*not of TFDS"):
        find("foreign:1.0.0", str(tmp_path))
    assert "antigravity" not in sys.modules


def test_image_size_crops_the_central_square_of_a_prepared_set(tmp_path):
    image = tfds.features.Tensor(shape=(2, 4, 3), dtype=np.uint8)

    def examples(self, size):
        for i in range(size):
            x = np.zeros((2, 4, 3), np.uint8)
            x[:, 1:3] = i  # what lies outside the central square is black
            yield i, {"image": x, "label": 0}

    prepared(tmp_path, "Wide", image=image, _generate_examples=examples)
    data = load(Data(name="wide", dir=str(tmp_path), image_size=2))
    assert data.shape == (2, 2, 3)
    x = data.splits["test"].resident["image"]
    assert x.shape == (30, 2, 2, 3)
    assert sorted(x.min(axis=(1, 2, 3))) == list(range(30))
    assert (x.min(axis=(1, 2, 3)) == x.max(axis=(1, 2, 3))).all()
    assert load(Data(name="wide", dir=str(tmp_path))).shape == (2, 4, 3)
