"""TFDS sets on disk: found where they lie prepared, prepared where that is allowed.

Whether a set is prepared is looked up first, by its files alone: running the code of an unprepared
set may wait minutes for a network that is not there.
"""

import contextlib
import difflib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants, naming
from tensorflow_datasets.core.read_only_builder import builder_from_files
from tensorflow_datasets.core.utils import tqdm_utils

from jaxgen.console import quiet
from jaxgen.data.config import Data
from jaxgen.data.readers import synthetic
from jaxgen.data.readers.stand_in import without_tensorflow
from jaxgen.errors import DataError, first_line

_FEATURE_CLASS = re.compile(r'"pythonClassName"\s*:\s*"([^"]*)"')


def open_by_name(config: Data) -> Any:
    """Return the builder of a set that lies prepared, or that the catalogue has and may be fetched.

    Raises:
      DataError: the name is unknown, or the set is not prepared and may not be downloaded.
    """
    found = find(config.name, config.dir)
    if found:
        return found
    catalogue = tfds.list_builders(with_community_datasets=False)
    if _base(config.name) not in catalogue:
        raise DataError(_unknown(config.name, catalogue))
    if not config.download:
        raise DataError(
            f"{config.name!r} is not prepared in {_folder(config.dir)}\n"
            "Add --data.download to fetch it from its source, or --data.dir if it lies elsewhere"
        )
    return prepare(
        config,
        config.name,
        lambda: tfds.builder(config.name, data_dir=config.dir, file_format="array_record"),
    )


def is_known(name: str, directory: str | None) -> bool:
    """Return whether TFDS has a set of this name: in its catalogue, or prepared."""
    catalogue = tfds.list_builders(with_community_datasets=False)
    return _base(name) in catalogue or find(name, directory) is not None


def _base(name: str) -> str:
    """Return the name of a set without configuration and version."""
    return name.split("/")[0].split(":")[0]


def find(name: str, directory: str | None) -> Any | None:
    """Return the builder of a set that lies prepared, without running its code; else None.

    Raises:
      DataError: it is there, but its description is damaged.
    """
    try:
        base, options = naming.parse_builder_name_kwargs(name, data_dir=directory)
        _require_own_features(_folder(directory) / str(base))
        return builder_from_files(str(base), **options)
    except ValueError:  # DatasetNotFoundError is one, and so is a name that does not parse
        return None
    except Exception as error:  # a reader of JSON or protobuf raises its own
        raise DataError(
            f"{name}: cannot be opened in {_folder(directory)}: "
            f"{first_line(error)}\nDelete its folder there and prepare the set again"
        ) from error


def _folder(directory: str | None) -> Path:
    """Return the folder of prepared sets: the one given, or that of TFDS."""
    return Path(directory or constants.DATA_DIR)


def _require_own_features(folder: Path) -> None:
    """Raise TypeError where features.json, whose classes TFDS imports, names one not of TFDS."""
    for path in folder.rglob("features.json"):
        for name in _FEATURE_CLASS.findall(path.read_text()):
            if not name.startswith("tensorflow_datasets."):
                raise TypeError(f"{path} names the class {name[:80]}, which is not of TFDS")


def prepare(
    config: Data,
    name: str,
    build: Callable[[], Any],
) -> Any:
    """Download and prepare; whoever loses a race against another process takes the winner's.

    Raises:
      DataError: it failed, with the first line of TFDS's reason.
    """
    try:
        with _quiet(), without_tensorflow():
            builder = build()
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # every builder fails in its own way
        builder = find(name, config.dir)
        if builder is None:
            raise DataError(
                f"{config.name!r} could not be prepared in {_folder(config.dir)}: "
                f"{_reason(error)}\n{_advice(error)}"
            ) from error
    return builder


def _reason(error: Exception) -> str:
    """Return the line that says why; TFDS puts what it did, and the example, around it."""
    lines = str(error).splitlines()
    about = [line for line in lines if "tensorflow is not installed" in line]
    return first_line(about[0] if about else error)


def _advice(error: Exception) -> str:
    """Return what to do about a set that could not be prepared."""
    if "tensorflow" in str(error).lower():
        return (
            "This set needs TensorFlow, for more than files and images: prepare it where that is\n"
            "installed (tfds build SET --file_format=array_record) and give --data.dir"
        )
    if isinstance(error, OSError):
        return "Check the network and the free space, or choose another folder with --data.dir"
    return "Prepare it by hand with TFDS (file_format='array_record') and give --data.dir"


def _unknown(name: str, catalogue: list[str]) -> str:
    """Return the message about a name that nothing has, with the closest ones."""
    ours = ["digits", *synthetic.SETS, "tones"]
    close = difflib.get_close_matches(name.lower(), ours + catalogue)
    guess = f"did you mean {' or '.join(close)}? " if close else ""
    return (
        f"--data.name {name}: {guess}No such data set, file or folder\n"
        f"Embedded: {', '.join(ours)}; or a TFDS name, a folder of images or WAV files, IDX files"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence TFDS, which prints, draws progress bars and warns that a new folder is empty."""
    bars = tqdm_utils._active
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()), quiet():
            yield
    finally:
        tqdm_utils.display_progress_bar(bars)
