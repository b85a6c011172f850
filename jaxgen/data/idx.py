"""IDX files, the format of MNIST: a big-endian header, then bytes; plain or gzipped.

A folder holds train and t10k images with their labels; the last 10% of train are its validation
split. A single file of images is divided into 80% / 10% / 10% in its own order.
"""

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxgen.data.config import Data
from jaxgen.data.split import Arrays, Source, Split, join
from jaxgen.data.validate import check_examples
from jaxgen.errors import DataError

IMAGES, LABELS = 0x0803, 0x0801  # two zero bytes, type 8 = uint8, number of dimensions


def read(config: Data) -> Source:
    """Open an IDX file of images, or the folder of the four files.

    Raises:
      DataError: a file that is missing, truncated or not IDX, or labels that do not match.
    """
    path = Path(config.name).expanduser()
    parts = _read_folder(path) if path.is_dir() else _cut_file(path)
    shape = parts["train"]["image"].shape[1:]
    if parts["test"]["image"].shape[1:] != shape:
        raise DataError(
            f"{path}: test images are {parts['test']['image'].shape[1:]}, train images {shape}"
        )
    labels = [part["label"] for part in parts.values() if "label" in part and len(part["label"])]
    num_classes = 1 + max(int(label.max()) for label in labels) if labels else None

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        arrays = join([parts[part] for part in chosen])
        check_examples(arrays, name=config.name, split=name, levels=256, num_classes=num_classes)
        return Split.of(name, arrays)

    return Source(shape, 256, num_classes, split)


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Array of one IDX file: uint8, of the shape in its header.

    Args:
      path: plain, or gzipped if its name ends in .gz.
      magic: what the first four bytes must be, IMAGES or LABELS.

    Raises:
      DataError: naming the file, with got and expected.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}\nFetch the file again") from error
    found = int.from_bytes(content[:4], "big")
    if len(content) < 4 or found != magic:
        raise DataError(
            f"{path}: got magic number {found:#010x}, expected {magic:#010x}\n"
            f"This is no IDX file of {'images' if magic == IMAGES else 'labels'}"
        )
    rank = magic & 0xFF
    start = 4 + 4 * rank
    shape = tuple(int(n) for n in np.frombuffer(content[4:start].ljust(4 * rank, b"\0"), ">u4"))
    if len(content) != start + math.prod(shape):
        raise DataError(
            f"{path}: got {len(content)} bytes, expected {start + math.prod(shape)} "
            f"for shape {shape}\nThe file is truncated or damaged: fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _cut_file(path: Path) -> dict[str, Arrays]:
    images = read_idx(path, IMAGES)[..., None]
    return _slices({"image": images}, ("validation", "test"))


def _read_folder(path: Path) -> dict[str, Arrays]:
    train, test = (_pair(path, prefix) for prefix in ("train", "t10k"))
    return {**_slices(train, ("validation",)), "test": test}


def _slices(arrays: Arrays, held_out: Iterable[str]) -> dict[str, Arrays]:
    """Cut the last 10% for each held-out part, in that order; the rest is train."""
    held_out = list(held_out)
    num = len(arrays["image"])
    tenth = num // 10
    edges = [num - tenth * (len(held_out) - i) for i in range(len(held_out) + 1)]
    bounds = {"train": (0, edges[0])}
    bounds |= {name: (edges[i], edges[i + 1]) for i, name in enumerate(held_out)}
    return {
        name: {field: array[a:b] for field, array in arrays.items()}
        for name, (a, b) in bounds.items()
    }


def _pair(folder: Path, prefix: str) -> Arrays:
    images = read_idx(_only(folder, f"*{prefix}-images?idx3-ubyte"), IMAGES)[..., None]
    path = _only(folder, f"*{prefix}-labels?idx1-ubyte")
    labels = read_idx(path, LABELS)
    if len(labels) != len(images):
        raise DataError(f"{path}: got {len(labels)} labels, expected {len(images)}, one an image")
    return {"image": images, "label": labels.astype(np.int32)}


def _only(folder: Path, pattern: str) -> Path:
    found = sorted([*folder.glob(pattern), *folder.glob(pattern + ".gz")])
    if len(found) != 1:
        got = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: got {got}, expected one file {pattern}(.gz)\n"
            "Give --data.name a folder of train and t10k images and labels, or one file of images"
        )
    return found[0]
