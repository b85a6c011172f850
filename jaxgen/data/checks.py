"""Checks of every example when it is read; the first bad one is named."""

from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from jaxgen.errors import DataError
from jaxgen.fields import UNKNOWN

_LABELS = 2**31  # labels become int32


def check_examples(
    arrays: Mapping[str, np.ndarray],
    *,
    name: str,
    split: str,
    levels: int | None,
    num_classes: int | None = None,
    indices: np.ndarray | None = None,
) -> None:
    """Check 'image' [N, ...] and, where there is one, 'label' [N].

    Args:
      arrays: the examples.
      name: data set, for the message.
      split: split, for the message.
      levels: images are uint8 in 0..levels-1; None: finite float32.
      num_classes: labels are integers in 0..num_classes-1; None: any that int32 holds. In both
        cases -1 stands for a class that is not known.
      indices: [N] the examples' indices in the split; default 0..N-1.

    Raises:
      DataError: naming data set, split, index and field, with what was got and expected.
    """
    image = arrays["image"]
    label = arrays.get("label")
    if len(image) == 0:
        raise DataError(f"{name}, split {split!r}: empty, expected at least one example")
    if indices is None:
        indices = np.arange(len(image))
    where = Where(name, split, indices)
    check_image("image", image, levels, where)
    if label is not None:
        _check_label(label, len(image), num_classes, where)


class Where:
    """The place that an error message names.

    Args:
      name: data set.
      split: split.
      indices: [N] the examples' indices in the split.
    """

    def __init__(
        self,
        name: str,
        split: str,
        indices: np.ndarray,
    ) -> None:
        self.name = name
        self.split = split
        self.indices = indices

    def fail(
        self,
        field: str,
        row: int | None,
        got: str,
        expected: str,
    ) -> NoReturn:
        """Raise DataError about a field, in one row or (None) in all of them."""
        index = "" if row is None else f", index {self.indices[row]}"
        raise DataError(
            f"{self.name}, split {self.split!r}{index}, field {field!r}: {got}, {expected}\n"
            "Repair the data set, or choose another with --data.name"
        )


def check_image(
    field: str,
    image: np.ndarray,
    levels: int | None,
    where: Where,
) -> None:
    """Check an image-like field [N, ...] for its dtype, shape and values.

    Raises:
      DataError: it has another dtype or rank, or a value that is not one of the levels.
    """
    dtype = np.dtype(np.float32 if levels is None else np.uint8)
    if image.dtype != dtype:
        where.fail(field, None, f"got dtype {image.dtype}", f"expected {dtype}")
    if image.ndim not in (2, 4) or 0 in image.shape:
        got = f"got examples of shape {image.shape[1:]}"
        where.fail(field, None, got, "expected (height, width, channels) or (dim,)")
    # [N, H, W, C] or [N, D] -> [N, values]
    flat = image.reshape(len(image), -1)
    if levels is None:
        check_finite(field, flat, where)
    elif levels <= np.iinfo(np.uint8).max:
        _check_levels(field, flat, levels, where)


def check_finite(
    field: str,
    flat: np.ndarray,
    where: Where,
) -> None:
    """Check that all numbers of [N, values] are finite. Raises DataError."""
    bad = ~np.isfinite(flat).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        row = flat[first]
        value = row[~np.isfinite(row)][0]
        where.fail(field, first, f"got {value}", "expected finite numbers")


def _check_levels(
    field: str,
    flat: np.ndarray,
    levels: int,
    where: Where,
) -> None:
    """Check that all bytes of [N, values] are levels. Raises DataError."""
    bad = (flat >= levels).any(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        value = flat[first].max()
        where.fail(field, first, f"got {value}", f"expected 0..{levels - 1}")


def _check_label(
    label: np.ndarray,
    num: int,
    num_classes: int | None,
    where: Where,
) -> None:
    """Check that labels are [num] integers of the classes. Raises DataError."""
    if label.shape != (num,):
        where.fail("label", None, f"got shape {label.shape}", f"expected ({num},)")
    if not np.issubdtype(label.dtype, np.integer):
        where.fail("label", None, f"got dtype {label.dtype}", "expected integers")
    num_labels = _LABELS if num_classes is None else num_classes
    bad = (label < UNKNOWN) | (label >= num_labels)
    if bad.any():
        first = int(np.argmax(bad))
        expected = f"expected 0..{num_labels - 1}, or {UNKNOWN} for unknown"
        where.fail("label", first, f"got {label[first]}", expected)
