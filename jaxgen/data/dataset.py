"""A data set as a model meets it: its splits, the form of its values, and the record of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxgen.data.config import Data
from jaxgen.data.split import Split
from jaxgen.data.transform import (
    apply_transform,
    bits_offset,
    describe,
    num_values,
    resolve_threshold,
    value_range,
)
from jaxgen.errors import ConfigError

_EXAMPLES = 2**31  # a seed of its own: evaluations draw from key(0), key(1), ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of the same kind of example.

    Attributes:
      config: the flags it was loaded with.
      shape: one example: (H, W, C), or (D,) for a vector.
      levels: number of values of a pixel: 17 for digits, 256 for bytes; None for continuous data.
      num_classes: labels are 0..num_classes-1; None without labels.
      entropy: of what `prepare` returns, nats per example, where it is known exactly.
      splits: 'train', 'validation' and 'test'; 'train' holds what `config.train_on` says.
      context_shape: of a batch's 'context', (frames, numbers a frame); None without.
      sample_rate: of sound, Hz; an example is then a vector of mu-law codes.
    """

    config: Data
    shape: tuple[int, ...]
    levels: int | None
    num_classes: int | None
    entropy: float | None
    splits: Mapping[str, Split]
    context_shape: tuple[int, int] | None = None
    sample_rate: int | None = None

    @property
    def dim(self) -> int:
        """Number of values in one example."""
        return math.prod(self.shape)

    @property
    def values(self) -> int | None:
        """How many values an element takes after `prepare`: 2 when binarised; None if real."""
        return num_values(self.config.transform, self.levels)

    @property
    def range(self) -> tuple[float, float] | None:
        """Where values lie after `prepare`; None for continuous data."""
        return value_range(self.config.transform, self.levels)

    @property
    def threshold(self) -> int | None:
        """Pixels >= threshold become 1; None where nothing is binarised at a threshold."""
        return resolve_threshold(self.config.transform, self.config.threshold, self.levels)

    def prepare(self, batch: Mapping[str, Any], key: jax.Array | None) -> dict[str, Any]:
        """Give a batch of stored values the form that the model sees; pure, may be jitted.

        Args:
          batch: as `Split.batch` returns it; entries other than 'image' are passed on.
          key: for the random transforms, binarise_stochastic and dequantise.

        Returns:
          The batch with 'image' float32 [B, *shape].
        """
        return apply_transform(
            batch,
            key,
            transform=self.config.transform,
            threshold=self.threshold,
            levels=self.levels,
        )

    def examples(self, split: str, num: int | None = None) -> np.ndarray:
        """The images of `batch`, float32 [N, *shape]."""
        return self.batch(split, num)["image"]

    def batch(self, split: str, num: int | None = None) -> dict[str, np.ndarray]:
        """The first `num` (default: all) examples of a finite split, as the model sees them.

        Random transforms draw from a constant, so that two calls give the same.

        Returns:
          'image' float32 [N, *shape], N at most `num`, and whatever else the split holds: 'label'.

        Raises:
          ConfigError: there is no split of that name, or it is drawn afresh for ever.
        """
        if split not in self.splits or self.splits[split].num is None:
            finite = [name for name, s in self.splits.items() if s.num is not None]
            raise ConfigError(f"--split {split}: choose from {', '.join(finite)}")
        chosen = self.splits[split]
        count = chosen.num if num is None else min(num, chosen.num)
        batch = self.prepare(chosen.take(np.arange(count)), jax.random.key(_EXAMPLES))
        return {name: np.asarray(value) for name, value in batch.items()}

    def bits_per_dim(self, nats: Any) -> Any:
        """Convert a negative log-likelihood of prepared examples, nats per example (any array).

        Returns:
          Bits per dimension of the stored values; None where the density is not comparable: 'unit'
          and continuous data.
        """
        offset = bits_offset(self.config.transform, self.levels)
        return None if offset is None else nats / (self.dim * math.log(2)) + offset

    def record(self) -> dict[str, Any]:
        """Plain JSON that goes with every number measured on this data."""
        return {
            "name": self.config.name,
            "transform": self.config.transform,
            "threshold": self.threshold,
            "image_size": self.config.image_size,
            "levels": self.levels,
            "shape": list(self.shape),
            **({"sample_rate": self.sample_rate} if self.sample_rate else {}),
            "train_on": self.config.train_on,
            "splits": {
                name: {"num": split.num, "sha256": split.sha256}
                for name, split in self.splits.items()
            },
        }

    def protocol(self, split: str) -> str:
        """One line for people: which examples, how many, in which form."""
        chosen = self.splits[split]
        noun = "images" if len(self.shape) == 3 else "sounds" if self.sample_rate else "vectors"
        num = "drawn afresh" if chosen.num is None else f"{chosen.num} {noun}"
        part = self.config.train_on if split == "train" else split
        form = describe(self.config.transform, self.threshold, self.levels)
        return f"{self.config.name} {part} split ({num}, sha256 {chosen.sha256[:8]}), {form}"
