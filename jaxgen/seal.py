"""Seals: what is recorded of every array of a state, enough to know it again.

Orbax has no checksum over array data and casts dtypes silently, so that a flipped bit or another
model's array would be read without a word. Shape, dtype and crc32 of each leaf tell.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

Seal = dict[str, Any]  # {'shape': [...], 'dtype': '...', 'crc32': ...}
_NAMED = 10  # leaves that a message names
_SHRUNK, _SMALL = 100, 2**24  # times, and bytes, by which files may be smaller than the arrays


def named_leaves(tree: Any) -> dict[str, Any]:
    """{path: leaf}, for messages and checksums."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def seals(tree: Any, *, crc32: bool = True) -> dict[str, Seal]:
    """The seal of each leaf; without crc32 the leaves may be abstract."""
    return {name: _seal(leaf, crc32) for name, leaf in named_leaves(tree).items()}


def not_finite(tree: Any) -> str | None:
    """The path of the first leaf that holds a NaN or an infinity, or None."""
    return next((name for name, leaf in named_leaves(tree).items() if not _is_finite(leaf)), None)


def differences(found: Mapping[str, Seal], recorded: Mapping[str, Any]) -> str | None:
    """One line on how two tables of seals differ, None if they agree in all that `found` says."""
    strange = sorted(found.keys() ^ recorded.keys())
    if strange:
        return f"of another model: {_listed(strange)}"
    wrong = [
        f"{name}: {field} is {recorded[name].get(field)}, expected {value}"
        for name, seal in found.items()
        for field, value in seal.items()
        if recorded[name].get(field) != value
    ]
    return _listed(wrong) if wrong else None


def misfit(stored: Any, expected: Any, *, room: int) -> str | None:
    """One line on what forbids to read arrays, from what their own files say of them; or None.

    Args:
      stored: the tree on disk; leaves with `shape`, and `storage` with `chunk_shape`.
      expected: the tree to be read; its leaves may be abstract.
      room: bytes on disk. Trained numbers hardly shrink: much more in them is a bomb.
    """
    expected = jax.eval_shape(lambda tree: jax.tree.map(_data, tree), expected)
    found, expected = named_leaves(stored), named_leaves(expected)
    for name, leaf in expected.items():
        shape = tuple(found[name].shape) if name in found else "not there"
        if shape != leaf.shape:
            return f"{name}: shape on disk is {shape}, expected {leaf.shape}"
        storage = found[name].storage
        if storage and math.prod(storage.chunk_shape or ()) > max(1, math.prod(shape)):
            return f"{name}: shape on disk is {shape}, in pieces of {storage.chunk_shape}"
    needed = sum(math.prod(x.shape) * x.dtype.itemsize for x in expected.values())
    if needed > _SHRUNK * room + _SMALL:
        return f"{needed:,} bytes of arrays in {room:,} bytes of files"
    return None


def host(leaf: Any) -> np.ndarray:
    """The numbers of an array; of a key, its data."""
    leaf = _data(leaf)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        leaf = leaf.addressable_data(0)  # replicated over several hosts
    return np.asarray(leaf)


def num_bytes(tree: Any) -> int:
    """What its arrays take."""
    return sum(host(leaf).nbytes for leaf in jax.tree.leaves(tree))


def _data(leaf):
    """Keys by their data, as they are stored."""
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _seal(leaf, crc32):
    seal = {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    return seal | ({"crc32": zlib.crc32(np.ascontiguousarray(host(leaf)))} if crc32 else {})


def _is_finite(leaf):
    leaf = host(leaf)
    floating = jax.dtypes.issubdtype(leaf.dtype, np.floating)  # bfloat16 too
    return not floating or bool(np.isfinite(leaf).all())


def _listed(items):
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return " ".join("; ".join(items[:_NAMED]).split()) + more  # names in a file are anything
