"""A data set as a model meets it: its splits, the form of its values, and the record of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from jaxgen.console import note
from jaxgen.data.config import Data
from jaxgen.data.derive import check_derive, derived
from jaxgen.data.labels import keep_labels, known_or_not, names_of, renumbered, skipped_classes
from jaxgen.data.levels import known_levels, within_levels
from jaxgen.data.remarks import remarks
from jaxgen.data.split import SPLITS, Source, Split
from jaxgen.data.transform import (
    apply_transform,
    bits_offset,
    check_transform,
    describe,
    num_values,
    resolve_threshold,
    value_range,
)
from jaxgen.errors import ConfigError
from jaxgen.typing import Key

_EXAMPLES = 2**31  # a seed of its own: evaluations draw from key(0), key(1), ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of the same kind of example.

    Attributes:
      config: the flags it was loaded with.
      shape: one example: (H, W, C), or (D,) for a vector.
      levels: number of values of a pixel: 17 for digits, 256 for bytes; None for continuous data.
      num_classes: labels are 0..num_classes-1, or -1 where the class is not known; None without
        labels.
      entropy: of what `prepare` returns, nats per example, where it is known exactly.
      splits: 'train', 'validation' and 'test'; 'train' holds what `config.train_on` says.
      context_shape: of a batch's 'context', (frames, numbers a frame); None without.
      sample_rate: of sound, Hz; an example is then a vector of mu-law codes.
      class_names: of the classes 0..num_classes-1, where the source names them.
      unknown: {split: number of its examples whose class is not known}, where there are some.
      classes: the source's own numbers of the classes 0..num_classes-1, where it skips some.
      levels_shown: whether `levels` are those that the data show, of bytes that may have 256.
      other: the second of two unpaired sources, whose images are the field 'other'.
    """

    config: Data
    shape: tuple[int, ...]
    levels: int | None
    num_classes: int | None
    entropy: float | None
    splits: Mapping[str, Split]
    context_shape: tuple[int, ...] | None = None
    sample_rate: int | None = None
    class_names: tuple[str, ...] | None = None
    unknown: Mapping[str, int] = field(default_factory=dict)
    classes: tuple[int, ...] | None = None
    levels_shown: bool = False
    other: "Dataset | None" = None

    @classmethod
    def of(cls, config: Data, source: Source) -> "Dataset":
        """Make a data set of what a reader found, in the form that the flags ask for.

        What was found out that nobody had said is noted (`remarks`).

        Raises:
          ConfigError: a transform, a derived field or a number of labels that does not fit.
          DataError: examples that are damaged.
        """
        check_derive(config.name, config.derive, source.shape)
        parts: dict[str, tuple[str, ...]] = {name: (name,) for name in SPLITS}
        parts["train"] = tuple(config.train_on.split("+"))
        splits = {name: source.split(name, parts[name]) for name in SPLITS}
        levels = known_levels(config, source, splits.values())
        check_transform(config.name, config.transform, config.threshold, levels)
        splits = {name: within_levels(x, levels, config.name) for name, x in splits.items()}
        num_classes = source.num_classes
        classes = skipped_classes(config, source, splits.values())
        if classes is not None:
            num_classes = len(classes)
            splits = {name: renumbered(split, classes) for name, split in splits.items()}
        if config.labels is not None:
            splits["train"] = keep_labels(
                splits["train"],
                config.labels,
                num_classes,
                at_random=config.by_sight,
            )
        unknown = {}
        for name, split in splits.items():
            splits[name], unknown[name] = known_or_not(split, config.name)
        dataset = cls(
            config=config,
            shape=source.shape,
            levels=levels,
            num_classes=num_classes or None,
            entropy=_prepared_entropy(config, source),
            splits=MappingProxyType(splits),
            context_shape=source.context_shape,
            sample_rate=source.sample_rate,
            class_names=names_of(source.class_names, classes),
            unknown={name: num for name, num in unknown.items() if num},
            classes=None if classes is None else tuple(classes.tolist()),
            levels_shown=config.levels is None and levels != source.levels,
        )
        for line in dataset.remarks:
            note(line)
        return dataset

    @property
    def dim(self) -> int:
        """The number of values in one example."""
        return math.prod(self.shape)

    @cached_property
    def fields(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every field of a prepared batch, {'image': (8, 8, 1), 'label': ()}.

        Shapes are of one example, without the batch.
        """
        train = self.splits["train"]
        stored = train.resident or train.batch(0, 0, 1)
        one = {}
        for name, array in stored.items():
            shape = (1, *array.shape[1:])
            one[name] = jax.ShapeDtypeStruct(shape, array.dtype)
        key = jax.random.key(_EXAMPLES)
        prepared = jax.eval_shape(self.prepare, one, key)
        return {name: tuple(field.shape[1:]) for name, field in prepared.items()}

    @property
    def values(self) -> int | None:
        """The number of values an element takes after `prepare`: 2 if binarised; None if real."""
        return num_values(self.config.transform, self.levels)

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the largest value after `prepare`; None for continuous data."""
        return value_range(self.config.transform, self.levels)

    @property
    def threshold(self) -> int | None:
        """The level from which on pixels become 1; None where none are binarised at a threshold."""
        return resolve_threshold(self.config.transform, self.config.threshold, self.levels)

    def prepare(self, batch: Mapping[str, Any], key: Key | None) -> dict[str, Any]:
        """Give a batch of stored values the form that the model sees; pure, may be jitted.

        Args:
          batch: as `Split.batch` returns it; entries other than images are passed on.
          key: for the random transforms, binarise_stochastic and dequantise.

        Returns:
          The batch with 'image' (and 'other') float32 [B, *shape] and the fields of
          `config.derive`.
        """
        transformed = apply_transform(
            batch,
            key,
            transform=self.config.transform,
            threshold=self.threshold,
            levels=self.levels,
        )
        return derived(transformed, self.config.derive)

    def examples(self, split: str, num: int | None = None) -> np.ndarray:
        """Return the images of `batch`, float32 [N, *shape]."""
        return self.batch(split, num)["image"]

    def batch(self, split: str, num: int | None = None) -> dict[str, np.ndarray]:
        """Return examples of a finite split, as the model sees them.

        Random transforms draw from a constant, so that two calls give the same.

        Args:
          split: its name.
          num: of a sample (`Split.sample`); default: all, in the split's own order.

        Returns:
          'image' float32 [N, *shape], N at most `num`, and whatever else the split holds: 'label'.

        Raises:
          ConfigError: there is no split of that name, or it is drawn afresh for ever.
        """
        chosen = self.splits.get(split)
        if chosen is None or chosen.num is None:
            finite = [name for name, s in self.splits.items() if s.num is not None]
            raise ConfigError(f"--split {split}: choose from {', '.join(finite)}")
        stored = chosen.all() if num is None else chosen.sample(num)
        key = jax.random.key(_EXAMPLES)
        batch = self.prepare(stored, key)
        return {name: np.asarray(value) for name, value in batch.items()}

    def bits_per_dim(self, nats: Any) -> Any:
        """Convert a negative log-likelihood of prepared examples, nats per example (any array).

        Returns:
          Bits per dimension of the stored values; None where the density is not comparable: 'unit'
          and continuous data.
        """
        offset = bits_offset(self.config.transform, self.levels)
        if offset is None:
            return None
        bits = nats / (self.dim * math.log(2))
        return bits + offset

    def record(self) -> dict[str, Any]:
        """Return plain JSON that goes with every number measured on this data.

        Entries that came later are there only where they say something: records are compared.
        """
        record: dict[str, Any] = {
            "name": self.config.name,
            "transform": self.config.transform,
            "threshold": self.threshold,
            "image_size": self.config.image_size,
            "levels": self.levels,
            "shape": list(self.shape),
        }
        if self.sample_rate:
            record["sample_rate"] = self.sample_rate
        if self.class_names:
            record["class_names"] = list(self.class_names)
        if self.levels_shown:
            record["levels_shown"] = True
        if self.classes is not None:
            record["classes"] = list(self.classes)
        record["train_on"] = self.config.train_on
        record["splits"] = {}
        for name, split in self.splits.items():
            record["splits"][name] = {"num": split.num, "sha256": split.sha256}
        if self.config.derive:
            record["derive"] = list(self.config.derive)
        if self.other is not None:
            record["other"] = self.other.record()
        return record

    def protocol(self, split: str) -> str:
        """Return one line for people: which examples, how many, in which form."""
        chosen = self.splits[split]
        noun = "images" if len(self.shape) == 3 else "sounds" if self.sample_rate else "vectors"
        num = "drawn afresh" if chosen.num is None else f"{chosen.num} {noun}"
        part = self.config.train_on if split == "train" else split
        form = describe(self.config.transform, self.threshold, self.levels)
        about = [f"sha256 {chosen.sha256[:8]}"]
        if split == "validation" and split in self.seen:
            about.append("trained on")
        if self.levels_shown:
            about.append(f"values 0..{(self.levels or 1) - 1} by their looks")
        return f"{self.config.name} {part} split ({', '.join([num, *about])}), {form}"

    @property
    def seen(self) -> tuple[str, ...]:
        """The splits whose examples are trained on."""
        return tuple(self.config.train_on.split("+"))

    @property
    def _is_mixed(self) -> bool:
        """True where the source is made by jaxgen: its order and its splits say nothing."""
        return all(split.mixed or split.num is None for split in self.splits.values())

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines for people about what was found out about the data that nobody had said."""
        return remarks(
            name=self.config.name,
            levels=self.levels if self.levels_shown else None,
            classes=self.classes,
            unknown={} if self.config.labels else self.unknown,
            seen=self.seen,
            old_rules=not self.config.by_sight and not self._is_mixed,
        )


def _prepared_entropy(config: Data, source: Source) -> float | None:
    """Return the entropy of prepared examples, nats, where that of the stored ones is known."""
    if source.entropy is None or source.levels is None or config.transform != "dequantise":
        return source.entropy
    # On a cell of side 1 / levels the density is levels^D times the probability.
    dim = math.prod(source.shape)
    return source.entropy - dim * math.log(source.levels)
