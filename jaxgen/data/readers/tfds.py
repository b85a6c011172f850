"""Any image or vector set that TFDS knows, read without TensorFlow.

Sets are read in the array_record format. A set without a split 'validation' or 'test' gives up 10%
of its train split, drawn at random, for each that is missing: train 90%, or 80% / 10% / 10%.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxgen.data import split as split_module
from jaxgen.data.checks import check_examples
from jaxgen.data.config import Data
from jaxgen.data.levels import FILE_LEVELS
from jaxgen.data.readers.crop import square_array
from jaxgen.data.readers.prepare import open_by_name
from jaxgen.data.split import (
    SPLITS,
    Source,
    Split,
    content_hash,
    drawn_parts,
    identity_hash,
    join,
)
from jaxgen.errors import DataError, first_line

_CHANNELS = (1, 3)  # of what is resized
CHUNK = 4096  # examples decoded at a time when a split is read whole


def read(config: Data) -> Source:
    """Open a prepared set; prepare it first if `config.download` is set.

    Raises:
      DataError: unknown, unprepared or damaged; or without an image of a size that is known.
    """
    builder = open_by_name(config)
    features = builder.info.features
    fields = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image = fields.get("image")
    if image is None or not isinstance(image.shape, tuple):
        got = ", ".join(f"{name} {feature.shape}" for name, feature in fields.items())
        raise DataError(f"{config.name}: got fields {got}, expected a field 'image' of fixed shape")
    prepared = _Prepared(
        name=config.name,
        builder=builder,
        fields=tuple(field for field in ("image", "label") if field in fields),
        levels=_levels(config.name, image.np_dtype),
        num_classes=getattr(fields.get("label"), "num_classes", None),
        shape=_shape(config, image),
    )
    parts = cut(config.name, set(builder.info.splits))
    drawn = _drawn(builder.info, parts) if config.by_sight else {}

    def split(name: str, chosen: tuple[str, ...]) -> Split:
        """Read the split of some parts."""
        if drawn.keys().isdisjoint(chosen):
            return prepared.split(name, "+".join(parts[part] for part in chosen))
        return prepared.split(name, *_place(builder.info, drawn, chosen))

    return Source(
        shape=prepared.shape,
        levels=prepared.levels,
        num_classes=prepared.num_classes,
        split=split,
        class_names=_class_names(fields.get("label")),
        most_shown=FILE_LEVELS if prepared.levels else 0,
        numbered=True,
    )


def _shape(config: Data, image: Any) -> tuple[int, ...]:
    """Return the shape of an example: as it is prepared, or a square. Raises DataError."""
    size = config.image_size
    if size is None and None in image.shape:
        raise DataError(
            f"{config.name}: got images of many sizes {list(image.shape)}, expected a field "
            "'image' of fixed shape\nGive --data.image-size to crop and resize them all"
        )
    if size is None:
        return tuple(image.shape)
    dtype = np.dtype(image.np_dtype)
    if len(image.shape) != 3 or dtype != np.uint8 or image.shape[-1] not in _CHANNELS:
        raise DataError(
            f"--data.image-size {size}: {config.name} has {dtype} {list(image.shape)}, expected "
            "uint8 [H, W, C] with C of 1 (grey) or 3 (RGB)"
        )
    return (size, size, image.shape[-1])


def _class_names(label: Any) -> tuple[str, ...] | None:
    """Return the names of the classes of a label, None where it has none but their numbers."""
    num = getattr(label, "num_classes", None)
    if not num:
        return None
    names = tuple(label.names)
    return None if names == tuple(map(str, range(num))) else names


def _levels(name: str, dtype: Any) -> int | None:
    """Return how many values a pixel takes; None for real numbers. Raises DataError."""
    if np.dtype(dtype) == np.uint8:
        return 256
    if np.dtype(dtype) == np.float32:
        return None
    raise DataError(
        f"{name}, field 'image': got dtype {np.dtype(dtype)}, expected uint8 or float32\n"
        "Choose another set with --data.name"
    )


def cut(name: str, found: set[str]) -> dict[str, str]:
    """Return the TFDS slices for train, validation and test; missing ones come out of train.

    Raises:
      DataError: there is no split 'train' to cut them from.
    """
    if "train" not in found:
        raise DataError(
            f"{name}: no split 'train', only {', '.join(sorted(found)) or 'none at all'}\n"
            "Choose another set with --data.name"
        )
    missing = [split for split in ("validation", "test") if split not in found]
    parts = {name: name for name in SPLITS}
    if not missing:
        return parts
    edge = 100 - 10 * len(missing)  # percent
    parts["train"] = f"train[:{edge}%]"
    for split in missing:
        parts[split] = f"train[{edge}%:{edge + 10}%]"
        edge += 10
    return parts


def _drawn(info: Any, parts: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the rows of the TFDS split 'train' that are each part's; {} where none is missing.

    They are as many as the slices have, and drawn at random.
    """
    missing = [name for name in SPLITS[1:] if parts[name] != name]
    if not missing:
        return {}
    num = int(info.splits["train"].num_examples)
    sizes = {name: int(info.splits[parts[name]].num_examples) for name in missing}
    return drawn_parts(identity_hash([info.full_name, num]), num, sizes)


