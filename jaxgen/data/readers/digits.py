"""scikit-learn's handwritten digits, which come with it: no network, no folder.

1797 images of 8 x 8 pixels with 17 levels (0..16), ten classes. RandomState(0).permutation(1797)
is divided into train (1300), validation (137) and test (360).

Reference: Alpaydin, Kaynak, 1998, "Optical recognition of handwritten digits", UCI repository.
"""

import hashlib

import numpy as np

from jaxgen.data.checks import check_examples
from jaxgen.data.config import Data
from jaxgen.data.split import Arrays, Source, Split, join, rows

SHAPE = (8, 8, 1)
LEVELS = 17
NUM_CLASSES = 10
BOUNDS = {
    "train": (0, 1300),
    "validation": (1300, 1437),
    "test": (1437, 1797),
}


def read(config: Data) -> Source:
    """Open the digits."""
    # Imported here: it takes a second.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    # [1797, 64] -> [1797, 8, 8, 1]
    images = images.astype(np.uint8).reshape(-1, *SHAPE)
    stored = {"image": images, "label": labels.astype(np.int32)}

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        """Make the split of some parts, after a look at every example."""
        arrays = join([_part(stored, part) for part in chosen])
        check_examples(
            arrays,
            name=config.name,
            split=name,
            levels=LEVELS,
            num_classes=NUM_CLASSES,
        )
        return Split.of(name, arrays, mixed=True)

    return Source(SHAPE, LEVELS, NUM_CLASSES, split)


def _part(stored: Arrays, name: str) -> Arrays:
    """Return the examples of one part, in its order."""
    start, stop = BOUNDS[name]
    permuted = np.random.RandomState(0).permutation(len(stored["image"]))
    numbers = permuted[start:stop]

    def place(number: int) -> bytes:
        """Return what the part is sorted by: MD5 of its name and the example's number.

        TFDS shuffles so, by which the digits were once read: every run and hash rests on it.
        """
        return hashlib.md5(f"{name}{number}".encode(), usedforsecurity=False).digest()

    in_order = sorted(numbers.tolist(), key=place)
    return rows(stored, np.array(in_order))
