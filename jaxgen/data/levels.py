"""The levels of bytes: 256, or fewer where the data show fewer.

A byte may hold 0/1 as well as 0..255, and nothing in an array says which. Taken for one of 256
levels, 0/1 becomes all black. So a source whose bytes have no stated levels is looked at as a
whole, all splits alike: its levels are 0 up to the largest value, unless these are so many that
dark pictures of 256 levels are the likelier case. Examples that are not in memory are read until
one value settles the matter; that is the first picture of most sets.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from jaxgen.data.checks import Where, check_image
from jaxgen.data.config import Data
from jaxgen.data.split import Arrays, Source, Split, Take
from jaxgen.errors import ConfigError

BYTE_LEVELS = 128  # of an array: those of a byte without its highest bit
FILE_LEVELS = 32  # of picture files, which say that they have 256
IMAGES = ("image", "other")  # fields of the shape of an image, in its levels
_CHUNK = 32  # examples that are read at a time
_MOST_BYTES = 2**31  # that are read of what is not in memory


def known_levels(
    config: Data,
    source: Source,
    splits: Iterable[Split],
) -> int | None:
    """Return how many values a pixel takes: stated, or as the data show; None for real numbers.

    Raises:
      ConfigError: `config.levels` of a source that says its own, or of real numbers; or too many
        examples to look at, none of which settles the matter.
    """
    if not source.most_shown:
        if config.levels not in (None, source.levels):
            own = f"has {source.levels}" if source.levels else "is continuous and has no levels"
            raise ConfigError(f"--data.levels {config.levels}: {config.name!r} {own}")
        return source.levels
    if config.levels is not None:
        return config.levels
    if not config.by_sight:
        return source.levels
    largest = _largest(config.name, splits, source.most_shown)
    return 1 + largest if 0 < largest < source.most_shown else source.levels


def within_levels(
    split: Split,
    levels: int | None,
    name: str,
) -> Split:
    """Return the split, of which every example has been or will be checked to be in 0..levels-1.

    Raises:
      DataError: a value of an example in memory that is no level; names it.
    """
    if levels is None or levels > np.iinfo(np.uint8).max or split.take is None:
        return split
    if split.resident is not None:
        _require_levels(split.resident, levels, Where(name, split.name, np.arange(split.num or 0)))
        return split
    return replace(split, take=_checked(split.take, split.name, levels, name))


def _checked(
    take: Take,
    part: str,
    levels: int,
    name: str,
) -> Take:
    """Return `take` with a look at each example that it returns."""

    def looked_at(indices: np.ndarray) -> dict[str, np.ndarray]:
        arrays = take(indices)
        _require_levels(arrays, levels, Where(name, part, indices))
        return arrays

    return looked_at


def _require_levels(
    arrays: Arrays,
    levels: int,
    where: Where,
) -> None:
    """Raise DataError, naming the first bad example, unless all pixels are levels."""
    for field in IMAGES:
        if field in arrays:
            check_image(field, arrays[field], levels, where)


def _largest(
    name: str,
    splits: Iterable[Split],
    most: int,
) -> int:
    """Return the largest value of all splits; of a set with values of `most` or more, one of these.

    Raises:
      ConfigError: too many examples without such a value are not in memory.
    """
    largest = 0
    num_bytes = 0
    # What is in memory first: it may settle the matter.
    for split in sorted(splits, key=_is_streamed):
        for arrays in _pieces(split):
            pixels = [arrays[field] for field in IMAGES if field in arrays]
            largest = max(largest, *(int(array.max()) for array in pixels))
            if largest >= most:
                return largest
            num_bytes += sum(array.nbytes for array in pixels) * _is_streamed(split)
            if num_bytes > _MOST_BYTES:
                raise ConfigError(
                    f"--data.name {name}: no value above {largest} in the first "
                    f"{num_bytes >> 20} MiB, and the rest is too much to look at\n"
                    f"Say how many levels a pixel has: --data.levels {1 + max(largest, 1)}, or 256"
                )
    return largest


def _is_streamed(split: Split) -> bool:
    """Return whether the examples are not in memory."""
    return split.resident is None


def _pieces(split: Split) -> Iterator[Arrays]:
    """Yield all examples of a split, those that are not in memory in random order."""
    if split.resident is not None:
        yield split.resident
    elif split.take is not None:
        order = split.order()
        for start in range(0, len(order), _CHUNK):
            yield split.take(order[start : start + _CHUNK])
