"""One split of a data set: examples by index, or drawn afresh; batches as a function of the step.

A split is one of three kinds. *Resident* examples lie in memory as whole arrays, which a loop may
put on the device. *Streamed* ones are fetched by index. *Generated* ones have no index: each
step draws its own batch from its own seed, so nothing can be overfitted. Any of them may have
another split beside it, unpaired.

Files lie in an order that means something: by class, by writer, by date. So the first n examples of
a split say nothing of it, and whoever wants n of them asks for a *sample*: the first n of one
permutation, a function of the split's hash. What a source holds out is drawn in the same way.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from jaxgen.data.order import chunk_indices, permutation

SPLITS = ("train", "validation", "test")
RESIDENT_BYTES = 2**30
# The order of the split beside another: seeds are below 2^32, so that no run has this one.
OTHER_SEED = 2**96

Arrays = Mapping[str, np.ndarray]
Take = Callable[[np.ndarray], dict[str, np.ndarray]]
Draw = Callable[[np.random.Generator, int], dict[str, np.ndarray]]


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
      other: another split, in an order of its own, whose images are the field 'other' of a batch.
      mixed: the examples stand in random order already, so that any n of them are a sample.
      label: of all examples, [num], where they are known without reading the examples.
    """

    name: str
    num: int | None
    sha256: str
    resident: Arrays | None = None
    take: Take | None = None
    draw: Draw | None = None
    other: "Split | None" = None
    mixed: bool = False
    label: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        name: str,
        arrays: Arrays,
        *,
        mixed: bool = False,
    ) -> "Split":
        """Make a split of arrays [num, ...] of equal length, held read-only and not copied."""
        views = {field: _read_only(array) for field, array in arrays.items()}
        num_bytes = sum(view.nbytes for view in views.values())
        return cls(
            name=name,
            num=len(views["image"]),
            sha256=content_hash(views),
            resident=MappingProxyType(views) if num_bytes <= RESIDENT_BYTES else None,
            take=partial(rows, views),
            mixed=mixed,
            label=views.get("label"),
        )

    def batch(
        self,
        seed: int,
        step: int,
        batch_size: int,
    ) -> dict[str, np.ndarray]:
        """Return the batch of one step, arrays [batch_size, ...]: a function of the arguments."""
        one = self.batches(seed, step, 1, batch_size)
        return {field: x[0] for field, x in one.items()}

    def batches(
        self, seed: int, start: int, num_steps: int, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Return batches of consecutive steps, stacked: arrays [num_steps, batch_size, ...].

        Raises:
          DataError: a streamed example that is damaged or out of range.
        """
        if self.take is None or self.num is None:
            found = self._drawn(seed, start, num_steps, batch_size)
        else:
            indices = chunk_indices(seed, start, num_steps, batch_size, self.num)
            flat = self.take(indices.reshape(-1))
            found = {}
            for field, x in flat.items():
                # [num_steps * batch_size, ...] -> [num_steps, batch_size, ...]
                found[field] = x.reshape(*indices.shape, *x.shape[1:])
        if self.other is not None:
            beside = self.other.batches(seed + OTHER_SEED, start, num_steps, batch_size)
            found["other"] = beside["image"]
        return found

    def order(self) -> np.ndarray:
        """Return the indices of a finite split, of which the first n are a sample: int [num]."""
        if self.num is None:
            raise TypeError(f"split {self.name!r} is drawn afresh: it has no order")
        if self.mixed:
            return np.arange(self.num)
        return permutation(int(self.sha256, 16), 0, self.num)

    def sample(self, num: int) -> dict[str, np.ndarray]:
        """Return `num` examples of a finite split, drawn at random and always the same.

        Smaller samples are the beginnings of larger ones. Images of `other` come in an order of
        their own.

        Returns:
          Arrays [num, ...]; fewer where the split has fewer.
        """
        return self._at(self.order()[:num])

    def all(self) -> dict[str, np.ndarray]:
        """Return all examples of a finite split, arrays [num, ...], in its own order."""
        if self.num is None:
            raise TypeError(f"split {self.name!r} is drawn afresh: it has no end")
        return self._at(np.arange(self.num))

    def _at(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Return the examples at some indices, with images of `other` beside them."""
        if self.take is None:
            raise TypeError(f"split {self.name!r} has no `take`")
        found = self.take(indices)
        if self.other is not None:
            found["other"] = self.other.batch(OTHER_SEED, 0, len(indices))["image"]
        return found

    def _drawn(
        self, seed: int, start: int, num_steps: int, batch_size: int
    ) -> dict[str, np.ndarray]:
        """Draw the batches of generated examples, each step from a generator of its own."""
        if self.draw is None:
            raise TypeError(f"split {self.name!r} has neither `take` nor `draw`")
        steps = []
        for step in range(start, start + num_steps):
            place = SPLITS.index(self.name)
            generator = np.random.default_rng([seed, place, step])
            steps.append(self.draw(generator, batch_size))
        stacked = {}
        for field in steps[0]:
            stacked[field] = np.stack([batch[field] for batch in steps])
        return stacked


@dataclass(frozen=True)
class Source:
    """A reader's find: examples before `train_on` and before any transform.

    Attributes:
      shape, levels, num_classes: as in `Dataset`.
      split: (name, parts) -> the split of that name, holding the examples of all those parts.
      entropy: nats per example, where it is known exactly.
      context_shape, sample_rate, class_names: as in `Dataset`.
      most_shown: levels are those that the data show where these are at most so many, and `levels`
        otherwise; 0 where the source says its levels itself.
      numbered: classes are those that the data show, and `num_classes` is one more than the largest
        number; False where the source says its classes itself.
    """

    shape: tuple[int, ...]
    levels: int | None
    num_classes: int | None
    split: Callable[[str, tuple[str, ...]], Split]
    entropy: float | None = None
    context_shape: tuple[int, ...] | None = None
    sample_rate: int | None = None
    class_names: tuple[str, ...] | None = None
    most_shown: int = 0
    numbered: bool = False


def drawn_parts(
    sha256: str,
    num: int,
    sizes: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Draw held-out examples at random, by the hash of what they are drawn from.

    Args:
      sha256: of the content, or of what identifies it.
      num: of all examples.
      sizes: {split: how many examples}, of those that are held out.

    Returns:
      {split: sorted indices}, and under 'train' those that are left.
    """
    order = np.random.default_rng(int(sha256, 16)).permutation(num)
    found = {}
    for name, size in sizes.items():
        found[name] = np.sort(order[:size])
        order = order[size:]
    found["train"] = np.sort(order)
    return found


def join(pieces: Sequence[Arrays]) -> Arrays:
    """Concatenate arrays field by field; a single piece is passed on uncopied."""
    if len(pieces) == 1:
        return pieces[0]
    joined = {}
    for field in pieces[0]:
        joined[field] = np.concatenate([piece[field] for piece in pieces])
    return joined


def rows(arrays: Arrays, chosen: np.ndarray | slice) -> dict[str, np.ndarray]:
    """Return the examples at some indices, or in a slice, of all fields."""
    return {field: array[chosen] for field, array in arrays.items()}


def content_hash(arrays: Arrays) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for field in sorted(arrays):
        array = np.ascontiguousarray(arrays[field])
        digest.update(f"{field} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def identity_hash(identity: Any) -> str:
    """Return the sha256 over the JSON of what identifies examples that are not all in memory."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of the array that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view
