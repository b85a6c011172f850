"""What every example must be, checked when it is read; the first bad one is named."""

from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from jaxgen.errors import DataError

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
      num_classes: labels are integers in 0..num_classes-1; None: any that int32 holds.
      indices: [N] the examples' indices in the split; default 0..N-1.

    Raises:
      DataError: naming data set, split, index and field, with what was got and expected.
    """
    image, label = arrays["image"], arrays.get("label")
    if len(image) == 0:
        raise DataError(f"{name}, split {split!r}: empty, expected at least one example")
    where = _Where(name, split, np.arange(len(image)) if indices is None else indices)
    _check_image(image, levels, where)
    if label is not None:
        _check_label(label, len(image), num_classes, where)


def _check_image(image: np.ndarray, levels: int | None, where: "_Where") -> None:
    dtype = np.dtype(np.float32 if levels is None else np.uint8)
    if image.dtype != dtype:
        where.fail("image", None, f"got dtype {image.dtype}", f"expected {dtype}")
    if image.ndim not in (2, 4) or 0 in image.shape:
        got = f"got examples of shape {image.shape[1:]}"
        where.fail("image", None, got, "expected (height, width, channels) or (dim,)")
    flat = image.reshape(len(image), -1)
    if levels is None:
        bad = ~np.isfinite(flat).all(axis=1)
        expected = "expected finite numbers"
    elif levels > np.iinfo(np.uint8).max:
        return
    else:
        bad = (flat >= levels).any(axis=1)
        expected = f"expected 0..{levels - 1}"
    if bad.any():
        first = int(np.argmax(bad))
        row = flat[first]
        value = row[~np.isfinite(row)][0] if levels is None else row.max()
        where.fail("image", first, f"got {value}", expected)


def _check_label(label: np.ndarray, num: int, num_classes: int | None, where: "_Where") -> None:
    if label.shape != (num,):
        where.fail("label", None, f"got shape {label.shape}", f"expected ({num},)")
    if not np.issubdtype(label.dtype, np.integer):
        where.fail("label", None, f"got dtype {label.dtype}", "expected integers")
    num_labels = _LABELS if num_classes is None else num_classes
    bad = (label < 0) | (label >= num_labels)
    if bad.any():
        first = int(np.argmax(bad))
        where.fail("label", first, f"got {label[first]}", f"expected 0..{num_labels - 1}")


class _Where:
    """The place an error message names."""

    def __init__(self, name: str, split: str, indices: np.ndarray) -> None:
        self.name, self.split, self.indices = name, split, indices

    def fail(self, field: str, row: int | None, got: str, expected: str) -> NoReturn:
        index = "" if row is None else f", index {self.indices[row]}"
        raise DataError(
            f"{self.name}, split {self.split!r}{index}, field {field!r}: {got}, {expected}\n"
            "Repair the data set, or choose another with --data.name"
        )
