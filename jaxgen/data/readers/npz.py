"""An .npz file as data: 'image', 'label', ..., or the same fields of each split."""

import os
from pathlib import Path

import numpy as np

from jaxgen.data.config import Data
from jaxgen.data.readers.arrays import source_of
from jaxgen.data.split import SPLITS, Source
from jaxgen.errors import DataError, first_line


def read(config: Data) -> Source:
    """Open an .npz file of 'image', 'label', ... or of 'train_image', 'test_image', ....

    Raises:
      DataError: it is no such file, holds Python objects, or its arrays are no examples.
    """
    path = Path(os.path.expanduser(config.name))
    try:
        # Opened here, for NumPy leaves a file open that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {field: archive[field] for field in archive.files}
    except Exception as error:  # zip, its methods of compression and NumPy raise many kinds
        raise DataError(f"{path}: cannot be read as arrays: {first_line(error)}") from error
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        split, _, field = key.partition("_")
        if split not in SPLITS:
            split = "train"
            field = key
        part = parts.setdefault(split, {})
        if field in part:
            raise DataError(
                f"{path}: got both {field!r} and '{split}_{field}', which would be the same field\n"
                "Keep one of them"
            )
        part[field] = array
    if "image" not in parts.get("train", {}):
        raise DataError(
            f"{path}: got {', '.join(arrays) or 'no arrays'}, expected 'image' [N, ...] and, where "
            "there are labels, 'label' [N]; or 'train_image', 'train_label', 'test_image', ..."
        )
    return source_of(config.name, parts)
