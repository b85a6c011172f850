"""Arrays as data, given from Python (or, by `npz`, from a file).

Examples are {'image': [N, ...], 'label': [N], ...}. Images of bytes (or other whole numbers) have
levels; images of real numbers are continuous. A tenth of the examples each is cut off at random for
validation and for test, where these are not given; the permutation depends on the content alone, so
that the same arrays are always cut alike.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.data.checks import Where, check_examples, check_finite, check_image
from jaxgen.data.config import Data, Rules, Transform
from jaxgen.data.dataset import Dataset
from jaxgen.data.labels import num_classes_of
from jaxgen.data.levels import BYTE_LEVELS, IMAGES
from jaxgen.data.split import (
    SPLITS,
    Arrays,
    Source,
    Split,
    content_hash,
    drawn_parts,
    join,
    rows,
)
from jaxgen.errors import ConfigError, DataError

Given = ArrayLike | Mapping[str, ArrayLike]

_BYTE = np.iinfo(np.uint8).max
_INT32 = np.iinfo(np.int32)


def from_arrays(
    train: Given,
    *,
    validation: Given | None = None,
    test: Given | None = None,
    levels: int | None = None,
    num_classes: int | None = None,
    name: str = "arrays",
    transform: Transform | None = None,
    threshold: int | None = None,
    derive: tuple[str, ...] = (),
    rules: Rules = 2,
) -> Dataset:
    """Make a data set of arrays.

    Args:
      train: {'image': [N, ...], 'label': [N], ...}, or the images alone. An image is [H, W, C],
        [H, W] or a vector [D]; whole numbers in 0..levels-1, or real numbers.
      validation: as `train`; default: a tenth of `train`, cut off at random.
      test: as `train`; default: a tenth of `train`, cut off at random.
      levels: number of values of a pixel; default: 2 for booleans, and of whole numbers as many as
        the data show where these are at most 128, else 256.
      num_classes: labels are 0..num_classes-1, or -1 where the class is not known; default: as many
        as the data show, and labels that skip a number are numbered anew.
      name: for messages and records.
      transform: see `Data.transform`; default: binarise, and none for real numbers.
      threshold: see `Data.threshold`.
      derive: see `Data.derive`.
      rules: see `Data.rules`.

    Raises:
      ConfigError: levels, a transform or a derived field that do not fit.
      DataError: arrays that are no examples; names split and field.
    """
    given = {"train": train, "validation": validation, "test": test}
    found = {split: arrays for split, arrays in given.items() if arrays is not None}
    source = source_of(name, found, levels=levels, num_classes=num_classes)
    if transform is None:
        transform = "none" if source.levels is None else "binarise"
    config = Data(
        name=name if name == "arrays" else f"arrays:{name}",
        transform=transform,
        threshold=threshold,
        derive=derive,
        rules=rules,
    )
    return Dataset.of(config, source)


def source_of(
    name: str,
    given: Mapping[str, Given],
    *,
    levels: int | None = None,
    num_classes: int | None = None,
) -> Source:
    """Check arrays and cut off the splits that are not given. Raises ConfigError, DataError."""
    plain = {split: _plain(name, split, arrays) for split, arrays in given.items()}
    most_shown = BYTE_LEVELS if levels is None and _is_whole(given["train"]) else 0
    levels = _levels(name, given["train"], plain["train"]["image"], levels)
    numbered = num_classes is None
    if num_classes is None:
        num_classes = num_classes_of(x["label"] for x in plain.values() if "label" in x)
    for part, arrays in plain.items():
        check_examples(arrays, name=name, split=part, levels=levels, num_classes=num_classes)
        where = Where(name, part, np.arange(len(arrays["image"])))
        _check_others(arrays, levels, where)
    _require_alike(name, plain)
    parts = _cut(name, plain)

    def split(split_name: str, chosen: tuple[str, ...]) -> Split:
        """Make the split of some parts."""
        return Split.of(split_name, join([parts[part] for part in chosen]))

    train = plain["train"]
    return Source(
        shape=train["image"].shape[1:],
        levels=levels,
        num_classes=num_classes,
        split=split,
        context_shape=train["context"].shape[1:] if "context" in train else None,
        most_shown=most_shown,
        numbered=numbered,
    )


def _plain(
    name: str,
    split: str,
    given: Given,
) -> dict[str, np.ndarray]:
    """Return the fields of a split in the dtypes of examples: uint8, int32 or float32.

    Raises:
      DataError: no images, or a field of another length or kind; names it.
    """
    fields = given if isinstance(given, Mapping) else {"image": given}
    if "image" not in fields:
        got = ", ".join(map(repr, fields)) or "no arrays"
        raise DataError(f"{name}, split {split!r}: got {got}, expected a field 'image'")
    num = len(np.atleast_1d(np.asarray(fields["image"])))
    where = Where(name, split, np.arange(num))
    if num == 0:
        where.fail("image", None, "got no examples", "expected at least one")
    arrays = {}
    for field, value in fields.items():
        array = np.asarray(value)
        if array.ndim == 0:
            where.fail(field, None, f"got one {array.dtype} alone", f"expected [{num}, ...]")
        if len(array) != num:
            where.fail(field, None, f"got {len(array)} entries", f"expected {num}, one an image")
        arrays[field] = _converted(field, array, where)
    return arrays


def _converted(
    field: str,
    array: np.ndarray,
    where: Where,
) -> np.ndarray:
    """Return an array of numbers in the dtype of examples. Raises DataError for anything else."""
    if field in IMAGES and array.ndim == 3:
        array = array[..., None]  # [N, H, W] -> [N, H, W, 1]
    match array.dtype.kind:
        case "f" if field != "label":
            with np.errstate(over="ignore"):  # what float32 does not hold is then not finite
                return array.astype(np.float32, copy=False)
        case "b" if field != "label":
            return array.astype(np.uint8)
        case "i" | "u" if field in IMAGES:
            _require_between(field, array, 0, _BYTE, where)
            return array.astype(np.uint8, copy=False)
        case "i" | "u" if array.dtype == np.uint8 and field != "label":
            return array
        case "i" | "u":
            _require_between(field, array, _INT32.min, _INT32.max, where)
            return array.astype(np.int32, copy=False)
    expected = "expected integers" if field == "label" else "expected real or whole numbers"
    return where.fail(field, None, f"got dtype {array.dtype}", expected)


def _require_between(
    field: str,
    array: np.ndarray,
    least: int,
    most: int,
    where: Where,
) -> None:
    """Raise DataError, naming the first bad row, unless all numbers [N, ...] are within bounds."""
    flat = array.reshape(len(array), -1)
    outside = (flat < least) | (flat > most)
    bad = outside.any(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        value = flat[first][outside[first]][0]
        where.fail(field, first, f"got {value}", f"expected {least}..{most}")


def _levels(
    name: str,
    given: Given,
    image: np.ndarray,
    levels: int | None,
) -> int | None:
    """Return how many values a pixel takes; None for real numbers. Raises ConfigError."""
    if image.dtype == np.float32:
        if levels is not None:
            raise ConfigError(
                f"levels: got {levels} for {name!r}, whose images are real numbers; give whole "
                "numbers in 0..levels-1, or leave it out"
            )
        return None
    if levels is None:
        return _BYTE + 1 if _is_whole(given) else 2
    if not 2 <= levels <= _BYTE + 1:
        raise ConfigError(f"levels: got {levels}, expected 2 to {_BYTE + 1}")
    return levels


def _is_whole(given: Given) -> bool:
    """Return whether the images are whole numbers, which do not say how many levels they have."""
    stored = given["image"] if isinstance(given, Mapping) else given
    return np.asarray(stored).dtype.kind in "iu"


def _check_others(
    arrays: Arrays,
    levels: int | None,
    where: Where,
) -> None:
    """Check the fields besides 'image' and 'label'. Raises DataError."""
    for field, array in arrays.items():
        if field == "other":
            check_image(field, array, levels, where)
        elif field != "image" and array.dtype == np.float32:
            check_finite(field, array.reshape(len(array), -1), where)


def _require_alike(name: str, plain: Mapping[str, Arrays]) -> None:
    """Raise DataError unless all splits have the fields of train, each in its shape and dtype."""
    expected = _form(plain["train"])
    for split, arrays in plain.items():
        found = _form(arrays)
        for field in sorted(found.keys() | expected.keys()):
            if found.get(field) != expected.get(field):
                raise DataError(
                    f"{name}, split {split!r}, field {field!r}: got {found.get(field, 'none')}, "
                    f"expected {expected.get(field, 'none')} as in 'train'"
                )


def _form(arrays: Arrays) -> dict[str, str]:
    """Return {field: dtype and shape of one example}."""
    return {field: f"{array.dtype} {list(array.shape[1:])}" for field, array in arrays.items()}


def _cut(name: str, plain: Mapping[str, Arrays]) -> dict[str, Arrays]:
    """Return all splits: those that are missing are tenths of train, drawn by its content hash."""
    missing = [split for split in SPLITS if split not in plain]
    train = plain["train"]
    num = len(train["image"])
    tenth = num // 10
    if missing and tenth == 0:
        raise DataError(
            f"{name}, split {missing[0]!r}: empty, since a tenth of {num} examples is cut off for "
            "it\nGive at least 10 examples, or the split itself"
        )
    if not missing:
        return dict(plain)
    chosen = drawn_parts(content_hash(train), num, dict.fromkeys(missing, tenth))
    return {**plain, **{split: rows(train, indices) for split, indices in chosen.items()}}
