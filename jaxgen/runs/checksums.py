"""Checksums: what is recorded of every array of a state, enough to know it again.

Orbax has no checksum over array data and casts dtypes silently, so that a flipped bit or another
model's array would be read without a word. Shape, dtype and crc32 of each leaf tell.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Checksum = dict[str, Any]  # {'shape': [...], 'dtype': '...', 'crc32': ...}
_NAMED = 10  # leaves that a message names
_SHRUNK = 100  # times that files may be smaller than the arrays,
_SMALL = 2**24  # and bytes besides


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return {path: leaf}, for messages and checksums."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def checksums(tree: Any, *, crc32: bool = True) -> dict[str, Checksum]:
    """Return shape, dtype and CRC-32 of each leaf; without `crc32` leaves may be abstract."""
    return {name: _checksum(leaf, crc32) for name, leaf in named_leaves(tree).items()}


def not_finite(tree: Any) -> str | None:
    """Return the path of the first leaf that holds a NaN or an infinity, or None."""
    return next((name for name, leaf in named_leaves(tree).items() if not _is_finite(leaf)), None)


def differences(found: Mapping[str, Checksum], recorded: Mapping[str, Any]) -> str | None:
    """Return one line on how two tables differ, None if they agree in all that `found` says."""
    strange = sorted(found.keys() ^ recorded.keys())
    if strange:
        return f"of another model: {_listed(strange)}"
    wrong = []
    for name, checksum in found.items():
        for field, value in checksum.items():
            old = recorded[name].get(field)
            if old != value:
                wrong.append(f"{name}: {field} is {old}, expected {value}")
    return _listed(wrong) if wrong else None


def misfit(stored: Any, expected: Any, *, room: int) -> str | None:
    """Return one line on what forbids to read arrays, by what their files say of them; or None.

    Args:
      stored: the tree on disk; leaves with `shape`, and `storage` with `chunk_shape`.
      expected: the tree to be read; its leaves may be abstract.
      room: bytes on disk. Trained numbers hardly shrink: much more in them is a bomb.
    """
    abstract = jax.eval_shape(lambda tree: jax.tree.map(_data, tree), expected)
    found = named_leaves(stored)
    leaves = named_leaves(abstract)
    for name, leaf in leaves.items():
        if name not in found:
            return f"{name}: shape on disk is not there, expected {leaf.shape}"
        shape = tuple(found[name].shape)
        if shape != leaf.shape:
            return f"{name}: shape on disk is {shape}, expected {leaf.shape}"
        storage = found[name].storage
        if storage and math.prod(storage.chunk_shape or ()) > max(1, math.prod(shape)):
            return f"{name}: shape on disk is {shape}, in pieces of {storage.chunk_shape}"
    needed = sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves.values())
    if needed > _SHRUNK * room + _SMALL:
        return f"{needed:,} bytes of arrays in {room:,} bytes of files"
    return None


def host(leaf: Any) -> np.ndarray:
    """Return the numbers of an array on the host; of a key, its data."""
    leaf = _data(leaf)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        leaf = leaf.addressable_data(0)  # replicated over several hosts
    return np.asarray(leaf)


def num_bytes(tree: Any) -> int:
    """Return the number of bytes that the arrays take."""
    return sum(host(leaf).nbytes for leaf in jax.tree.leaves(tree))


def _data(leaf: Any) -> Any:
    """Return a key's data, as it is stored; other arrays as they are."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _checksum(leaf: Any, crc32: bool) -> Checksum:
    """Return what is recorded of one array."""
    checksum: Checksum = {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    if crc32:
        checksum["crc32"] = zlib.crc32(
            np.ascontiguousarray(host(leaf)).reshape(-1).view(np.uint8).data
        )
    return checksum


def _is_finite(leaf: Any) -> bool:
    """Return whether no number of an array is NaN or infinite."""
    values = host(leaf)
    floating = jnp.issubdtype(values.dtype, np.floating)  # bfloat16 too
    return not floating or bool(np.isfinite(values).all())


def _listed(items: list[str]) -> str:
    """Return the first items on one line, and how many more there are."""
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return " ".join("; ".join(items[:_NAMED]).split()) + more  # names in a file are anything
