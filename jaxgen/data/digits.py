"""scikit-learn's handwritten digits as a TFDS set that prepares itself without a network.

1797 images of 8 x 8 pixels with 17 levels (0..16), ten classes. RandomState(0).permutation(1797)
is divided into train (1300), validation (137) and test (360).

Reference: Alpaydin, Kaynak, 1998, "Optical recognition of handwritten digits", UCI repository.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

BOUNDS = {"train": (0, 1300), "validation": (1300, 1437), "test": (1437, 1797)}

# Unregistered: TFDS registers builder names globally and refuses a second class of the same name.
with tfds.core.registered.skip_registration():

    class JaxgenDigits(tfds.core.GeneratorBasedBuilder):
        """Builder; the name keeps clear of other people's `digits` in the same folder."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> tfds.core.DatasetInfo:
            features = {
                "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            del dl_manager  # nothing to download
            return {name: self._generate_examples(*bounds) for name, bounds in BOUNDS.items()}

        def _generate_examples(self, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
            # Imported here: it takes a second, and a prepared set does not need it.
            from sklearn.datasets import load_digits

            images, labels = load_digits(return_X_y=True)
            images = images.astype(np.uint8).reshape(-1, 8, 8, 1)
            for i in np.random.RandomState(0).permutation(len(images))[start:stop]:
                yield int(i), {"image": images[i], "label": int(labels[i])}
