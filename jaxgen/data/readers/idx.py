"""IDX files, the format of MNIST: a big-endian header, then bytes; plain or gzipped.

A folder holds train and t10k (or test) images with their labels, itself or below (`MNIST/raw`); a
tenth of train, drawn at random, is its validation split. A single file of images is divided at
random into 80% / 10% / 10%.
"""

import gzip
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxgen.console import note
from jaxgen.data.checks import check_examples
from jaxgen.data.config import Data
from jaxgen.data.labels import num_classes_of
from jaxgen.data.levels import BYTE_LEVELS
from jaxgen.data.readers.walk import walk
from jaxgen.data.split import Arrays, Source, Split, content_hash, drawn_parts, join, rows
from jaxgen.errors import DataError

# Magic numbers: two zero bytes, type 8 = uint8, number of dimensions.
IMAGES = 0x0803
LABELS = 0x0801

_MAGIC = {"images": IMAGES, "labels": LABELS}
_FORMS = {"images": "-idx3-ubyte", "labels": "-idx1-ubyte"}
_PARTS = {"train": "train", "test": "t10k"}  # as the files of MNIST are named
_GZIP = b"\x1f\x8b"
# 'train-images-idx3-ubyte', 't10k-labels.idx1-ubyte.gz', 'emnist-letters-test-images-idx3-ubyte'
_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|training|t10k|test)[-_. ](?P<kind>images|labels)"
    r".idx[13].ubyte(\.gz)?",
    re.IGNORECASE,
)


def read(config: Data) -> Source:
    """Open an IDX file of images, or the folder of the four files.

    Raises:
      DataError: a file that is missing, truncated or not IDX, or labels that do not match.
    """
    path = Path(config.name).expanduser()
    read_parts = _read_folder if path.is_dir() else _cut_file
    parts = read_parts(path, at_random=config.by_sight)
    shape = parts["train"]["image"].shape[1:]
    of_test = parts["test"]["image"].shape[1:]
    if of_test != shape:
        raise DataError(f"{path}: test images are {of_test}, train images {shape}")
    num_classes = num_classes_of(part["label"] for part in parts.values() if "label" in part)

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        """Make the split of some parts, after a look at every example."""
        arrays = join([parts[part] for part in chosen])
        check_examples(
            arrays,
            name=config.name,
            split=name,
            levels=256,
            num_classes=num_classes,
        )
        return Split.of(name, arrays)

    return Source(shape, 256, num_classes, split, most_shown=BYTE_LEVELS, numbered=True)


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Return the array of one IDX file: uint8, of the shape in its header.

    Args:
      path: plain or gzipped, which its first bytes tell.
      magic: what the first four bytes must be, IMAGES or LABELS.

    Raises:
      DataError: naming the file, with got and expected.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}\nFetch the file again") from error
    found = int.from_bytes(content[:4], "big")
    if len(content) < 4 or found != magic:
        raise DataError(
            f"{path}: got magic number {found:#010x}, expected {magic:#010x}\n"
            f"This is no IDX file of {'images' if magic == IMAGES else 'labels'}"
        )
    # After the magic number: each dimension's size in 4 bytes, then one byte an element.
    rank = magic & 0xFF
    start = 4 + 4 * rank
    sizes = content[4:start].ljust(4 * rank, b"\0")
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path}: got {len(content)} bytes, expected {expected} "
            f"for shape {shape}\nThe file is truncated or damaged: fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _cut_file(path: Path, *, at_random: bool) -> dict[str, Arrays]:
    """Return the three parts of a single file of images. Raises DataError."""
    images = read_idx(path, IMAGES)[..., None]  # [N, H, W] -> [N, H, W, 1]
    return _cut({"image": images}, ("validation", "test"), at_random=at_random)


def _read_folder(path: Path, *, at_random: bool) -> dict[str, Arrays]:
    """Return the three parts of a folder of four files. Raises DataError."""
    files = _files_below(path)
    train = _pair(path, files, "train")
    test = _pair(path, files, "test")
    return {**_cut(train, ("validation",), at_random=at_random), "test": test}


def _cut(
    arrays: Arrays,
    held_out: Sequence[str],
    *,
    at_random: bool,
) -> dict[str, Arrays]:
    """Hold out a tenth for each part, at random or else the last ones; the rest is train."""
    num = len(arrays["image"])
    tenth = num // 10
    if at_random:
        chosen = drawn_parts(content_hash(arrays), num, dict.fromkeys(held_out, tenth))
        return {name: rows(arrays, indices) for name, indices in chosen.items()}
    start = num - tenth * len(held_out)
    parts: dict[str, Arrays] = {"train": rows(arrays, slice(start))}
    for name in held_out:
        stop = start + tenth
        parts[name] = rows(arrays, slice(start, stop))
        start = stop
    return parts


def _pair(
    folder: Path,
    files: Mapping[tuple[str, str], list[Path]],
    part: str,
) -> Arrays:
    """Read the images and the labels of one part, 'train' or 'test'. Raises DataError."""
    _, images = _only(folder, files, part, "images")
    path, labels = _only(folder, files, part, "labels")
    if len(labels) != len(images):
        raise DataError(f"{path}: got {len(labels)} labels, expected {len(images)}, one an image")
    # [N, H, W] -> [N, H, W, 1]
    return {"image": images[..., None], "label": labels.astype(np.int32)}


def _only(
    folder: Path,
    files: Mapping[tuple[str, str], list[Path]],
    part: str,
    kind: str,
) -> tuple[Path, np.ndarray]:
    """Return the one file of a part and kind, and its array; of several that are equal the first.

    Raises:
      DataError: there is none, or several that differ.
    """
    found = files.get((part, kind), [])
    if not found:
        name = f"{_PARTS[part]}-{kind}{_FORMS[kind]}"
        raise DataError(
            f"{folder}: got none, expected one file {name} (.gz or not)\n"
            "Give --data.name a folder of train and t10k (or test) images and labels, or one file "
            "of images"
        )
    first, *others = found
    array = read_idx(first, _MAGIC[kind])
    for other in others:
        if not np.array_equal(array, read_idx(other, _MAGIC[kind])):
            raise DataError(
                f"{folder}: got {first.relative_to(folder)} and {other.relative_to(folder)}, which "
                f"differ, expected one file of {part} {kind}\nGive the folder of one of them"
            )
    if others:
        note(f"{folder}: {part} {kind} lie there {len(found)} times, all equal; {first} is read")
    return first, array


def _files_below(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Return {(part, kind): files} of the set below a folder, unpacked ones first.

    Raises:
      DataError: there are several sets, told by what their files' names begin with.
    """
    found: dict[tuple[str, str], list[Path]] = {}
    sets = set()
    for path in walk(folder).files:
        match = _NAME.fullmatch(path.name)
        if match:
            sets.add(match["set"].lower().strip("-_. "))
            part = "train" if match["part"].lower().startswith("train") else "test"
            found.setdefault((part, match["kind"].lower()), []).append(path)
    if len(sets) > 1:
        names = ", ".join(name or "one without a name" for name in sorted(sets))
        raise DataError(
            f"{folder}: got the files of {len(sets)} sets ({names}), expected those of one\n"
            "Move the files of one into a folder of its own and give that"
        )
    for files in found.values():
        files.sort(key=lambda path: (path.suffix.lower() == ".gz", path))
    return found
