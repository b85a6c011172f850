"""Labels: which numbers are classes, which are unknown, and how few may be kept.

A label is one of 0..K-1, or UNKNOWN. Files number their classes as they like: from 1, or with gaps.
A number that no example has is no class: those that some example has are numbered anew,

    labels 1, 2, 5, -1   ->   0, 1, 2, -1   (classes 1, 2, 5)
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from jaxgen.data.checks import Where
from jaxgen.data.config import Data
from jaxgen.data.split import Source, Split, Take, identity_hash
from jaxgen.errors import ConfigError
from jaxgen.fields import UNKNOWN


def num_classes_of(labels: Iterable[np.ndarray]) -> int | None:
    """Return one more than the largest label; None where no label is known."""
    known = [label[label != UNKNOWN] for label in labels]
    largest = [int(label.max()) for label in known if label.size]
    return 1 + max(largest) if largest else None


def skipped_classes(
    config: Data,
    source: Source,
    splits: Iterable[Split],
) -> np.ndarray | None:
    """Return the numbers that are classes, sorted, int [K], where the source skips some.

    None where it skips none, says its classes itself, or the labels of a split are not known
    without reading its examples.
    """
    if not source.numbered or not source.num_classes or not config.by_sight:
        return None
    found: list[np.ndarray] = []
    for split in splits:
        if split.label is None:
            return None
        found.append(np.unique(split.label))
    numbers = np.unique(np.concatenate(found))
    classes = numbers[numbers != UNKNOWN]
    return None if len(classes) in (0, source.num_classes) else classes


def renumbered(split: Split, classes: np.ndarray) -> Split:
    """Return the split with the label k in the place of classes[k]; UNKNOWN stays."""
    if split.take is None or split.label is None:
        return split
    label = _numbered(split.label, classes)
    resident = None if split.resident is None else {**split.resident, "label": label}
    return replace(
        split,
        sha256=identity_hash({"sha256": split.sha256, "classes": classes.tolist()}),
        resident=resident,
        take=partial(_take_renumbered, split.take, classes),
        label=label,
    )


def names_of(
    names: tuple[str, ...] | None,
    classes: np.ndarray | None,
) -> tuple[str, ...] | None:
    """Return the names of the classes that some example has; None where the source names none."""
    if names is None or classes is None:
        return names
    return tuple(names[number] for number in classes)


def _take_renumbered(
    take: Take,
    classes: np.ndarray,
    indices: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the examples at some indices, their labels numbered anew."""
    arrays = take(indices)
    return {**arrays, "label": _numbered(arrays["label"], classes)}


def _numbered(label: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the place of each label among the classes, int32 [N]; UNKNOWN stays."""
    place = np.searchsorted(classes, label)
    return np.where(label == UNKNOWN, UNKNOWN, place).astype(np.int32)


def known_or_not(split: Split, name: str) -> tuple[Split, int]:
    """Return the split, and how many of its examples have no known label.

    Where labels are not known without reading the examples, all must be known, or none: the first
    one that is looked at says which, and one that differs is an error when it is read.
    """
    if split.label is not None:
        return split, int((split.label == UNKNOWN).sum())
    if split.take is None or split.num is None:  # drawn by a program, which knows what it draws
        return split, 0
    one = split.take(np.arange(1))
    if "label" not in one:
        return split, 0
    unknown = bool(one["label"][0] == UNKNOWN)
    take = partial(_take_alike, split.take, Where(name, split.name, np.arange(1)), unknown)
    return replace(split, take=take), split.num if unknown else 0


def _take_alike(
    take: Take,
    where: Where,
    unknown: bool,
    indices: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the examples at some indices. Raises DataError unless all labels are (un)known."""
    arrays = take(indices)
    bad = (arrays["label"] == UNKNOWN) != unknown
    if bad.any():
        first = int(np.argmax(bad))
        expected = f"all to be {UNKNOWN} (unknown) or none, in a split that is not in memory"
        there = Where(where.name, where.split, indices)
        there.fail("label", first, f"got {arrays['label'][first]}", f"expected {expected}")
    return arrays


def keep_labels(
    split: Split,
    num: int,
    num_classes: int | None,
    *,
    at_random: bool = True,
) -> Split:
    """Return the split with `num` of its labels, equally many of each class; others UNKNOWN.

    Args:
      split: with labels.
      num: how many are kept.
      num_classes: K.
      at_random: keep those of a sample (`Split.sample`); else the first of each class.

    Raises:
      ConfigError: there are no labels, `num` cannot be shared out over the classes, or the split is
        not in memory.
    """
    if not num_classes:
        raise ConfigError(f"--data.labels {num}: the examples have no labels to keep")
    if split.resident is None:
        raise ConfigError(f"--data.labels {num}: for data that fit into memory alone")
    label = np.asarray(split.resident["label"]).astype(np.int32)
    each, rest = divmod(num, num_classes)
    fewest = np.bincount(label[label != UNKNOWN], minlength=num_classes).min()
    if rest or not 1 <= each <= fewest:
        most = fewest * num_classes
        raise ConfigError(
            f"--data.labels {num}: got {num} for {num_classes} classes, expected a multiple of "
            f"{num_classes} up to {most}"
        )
    order = split.order() if at_random else np.arange(len(label))
    kept = np.full_like(label, UNKNOWN)
    for number in range(num_classes):
        # Places in the order of the examples of a class, then the examples themselves.
        places = np.flatnonzero(label[order] == number)[:each]
        kept[order[places]] = number
    return Split.of(split.name, {**split.resident, "label": kept}, mixed=split.mixed)
