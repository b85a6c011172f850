"""A folder of images: sub-folders are classes; splits are folders, or a hash of each path.

Folders named train, validation and test (or as `SPLIT_NAMES` says, in any case) hold the splits,
with the classes in them or they in the classes; without a folder of its own, a split is cut off
train by the hash. The hash of the relative path sends 8 in 10 to train and 1 each to validation and
test, so an image stays in its split when others are added. Classes are numbered in natural order:
'2' before '10'. Links are followed and hidden files left out (`walk.py`); which kinds of image are
read is the matter of `image_file.py`.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.console import note
from jaxgen.data import split as split_module
from jaxgen.data.checks import check_examples
from jaxgen.data.config import Data
from jaxgen.data.levels import FILE_LEVELS
from jaxgen.data.readers import image_file
from jaxgen.data.readers.walk import relative, walk
from jaxgen.data.split import SPLITS, Source, Split, identity_hash
from jaxgen.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "validate": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
_YEAR = re.compile(r"[-_ ]?(19|20)\d\d$")  # train2017, as archives are named
_THINGS = re.compile(r"[-_ ]?(images?|imgs?|pictures|photos|data|set|split)$")  # train_images


@dataclass(frozen=True)
class Arrangement:
    """The files of a folder by split and class.

    Attributes:
      parts: the split of each file, [num].
      labels: the class of each file, int32 [num].
      class_names: of the classes; None where there are no sub-folders.
    """

    parts: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] | None

    @property
    def num_classes(self) -> int | None:
        """The number of classes, None without."""
        return None if self.class_names is None else len(self.class_names)


def read(config: Data) -> Source:
    """Open a folder of grey or RGB images, all of one kind and, unless resized, of one size.

    Raises:
      DataError: no images, one that cannot be read, or one that differs from the first.
    """
    root = Path(config.name).expanduser()
    found = walk(root, by_sight=config.by_sight)
    files = found.chosen(image_file.suffixes(by_sight=config.by_sight))
    if config.by_sight:
        found.say_skipped(files, "images")
    if not files:
        raise DataError(
            f"{root}: no images (.png, .jpg and others that Pillow reads) in this folder\n"
            "Give --data.name a folder of images, IDX files, or the name of a data set"
        )
    shape = check_headers(files, config.image_size, by_sight=config.by_sight)
    arranged = arrange(root, files, by_sight=config.by_sight)

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        """Read the images of some parts if they fit into memory, else leave them on disk."""
        rows = np.flatnonzero(np.isin(arranged.parts, chosen))
        if len(rows) == 0:
            raise DataError(
                f"{root}, split {name!r}: empty, since one image in ten falls into it by hash\n"
                f"Got {len(files)} images in all: add more, or a folder {name!r}"
            )
        paths = [files[row] for row in rows]
        labels = None if arranged.class_names is None else arranged.labels[rows]
        take = partial(_take, config, shape, paths, labels, name)
        num_bytes = len(rows) * math.prod(shape)
        if num_bytes > split_module.RESIDENT_BYTES:
            sizes = [[relative(path, root), path.stat().st_size] for path in paths]
            what = [config.image_size, sizes, *renumbered(arranged.class_names)]
            return Split(name, len(rows), identity_hash(what), take=take, label=labels)
        return Split.of(name, take(np.arange(len(rows))))

    return Source(
        shape=shape,
        levels=256,
        num_classes=arranged.num_classes,
        split=split,
        class_names=arranged.class_names,
        most_shown=FILE_LEVELS,
    )


def arrange(root: Path, files: Sequence[Path], *, by_sight: bool) -> Arrangement:
    """Return the split and the class of each file, by the folders that it lies in.

    A single file, which is its own root, has no class.

    Args:
      root: the folder.
      files: below it.
      by_sight: by the rules of today (`Data.rules`); else every folder is a class, in the order of
        text, and the hash alone decides the split.

    Raises:
      DataError: a file beside the folders of classes or splits; splits without a train one.
    """
    folders = [path.relative_to(root).parts[:-1] for path in files]
    hashed = [part_of(relative(path, root)) for path in files]
    order = natural if by_sight else str
    level = _split_level(root, folders) if by_sight else None
    if level is None:
        labels, names = _classes(root, files, folders, order)
        return Arrangement(np.array(hashed), labels, names)
    given = [_split_named(names[level]) for names in folders]
    if "train" not in given:
        raise DataError(
            f"{root}: got folders for {', '.join(sorted(set(filter(None, given))))}, none for train"
            "\nAdd a folder 'train', or give the folder that holds the classes"
        )
    missing = [name for name in SPLITS if name not in given]
    parts = [
        cut if part == "train" and cut in missing else part
        for part, cut in zip(given, hashed, strict=True)
    ]
    inner = [names[:level] + names[level + 1 :] for names in folders]
    if level and len({names[:level] for names in folders}) == 1:
        inner = [names[level:] for names in inner]  # one folder around all splits is no class
    labels, names = _classes(root, files, inner, order)
    return Arrangement(np.array(parts), labels, names)


def part_of(path: str) -> str:
    """Return the split of a file by its path relative to the folder, with forward slashes."""
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).digest()
    bucket = int.from_bytes(digest[:8], "big") % 10
    return {8: "validation", 9: "test"}.get(bucket, "train")


def natural(name: str) -> tuple[list[str | int], str]:
    """Return what to sort names by so that numbers in them count as numbers: '2' before '10'."""
    pieces: list[str | int] = list(re.split(r"(\d+)", name))
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name  # '01' and '1' are the same numbers, and yet have an order


def renumbered(class_names: Sequence[str] | None) -> list[list[str]]:
    """Return [the names] where natural order is not that of text, else [].

    It goes into the hash of examples on disk, of which otherwise paths and sizes are all: in
    records from before natural order the classes of such a folder had other numbers.
    """
    if class_names is None or list(class_names) == sorted(class_names):
        return []
    return [list(class_names)]


def _split_named(folder: str) -> str | None:
    """Return the split that a folder of this name holds, if it is the name of one."""
    stem = _THINGS.sub("", _YEAR.sub("", folder.lower()))
    return SPLIT_NAMES.get(_YEAR.sub("", stem))


def _split_level(root: Path, folders: Sequence[tuple[str, ...]]) -> int | None:
    """Return how far down the folders of the splits lie; None where there are none.

    Raises:
      DataError: folders of several splits lie beside others.
    """
    deepest = min(map(len, folders))
    for level in range(deepest):
        if all(_split_named(names[level]) for names in folders):
            return level
    top = {names[0] for names in folders if names}
    named = {name for name in top if _split_named(name)}
    if len({_split_named(name) for name in named}) > 1:
        others = sorted(top - named) or ["files"]
        raise DataError(
            f"{root}: got folders of splits ({', '.join(sorted(named))}) beside others "
            f"({', '.join(others)})\nMove the others away: they would be classes, or no split's"
        )
    for name in named:
        note(f"{root}: {name!r} lies beside other folders, so it is taken for a class, no split")
    return None


def _classes(
    root: Path,
    files: Sequence[Path],
    folders: Sequence[tuple[str, ...]],
    order: Callable[[str], Any],
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return the class of each file by its first folder, int32 [num], and the classes' names.

    Raises:
      DataError: a file that lies beside the class folders.
    """
    flat = [path for path, names in zip(files, folders, strict=True) if not names]
    if len(flat) == len(files):
        return np.zeros(len(files), np.int32), None
    if flat:
        raise DataError(
            f"{flat[0]}: lies beside sub-folders, which are taken as classes\n"
            "Move it into one of them, or all files into one folder"
        )
    of_file = [names[0] for names in folders]
    classes = tuple(sorted(set(of_file), key=order))
    if len(classes) == 1:
        note(f"{root}: all files have one class, {classes[0]!r}; give that folder for those in it")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[name] for name in of_file], np.int32)
    return labels, classes


