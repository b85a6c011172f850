"""One split of a data set: examples by index, or drawn afresh; batches as a function of the step.

A split is one of three kinds. *Resident* examples lie in memory as whole arrays, which a loop may
put on the device. *Streamed* ones are fetched by index. *Generated* ones have no index: each
step draws its own batch from its own seed, so nothing can be overfitted.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxgen.data.order import chunk_indices

SPLITS = ("train", "validation", "test")
RESIDENT_BYTES = 2**30

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Split:
    """Examples under one name.

    Attributes:
      name: 'train', 'validation' or 'test'.
      num: how many examples; None when they are drawn afresh for ever.
      sha256: of the content (`Split.of`); for streamed examples of what identifies them (name,
        version, sizes); for generated ones of the generator's name and parameters.
      resident: {'image': [num, ...], 'label': [num]} when it takes at most RESIDENT_BYTES.
      take: int indices [n] -> the examples at them, arrays [n, ...]; None for generated ones.
      draw: (generator, n) -> n fresh examples, arrays [n, ...]; None for finite splits.
    """

    name: str
    num: int | None
    sha256: str
    resident: Arrays | None = None
    take: Callable[[np.ndarray], dict[str, np.ndarray]] | None = None
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]] | None = None

    @classmethod
    def of(cls, name: str, arrays: Arrays) -> "Split":
        """Split over arrays [num, ...] of equal length, which are held read-only, not copied."""
        views = MappingProxyType({field: _read_only(array) for field, array in arrays.items()})
        fits = sum(view.nbytes for view in views.values()) <= RESIDENT_BYTES
        return cls(
            name=name,
            num=len(views["image"]),
            sha256=content_hash(views),
            resident=views if fits else None,
            take=lambda indices: {field: view[indices] for field, view in views.items()},
        )

    def batch(self, seed: int, step: int, batch_size: int) -> dict[str, np.ndarray]:
        """Batch of one step, arrays [batch_size, ...]: a pure function of the arguments."""
        return {field: x[0] for field, x in self.batches(seed, step, 1, batch_size).items()}

    def batches(
        self, seed: int, start: int, num_steps: int, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Batches of consecutive steps, stacked: arrays [num_steps, batch_size, ...].

        Raises:
          DataError: a streamed example that is damaged or out of range.
        """
        if self.take is None:
            steps = range(start, start + num_steps)
            drawn = [self._draw(seed, step, batch_size) for step in steps]
            return {field: np.stack([batch[field] for batch in drawn]) for field in drawn[0]}
        indices = chunk_indices(seed, start, num_steps, batch_size, self.num)
        flat = self.take(indices.reshape(-1))
        return {field: x.reshape(*indices.shape, *x.shape[1:]) for field, x in flat.items()}

    def _draw(self, seed: int, step: int, batch_size: int) -> dict[str, np.ndarray]:
        generator = np.random.default_rng([seed, SPLITS.index(self.name), step])
        return self.draw(generator, batch_size)


@dataclass(frozen=True)
class Source:
    """What a reader found: examples before `train_on` and before any transform.

    Attributes:
      shape, levels, num_classes: as in `Dataset`.
      split: (name, parts) -> the split of that name, holding the examples of all those parts.
      entropy: nats per example, where it is known exactly.
      context_shape, sample_rate: as in `Dataset`.
    """

    shape: tuple[int, ...]
    levels: int | None
    num_classes: int | None
    split: Callable[[str, tuple[str, ...]], Split]
    entropy: float | None = None
    context_shape: tuple[int, int] | None = None
    sample_rate: int | None = None


def join(pieces: Sequence[Arrays]) -> Arrays:
    """Concatenate arrays field by field; a single piece is passed on uncopied."""
    if len(pieces) == 1:
        return pieces[0]
    return {field: np.concatenate([piece[field] for piece in pieces]) for field in pieces[0]}


def content_hash(arrays: Arrays) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for field in sorted(arrays):
        array = np.ascontiguousarray(arrays[field])
        digest.update(f"{field} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def identity_hash(identity: Any) -> str:
    """sha256 over the JSON of what identifies examples that are not all in memory."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
