"""Which reader opens a name."""

import json
import os
import re

import numpy as np
import pytest

from jaxgen.data import Data, load, resolved
from jaxgen.data.load import EMBEDDED, reader_of
from jaxgen.errors import ConfigError, DataError


def test_a_name_leads_to_its_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "sounds" / "a").mkdir(parents=True)
    (tmp_path / "sounds" / "a" / "0.WAV").touch()
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte.gz").touch()
    (tmp_path / "my.npz").touch()
    (tmp_path / "one.wav").touch()
    for name in EMBEDDED:
        (tmp_path / name).mkdir()  # which does not matter
    expected = {
        "digits": "digits",
        "chain": "synthetic",
        "ring": "synthetic",
        "tones": "tones",
        "images": "folder",
        "./digits": "folder",
        "sounds": "wav",
        "one.wav": "wav",
        "idx": "idx",
        "idx/train-images-idx3-ubyte.gz": "idx",
        "my.npz": "npz",
        "mnist": "tfds",
        "missing.npz": "tfds",
    }
    assert {name: reader_of(name) for name in expected} == expected


def test_a_bare_name_of_tfds_is_its_set_and_a_path_is_written_with_a_slash(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").touch()
    (tmp_path / "mnist").mkdir()
    (tmp_path / "emnist" / "letters").mkdir(parents=True)
    (tmp_path / "pets").mkdir()
    expected = {
        "cifar10": "tfds",
        "mnist": "tfds",
        "mnist:3.0.1": "tfds",
        "./cifar10": "idx",
        "./mnist": "folder",
        str(tmp_path / "mnist"): "folder",
        "emnist/letters": "folder",  # a path, as its slash says
        "emnist/balanced": "tfds",
        "pets": "folder",
    }
    assert {name: reader_of(name) for name in expected} == expected
    assert resolved(Data("mnist")).name == "mnist"
    assert resolved(Data("./mnist")).name == str(tmp_path / "mnist")
    with pytest.raises(DataError, match="'mnist' is not prepared"):
        load.__wrapped__(Data("mnist", dir=str(tmp_path)))
    said = capsys.readouterr().err
    assert said == "note: --data.name mnist is the set of TFDS; ./mnist is the path\n"


@pytest.mark.parametrize(
    ("files", "reader"),
    [
        (["a/1.png", "a/2.png", "a/1.wav"], "folder"),
        (["a/1.png", "a/1.wav"], "folder"),
        (["1.wav", "2.WAV", "cover.jpg"], "wav"),
        (["a/1.flac"], "wav"),
        ([".hidden/1.wav", "1.jfif"], "folder"),
        (["MNIST/raw/train-images-idx3-ubyte"], "idx"),
        (["train-images-idx3-ubyte", "preview.png"], "idx"),
        (["notes.txt"], "folder"),
    ],
)
def test_a_folder_is_of_the_kind_of_most_of_its_files(tmp_path, files, reader):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert reader_of(str(tmp_path)) == reader


@pytest.mark.parametrize("name", ["arrays", "arrays:faces", "unpaired:a+b"])
def test_what_was_given_from_python_has_no_reader(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of that name is not taken for it
    with pytest.raises(DataError, match=re.escape(name)):
        reader_of(name)
    assert resolved(Data(name)).name == name


@pytest.mark.parametrize("name", [b"\xff.npz", b"caf\xe9/x.npz", b"\x80\x81 \xc3.npz"])
def test_a_name_that_is_no_text_is_a_name(name, tmp_path):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        np.savez(file, image=np.zeros((10, 2, 2), np.uint8))
    data = load.__wrapped__(resolved(Data(str(path))))
    assert json.loads(json.dumps(data.record()))["name"] == str(path)
    with pytest.raises(ConfigError, match=r"--data\.dir"):
        Data(dir=str(path))
    path.write_bytes(b"no arrays")
    with pytest.raises(DataError, match="cannot be read as arrays"):
        load.__wrapped__(Data(str(path)))


def test_a_path_is_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("my.npz", image=np.zeros((10, 2, 2), np.uint8))
    config = resolved(Data("my.npz"))
    assert config.name == str(tmp_path / "my.npz")
    monkeypatch.chdir("/")
    assert load(config).shape == (2, 2, 1)
    assert resolved(Data("digits")).name == "digits"
