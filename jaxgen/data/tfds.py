"""Any image or vector set that TFDS knows, and our own digits, read without TensorFlow.

Sets are read in the array_record format. A set without a split 'validation' or 'test' gives up the
last 10% of its train split for each that is missing: train 90%, or 80% / 10% / 10%.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxgen.console import first_line
from jaxgen.data import split as split_module
from jaxgen.data.config import Data
from jaxgen.data.crop import square_array
from jaxgen.data.prepare import open_by_name, open_digits
from jaxgen.data.split import Source, Split, identity_hash, join
from jaxgen.data.validate import check_examples
from jaxgen.errors import DataError

DIGITS_LEVELS = 17
CHUNK = 4096  # examples decoded at a time when a split is read whole


def read(config: Data) -> Source:
    """Open a prepared set; prepare it first if it is ours or `config.download` is set.

    Raises:
      DataError: unknown, unprepared or damaged; or without an image of fixed shape.
    """
    builder = open_digits(config) if config.name == "digits" else open_by_name(config)
    features = builder.info.features
    fields = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image = fields.get("image")
    if image is None or not isinstance(image.shape, tuple) or None in image.shape:
        raise DataError(
            f"{config.name}: got fields {', '.join(f'{k} {v.shape}' for k, v in fields.items())}, "
            "expected a field 'image' of fixed shape"
        )
    prepared = _Prepared(
        name=config.name,
        builder=builder,
        fields=tuple(field for field in ("image", "label") if field in fields),
        levels=DIGITS_LEVELS if config.name == "digits" else _levels(config.name, image.np_dtype),
        num_classes=getattr(fields.get("label"), "num_classes", None),
        shape=_shape(config, image),
    )
    parts = cut(config.name, set(builder.info.splits))

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        return prepared.split(name, "+".join(parts[part] for part in chosen))

    return Source(prepared.shape, prepared.levels, prepared.num_classes, split)


def _shape(config: Data, image: Any) -> tuple[int, ...]:
    """Of an example: as it is prepared, or a square."""
    if config.image_size is None:
        return tuple(image.shape)
    if len(image.shape) != 3 or np.dtype(image.np_dtype) != np.uint8:
        raise DataError(
            f"--data.image-size {config.image_size}: {config.name} has "
            f"{np.dtype(image.np_dtype)} {list(image.shape)}, expected uint8 [H, W, C]"
        )
    return (config.image_size, config.image_size, image.shape[-1])


def _levels(name: str, dtype: Any) -> int | None:
    if np.dtype(dtype) == np.uint8:
        return 256
    if np.dtype(dtype) == np.float32:
        return None
    raise DataError(
        f"{name}, field 'image': got dtype {np.dtype(dtype)}, expected uint8 or float32\n"
        "Choose another set with --data.name"
    )


def cut(name: str, found: set[str]) -> dict[str, str]:
    """TFDS instructions for train, validation and test; missing ones come out of train."""
    if "train" not in found:
        raise DataError(
            f"{name}: no split 'train', only {', '.join(sorted(found)) or 'none at all'}\n"
            "Choose another set with --data.name"
        )
    missing = [split for split in ("validation", "test") if split not in found]
    edges = [100 - 10 * len(missing) + 10 * i for i in range(len(missing) + 1)]
    parts = {"train": "train" if not missing else f"train[:{edges[0]}%]"}
    for split in ("validation", "test"):
        if split in found:
            parts[split] = split
        else:
            i = missing.index(split)
            parts[split] = f"train[{edges[i]}%:{edges[i + 1]}%]"
    return parts


@dataclass(frozen=True)
class _Prepared:
    """A set on disk, and the fields of it that are read."""

    name: str
    builder: Any
    fields: tuple[str, ...]
    levels: int | None
    num_classes: int | None
    shape: tuple[int, ...]

    def split(self, name: str, instruction: str) -> Split:
        """Read a TFDS slice whole if it fits, else leave it on disk."""
        info = self.builder.info
        num = int(info.splits[instruction].num_examples)
        if num == 0:
            raise DataError(
                f"{self.name}, split {name!r}: empty, {instruction} of {info.data_dir}\n"
                "Choose another set with --data.name"
            )
        with self._damage(name):
            source = self.builder.as_data_source(split=instruction)
        take = partial(self.take, source, name)
        image = info.features["image"]
        num_bytes = num * math.prod(self.shape) * np.dtype(image.np_dtype).itemsize
        if num_bytes > split_module.RESIDENT_BYTES:
            sizes = [[s.name, int(s.num_bytes), s.shard_lengths] for s in info.splits.values()]
            what = [info.full_name, instruction, num, sizes, *self._resized()]
            return Split(name, num, identity_hash(what), take=take)
        chunks = [take(np.arange(i, min(i + CHUNK, num))) for i in range(0, num, CHUNK)]
        return Split.of(name, join(chunks))

    def take(self, source: Any, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Decode and check the examples at some indices of a split."""
        with self._damage(split):
            rows = source.__getitems__([int(i) for i in indices])
            # A shard cut at a block boundary raises nothing: its records come back empty.
            if any(row[field] is None for row in rows for field in self.fields):
                raise EOFError("empty records, so a shard is truncated")
            arrays = {
                field: np.stack([np.asarray(row[field]) for row in rows]) for field in self.fields
            }
        check_examples(
            arrays,
            name=self.name,
            split=split,
            levels=self.levels,
            num_classes=self.num_classes,
            indices=indices,
        )
        if self._resized():
            arrays["image"] = np.stack([square_array(x, self.shape[0]) for x in arrays["image"]])
        if "label" in arrays:
            arrays["label"] = arrays["label"].astype(np.int32)
        return arrays

    def _resized(self) -> list[tuple[int, ...]]:
        """[the shape] where it is not that of the set on disk."""
        stored = tuple(self.builder.info.features["image"].shape)
        return [] if self.shape == stored else [self.shape]

    @contextlib.contextmanager
    def _damage(self, split: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # TFDS, array_record and protobuf each raise their own
            raise DataError(
                f"{self.name}, split {split!r}: cannot read {self.builder.info.data_dir}: "
                f"{first_line(error)}\n"
                "Delete that folder and prepare the set again (file_format='array_record')"
            ) from error