def _place(
    info: Any,
    drawn: Mapping[str, np.ndarray],
    chosen: tuple[str, ...],
) -> tuple[str, np.ndarray]:
    """Return the TFDS slice that holds some parts, and their rows in it."""
    begins: dict[str, int] = {}
    end = 0
    rows = []
    for part in chosen:
        origin = "train" if part in drawn else part
        num = int(info.splits[origin].num_examples)
        if origin not in begins:
            begins[origin] = end
            end += num
        rows.append(begins[origin] + drawn.get(part, np.arange(num)))
    return "+".join(begins), np.concatenate(rows)


@dataclass(frozen=True)
class _Rows:
    """Some rows of a data source."""

    source: Any
    rows: np.ndarray

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return the examples at some places among the rows."""
        return self.source.__getitems__(self.rows[indices].tolist())


@dataclass(frozen=True)
class _Prepared:
    """A set on disk, and the fields of it that are read."""

    name: str
    builder: Any
    fields: tuple[str, ...]
    levels: int | None
    num_classes: int | None
    shape: tuple[int, ...]

    def split(
        self,
        name: str,
        instruction: str,
        rows: np.ndarray | None = None,
    ) -> Split:
        """Read a TFDS slice, or some rows of it, whole if it fits into memory."""
        info = self.builder.info
        num = int(info.splits[instruction].num_examples) if rows is None else len(rows)
        if num == 0:
            raise DataError(
                f"{self.name}, split {name!r}: empty, {instruction} of {info.data_dir}\n"
                "Choose another set with --data.name"
            )
        with self._damage(name):
            source = self.builder.as_data_source(split=instruction)
        if rows is not None:
            source = _Rows(source, rows)
        take = partial(self.take, source, name)
        image = info.features["image"]
        num_bytes = num * math.prod(self.shape) * np.dtype(image.np_dtype).itemsize
        if num_bytes > split_module.RESIDENT_BYTES:
            sizes = [[s.name, int(s.num_bytes), s.shard_lengths] for s in info.splits.values()]
            what = [info.full_name, instruction, num, sizes, *self._resized()]
            if rows is not None:
                what.append(content_hash({"rows": rows}))
            return Split(name, num, identity_hash(what), take=take)
        starts = range(0, num, CHUNK)
        chunks = [take(np.arange(start, min(start + CHUNK, num))) for start in starts]
        return Split.of(name, join(chunks))

    def take(
        self,
        source: Any,
        split: str,
        indices: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Decode and check the examples at some indices of a split. Raises DataError."""
        arrays = {}
        with self._damage(split):
            rows = source.__getitems__([int(i) for i in indices])
            for field in self.fields:
                values = [row[field] for row in rows]
                # A shard cut at a block boundary raises nothing: its records come back empty.
                if any(value is None for value in values):
                    raise EOFError("empty records, so a shard is truncated")
                found = [np.asarray(value) for value in values]
                if field == "image" and self._resized():
                    found = [square_array(x, self.shape[0]) for x in found]
                arrays[field] = np.stack(found)
        check_examples(
            arrays,
            name=self.name,
            split=split,
            levels=self.levels,
            num_classes=self.num_classes,
            indices=indices,
        )
        if "label" in arrays:
            arrays["label"] = arrays["label"].astype(np.int32)
        return arrays

    def _resized(self) -> list[tuple[int, ...]]:
        """Return [the shape] where it is not that of the set on disk, else []."""
        stored = tuple(self.builder.info.features["image"].shape)
        return [] if self.shape == stored else [self.shape]

    @contextlib.contextmanager
    def _damage(self, split: str) -> Iterator[None]:
        """Turn what reading raises into a DataError that names the split and the folder."""
        try:
            yield
        except Exception as error:  # TFDS, array_record and protobuf each raise their own
            raise DataError(
                f"{self.name}, split {split!r}: cannot read {self.builder.info.data_dir}: "
                f"{first_line(error)}\n"
                "Delete that folder and prepare the set again (file_format='array_record')"
            ) from error
