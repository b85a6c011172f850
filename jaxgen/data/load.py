"""From a name to a data set: which reader, which splits, and whether the transform fits."""

import functools
import math
import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from jaxgen.data import synthetic, tones
from jaxgen.data.config import Data
from jaxgen.data.dataset import Dataset
from jaxgen.data.labels import keep_labels
from jaxgen.data.split import Source
from jaxgen.data.transform import check_transform
from jaxgen.errors import ConfigError, DataError

EMBEDDED = ("digits", *synthetic.SETS, "tones")  # these win over a path of that name


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
        raise DataError(f"--data.name {config.name[:200]}: {error.strerror}") from error
    check_transform(config.name, config.transform, config.threshold, source.levels)
    parts = {"train": tuple(config.train_on.split("+"))}
    splits = {
        name: source.split(name, parts.get(name, (name,)))
        for name in ("train", "validation", "test")
    }
    if config.labels is not None:
        splits["train"] = keep_labels(splits["train"], config.labels, source.num_classes)
    return Dataset(
        config=config,
        shape=source.shape,
        levels=source.levels,
        num_classes=source.num_classes,
        entropy=_prepared_entropy(config, source),
        splits=MappingProxyType(splits),
        context_shape=source.context_shape,
        sample_rate=source.sample_rate,
    )


def resolved(config: Data) -> Data:
    """The same data from any working directory: paths that are there become absolute."""
    path = Path(os.path.expanduser(config.name))  # Path's own raises for an unknown user
    name = str(path.resolve()) if path.exists() and config.name not in EMBEDDED else config.name
    directory = config.dir and str(Path(os.path.expanduser(config.dir)).resolve())
    return replace(config, name=name, dir=directory)


def read(config: Data) -> Source:
    """Open a data set with the reader that its name asks for; each reader is imported on use."""
    path = Path(os.path.expanduser(config.name))
    embedded = config.name in EMBEDDED
    sound = not embedded and _holds_sound(path)
    if config.length is not None and not sound:
        raise ConfigError(
            f"--data.length {config.length} is for WAV files, and {config.name!r} is none"
        )
    if not (embedded or sound) and path.is_dir() and not list(path.glob("*idx3-ubyte*")):
        from jaxgen.data import folder

        return folder.read(config)
    files = not embedded and path.exists()
    if config.image_size is not None and (embedded or files):
        raise ConfigError(
            f"--data.image-size {config.image_size} is for folders of images and images of TFDS, "
            f"and {config.name!r} is neither"
        )
    if sound:
        from jaxgen.data import wav

        return wav.read(config)
    if config.name in synthetic.SETS:
        return synthetic.read(config)
    if config.name == "tones":
        return tones.read(config)
    if files:
        from jaxgen.data import idx

        return idx.read(config)
    if config.name.startswith(("/", ".", "~")):
        raise DataError(f"--data.name {config.name}: no such file or folder")
    from jaxgen.data import tfds

    return tfds.read(config)


def _holds_sound(path: Path) -> bool:
    """Whether it is a WAV file, or a folder with one in it or below."""
    files = path.rglob("*") if path.is_dir() else [path]
    return any(file.suffix.lower() == ".wav" and file.is_file() for file in files)


def _prepared_entropy(config: Data, source: Source) -> float | None:
    if source.entropy is None or config.transform != "dequantise":
        return source.entropy
    # On a cell of side 1 / levels the density is levels^D times the probability.
    return source.entropy - math.prod(source.shape) * math.log(source.levels)
