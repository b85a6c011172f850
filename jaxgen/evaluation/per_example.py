"""A function of a batch, applied to any number of examples in batches of one size."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxgen.typing import Array, Key

BATCH = 100  # examples per dispatch; part of the protocol, for the noise depends on it


def per_example(
    function: Callable[[Any, Key], Mapping[str, Array]],
    x: Any,
    key: Key,
) -> dict[str, np.ndarray]:
    """Apply `function` to batches of `x` [N, ...], an array or a tree of them: {name: [N, ...]}.

    The last batch is filled up with copies, so that there is one compilation and `function` sees
    one shape; batch i draws from `fold_in(key, i)`.
    """
    num = len(jax.tree.leaves(x)[0])
    parts = []
    for i, start in enumerate(range(0, num, BATCH)):
        rows = np.arange(start, start + BATCH)
        batch = _take(x, np.minimum(rows, num - 1))
        values = function(batch, jax.random.fold_in(key, i))
        parts.append({name: np.asarray(value) for name, value in values.items()})
    found = {}
    for name in parts[0]:
        joined = np.concatenate([part[name] for part in parts])
        found[name] = joined[:num]
    return found


def _take(x: Any, rows: np.ndarray) -> Any:
    """Return the rows of every array of a tree."""
    return jax.tree.map(lambda leaf: leaf[rows], x)
