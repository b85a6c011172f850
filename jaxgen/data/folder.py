"""A folder of images: sub-folders are classes, and a hash of its path puts each image in a split.

The hash of the relative path decides (8 in 10 train, 1 validation, 1 test), so an image stays in
its split when others are added. Pixels are taken as stored: an EXIF orientation is not applied.
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgen.console import first_line
from jaxgen.data import split as split_module
from jaxgen.data.config import Data
from jaxgen.data.crop import square
from jaxgen.data.split import Source, Split, identity_hash
from jaxgen.data.validate import check_examples
from jaxgen.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
CHANNELS = {"L": 1, "RGB": 3}


def read(config: Data) -> Source:
    """Open a folder of grey or RGB images, all of one kind and, unless resized, of one size.

    Raises:
      DataError: no images, one that cannot be read, or one that differs from the first.
    """
    root = Path(config.name).expanduser()
    files = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    files = sorted(files, key=lambda path: path.relative_to(root).as_posix())
    if not files:
        raise DataError(
            f"{root}: no images ({', '.join(sorted(SUFFIXES))}) in this folder\n"
            "Give --data.name a folder of images, IDX files, or the name of a data set"
        )
    shape = check_headers(files, config.image_size)
    labels, num_classes = label_by_folder(root, files)
    parts = np.array([part_of(path.relative_to(root).as_posix()) for path in files])

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        rows = np.flatnonzero(np.isin(parts, chosen))
        if len(rows) == 0:
            raise DataError(
                f"{root}, split {name!r}: empty, since one image in ten falls into it by hash\n"
                f"Got {len(files)} images in all: add more"
            )
        paths = [files[row] for row in rows]
        take = partial(_take, config, shape, paths, labels[rows] if num_classes else None, name)
        if len(rows) * int(np.prod(shape)) > split_module.RESIDENT_BYTES:
            sizes = [[path.relative_to(root).as_posix(), path.stat().st_size] for path in paths]
            return Split(name, len(rows), identity_hash([config.image_size, sizes]), take=take)
        return Split.of(name, take(np.arange(len(rows))))

    return Source(shape, 256, num_classes, split)


def part_of(relative: str) -> str:
    """Split of an image by its path relative to the folder, with forward slashes."""
    bucket = int.from_bytes(hashlib.sha256(relative.encode()).digest()[:8], "big") % 10
    return {8: "validation", 9: "test"}.get(bucket, "train")


def label_by_folder(root: Path, files: list[Path]) -> tuple[np.ndarray, int | None]:
    """Class of each image by its top sub-folder: int32 [num], and how many; none in a flat folder.

    Raises:
      DataError: an image that lies beside the class folders.
    """
    parts = [path.relative_to(root).parts for path in files]
    flat = [path for path, part in zip(files, parts, strict=True) if len(part) == 1]
    if len(flat) == len(files):
        return np.zeros(len(files), np.int32), None
    if flat:
        raise DataError(
            f"{flat[0]}: lies beside sub-folders, which are taken as classes\n"
            "Move it into one of them, or all files into one folder"
        )
    classes = sorted({part[0] for part in parts})
    return np.array([classes.index(part[0]) for part in parts], np.int32), len(classes)


def check_headers(files: list[Path], image_size: int | None) -> tuple[int, int, int]:
    """Shape (H, W, C) that all the files have, read from their headers alone.

    Raises:
      DataError: the first file that is unreadable or differs from the first of all.
    """
    first = None
    for path in files:
        mode, (width, height) = _header(path)
        if image_size is not None:
            width = height = image_size
        shape = (height, width, CHANNELS[mode])
        first = first or shape
        if shape[2] != first[2]:
            raise DataError(
                f"{path}: got {_colour(shape)}, expected {_colour(first)} like {files[0]}\n"
                "Convert the images to one kind"
            )
        if shape != first:
            raise DataError(
                f"{path}: got {width} x {height} pixels, expected {first[1]} x {first[0]} "
                f"like {files[0]}\nGive --data.image-size to crop and resize them all"
            )
    return first


def _header(path: Path) -> tuple[str, tuple[int, int]]:
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
    except Exception as error:  # Pillow's plugins raise all sorts
        raise _unreadable(path, error) from error
    if mode not in CHANNELS:
        raise DataError(
            f"{path}: got pixels of mode {mode}, expected L (grey) or RGB\n"
            "Convert it: an alpha channel or a palette would be lost without notice"
        )
    return mode, size


def _take(
    config: Data,
    shape: tuple[int, int, int],
    paths: list[Path],
    labels: np.ndarray | None,
    name: str,
    indices: np.ndarray,
) -> dict[str, np.ndarray]:
    images = np.stack([_pixels(paths[i], config.image_size, shape) for i in indices])
    arrays = {"image": images} if labels is None else {"image": images, "label": labels[indices]}
    check_examples(arrays, name=config.name, split=name, levels=256, indices=indices)
    return arrays


def _pixels(path: Path, image_size: int | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Decode one image: uint8 [H, W, C]."""
    try:
        with Image.open(path) as image:
            image.load()
            if image_size is not None:
                return np.asarray(square(image, image_size)).reshape(shape)
            return np.asarray(image).reshape(shape)
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = first_line(error)
    return DataError(f"{path}: cannot be read as an image: {reason}\nRepair or remove the file")


def _colour(shape: tuple[int, int, int]) -> str:
    return "a grey image" if shape[2] == 1 else "an RGB image"
