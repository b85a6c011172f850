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
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.read_only_builder import builder_from_files
from tensorflow_datasets.core.utils import tqdm_utils

from jaxgen.console import first_line, quiet
from jaxgen.data import synthetic
from jaxgen.data.config import Data
from jaxgen.errors import DataError

_FEATURE_CLASS = re.compile(r'"pythonClassName"\s*:\s*"([^"]*)"')


def open_digits(config: Data) -> Any:
    """Builder of the embedded digits, prepared on first use."""
    from jaxgen.data.digits import JaxgenDigits

    name = f"{JaxgenDigits.name}:{JaxgenDigits.VERSION}"
    found = find(name, config.dir)
    return found or prepare(
        config, name, lambda: JaxgenDigits(data_dir=config.dir, file_format="array_record")
    )


def open_by_name(config: Data) -> Any:
    """Builder of a catalogued or already prepared set."""
    found = find(config.name, config.dir)
    if found:
        return found
    catalogue = tfds.list_builders(with_community_datasets=False)
    if config.name.split("/")[0].split(":")[0] not in catalogue:
        raise DataError(_unknown(config.name, catalogue))
    if not config.download:
        raise DataError(
            f"{config.name!r} is not prepared in {config.dir or tfds.core.constants.DATA_DIR}\n"
            "Add --data.download to fetch it from its source, or --data.dir if it lies elsewhere"
        )
    return prepare(
        config,
        config.name,
        lambda: tfds.builder(config.name, data_dir=config.dir, file_format="array_record"),
    )


def find(name: str, directory: str | None) -> Any | None:
    """Builder of a set that lies prepared in the folder, without running its code; else None.

    Raises:
      DataError: it is there, but its description is damaged.
    """
    try:
        base, options = naming.parse_builder_name_kwargs(name, data_dir=directory)
        _require_own_features(Path(directory or tfds.core.constants.DATA_DIR) / str(base))
        return builder_from_files(str(base), **options)
    except ValueError:  # DatasetNotFoundError is one, and so is a name that does not parse
        return None
    except Exception as error:  # a reader of JSON or protobuf raises its own
        raise DataError(
            f"{name}: cannot be opened in {directory or tfds.core.constants.DATA_DIR}: "
            f"{first_line(error)}\nDelete its folder there and prepare the set again"
        ) from error


def _require_own_features(folder: Path) -> None:
    """TFDS imports the class that features.json names: it must be one of TFDS's own."""
    for path in folder.rglob("features.json"):
        for name in _FEATURE_CLASS.findall(path.read_text()):
            if not name.startswith("tensorflow_datasets."):
                raise TypeError(f"{path} names the class {name[:80]}, which is not of TFDS")


def prepare(config: Data, name: str, build: Callable[[], Any]) -> Any:
    """Download and prepare; whoever loses a race against another process takes the winner's.

    Raises:
      DataError: it failed, with the first line of TFDS's reason.
    """
    try:
        with _quiet():
            builder = build()
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # every builder fails in its own way
        builder = find(name, config.dir)
        if builder is None:
            folder = config.dir or tfds.core.constants.DATA_DIR
            raise DataError(
                f"{config.name!r} could not be prepared in {folder}: {first_line(error)}\n"
                f"{_advice(error)}"
            ) from error
    return builder


def _advice(error: Exception) -> str:
    if "tensorflow" in str(error).lower():
        return "Preparing this set needs TensorFlow: install it, or prepare the set elsewhere"
    if isinstance(error, OSError):
        return "Check the network and the free space, or choose another folder with --data.dir"
    return "Prepare it by hand with TFDS (file_format='array_record') and give --data.dir"


def _unknown(name: str, catalogue: list[str]) -> str:
    ours = ["digits", *synthetic.SETS, "tones"]
    close = difflib.get_close_matches(name.lower(), ours + catalogue)
    guess = f"did you mean {' or '.join(close)}? " if close else ""
    return (
        f"--data.name {name}: {guess}No such data set, file or folder\n"
        f"Embedded: {', '.join(ours)}; or a TFDS name, a folder of images or WAV files, IDX files"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS prints to stdout, draws progress bars and warns that a new folder is empty."""
    bars = tqdm_utils._active
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()), quiet():
            yield
    finally:
        tqdm_utils.display_progress_bar(bars)
