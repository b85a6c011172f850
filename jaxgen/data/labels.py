"""A training split of which few examples have a label, for semi-supervised learning."""

import numpy as np

from jaxgen.data.split import Split
from jaxgen.errors import ConfigError

UNKNOWN = -1


def keep_labels(split: Split, num: int, num_classes: int | None) -> Split:
    """The first `num` labels, equally many of each class; all others become UNKNOWN.

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
    fewest = np.bincount(label, minlength=num_classes).min()
    if rest or not 1 <= each <= fewest:
        most = fewest * num_classes
        raise ConfigError(
            f"--data.labels {num}: got {num} for {num_classes} classes, expected a multiple of "
            f"{num_classes} up to {most}"
        )
    kept = np.full_like(label, UNKNOWN)
    for number in range(num_classes):
        chosen = np.flatnonzero(label == number)[:each]
        kept[chosen] = number
    return Split.of(split.name, {**split.resident, "label": kept})