def check_headers(
    files: Sequence[Path],
    image_size: int | None,
    *,
    by_sight: bool,
) -> tuple[int, int, int]:
    """Return the shape (H, W, C) that all the files have, read from their headers alone.

    Raises:
      DataError: the first file that is unreadable or differs from the first of all.
    """
    first = image_file.shape_of(files[0], image_size, by_sight=by_sight)
    for path in files[1:]:
        shape = image_file.shape_of(path, image_size, by_sight=by_sight)
        if shape[2] != first[2]:
            raise DataError(
                f"{path}: got {_colour(shape)}, expected {_colour(first)} like {files[0]}\n"
                "Convert the images to one kind"
            )
        if shape != first:
            raise DataError(
                f"{path}: got {shape[1]} x {shape[0]} pixels, expected {first[1]} x {first[0]} "
                f"like {files[0]}\nGive --data.image-size to crop and resize them all"
            )
    return first


def _take(
    config: Data,
    shape: tuple[int, int, int],
    paths: Sequence[Path],
    labels: np.ndarray | None,
    name: str,
    indices: np.ndarray,
) -> dict[str, np.ndarray]:
    """Read and check the images at some indices of a split, {'image': [n, H, W, C], 'label': [n]}.

    Raises:
      DataError: a file that cannot be decoded.
    """
    decode = partial(
        image_file.pixels,
        image_size=config.image_size,
        shape=shape,
        by_sight=config.by_sight,
    )
    arrays = {"image": np.stack([decode(paths[i]) for i in indices])}
    if labels is not None:
        arrays["label"] = labels[indices]
    check_examples(
        arrays,
        name=config.name,
        split=name,
        levels=256,
        indices=indices,
    )
    return arrays


def _colour(shape: tuple[int, int, int]) -> str:
    """Return in words which kind of image has this shape."""
    return "a grey image" if shape[2] == 1 else "an RGB image"
