"""From a name to a data set: the reader that opens it, and the flags that it takes."""

import functools
import importlib
import os
import re
from dataclasses import replace
from pathlib import Path

from jaxgen.console import note
from jaxgen.data.config import Data
from jaxgen.data.dataset import Dataset
from jaxgen.data.readers import sound_file, synthetic
from jaxgen.data.readers.walk import walk
from jaxgen.data.split import Source
from jaxgen.errors import ConfigError, DataError

EMBEDDED = ("digits", *synthetic.SETS, "tones")  # these win over a path of that name
_SET_NAME = re.compile(r"[a-z]\w*(:[\d.*]+)?", re.ASCII)  # of TFDS, without a configuration
_FROM_PYTHON = {  # the first part of a name that leads back to no values
    "arrays": "arrays given from Python, of which a run keeps the hashes alone",
    "unpaired": "two sources joined in Python, to be joined again by unpaired_datasets",
}


@functools.cache
def load(config: Data) -> Dataset:
    """Read a data set, once for each configuration.

    Raises:
      ConfigError: a flag that does not fit this data set.
      DataError: it is missing, damaged, or not made of images or vectors.
    """
    try:
        source = read(config)
    except OSError as error:  # of the path: too long a name, no permission
        where = error.filename or config.name[:200]
        raise DataError(f"--data.name {where}: {error.strerror}") from error
    return Dataset.of(config, source)


def resolved(config: Data) -> Data:
    """Return the same data from any working directory: paths that are there become absolute."""
    name = config.name
    embedded = name in EMBEDDED or _given_in_python(name)
    path = None if embedded else _path_of(name, config.dir)
    if path is not None:
        name = str(path.resolve())
    directory = config.dir
    if directory:
        directory = str(Path(os.path.expanduser(directory)).resolve())
    return replace(config, name=name, dir=directory)


def read(config: Data) -> Source:
    """Open a data set with the reader that its name asks for; each reader is imported on use.

    Raises:
      ConfigError: a flag that is for other readers.
      DataError: it is missing or damaged.
    """
    reader = reader_of(config.name, config.dir)
    if reader == "tfds" and Path(config.name).exists():
        note(f"--data.name {config.name} is the set of TFDS; ./{config.name} is the path")
    _require_flags_of(reader, config)
    if reader == "tfds" and config.name.startswith(("/", ".", "~")):
        raise DataError(f"--data.name {config.name}: no such file or folder")
    return importlib.import_module(f"jaxgen.data.readers.{reader}").read(config)


def reader_of(name: str, directory: str | None = None) -> str:
    """Return which file of `readers` opens a data set of this name.

    Args:
      name: as in `Data.name`.
      directory: of prepared TFDS sets.

    Raises:
      DataError: the name is that of arrays which only the program had that gave them.
    """
    if name in synthetic.SETS:
        return "synthetic"
    if name in EMBEDDED:
        return name
    if _given_in_python(name):
        why = _FROM_PYTHON[name.partition(":")[0]]
        raise DataError(
            f"--data.name {name}: {why}.\nTry from Python: jaxgen.load(folder, data=...)"
        )
    path = _path_of(name, directory)
    if path is None:
        return "tfds"
    if path.is_dir():
        return _reader_of_folder(path)
    readers = {".npz": "npz", **dict.fromkeys(sound_file.SUFFIXES, "wav")}
    return readers.get(path.suffix.lower(), "idx")


def _path_of(name: str, directory: str | None) -> Path | None:
    """Return the path that a name means, None if it means a set of TFDS.

    A bare name that TFDS knows is that set, also where a file or a folder has the same name; a
    name with a slash is a path if that is there.
    """
    path = Path(os.path.expanduser(name))  # Path's own raises for an unknown user
    if not path.exists():
        return None
    if _SET_NAME.fullmatch(name):
        prepare = importlib.import_module("jaxgen.data.readers.prepare")
        if prepare.is_known(name, directory):
            return None
    return path


def _reader_of_folder(path: Path) -> str:
    """Return which reader opens a folder: that of the kind of which it holds most files."""
    image_file = importlib.import_module("jaxgen.data.readers.image_file")
    found = walk(path)
    if any("idx3-ubyte" in file.name for file in found.files if file.parent == path):
        return "idx"
    num_images = len(found.chosen(image_file.suffixes()))
    if len(found.chosen(sound_file.SUFFIXES)) > num_images:
        return "wav"
    if num_images == 0 and any("idx3-ubyte" in file.name for file in found.files):
        return "idx"
    return "folder"


def _require_flags_of(reader: str, config: Data) -> None:
    """Raise ConfigError for a flag that this reader does not take."""
    if config.length is not None and reader != "wav":
        raise ConfigError(
            f"--data.length {config.length} is for WAV files, and {config.name!r} is none"
        )
    if config.image_size is not None and reader not in ("folder", "tfds"):
        raise ConfigError(
            f"--data.image-size {config.image_size} is for folders of images and images of TFDS, "
            f"and {config.name!r} is neither"
        )


def _given_in_python(name: str) -> bool:
    """Return whether it is the name of a data set that was made of arrays in a program."""
    return name.partition(":")[0] in _FROM_PYTHON
