"""Checkpoints: a TrainState and a record of what it belongs to, on disk.

A checkpoint is one atomic Orbax commit of `state` (arrays) and `record` (JSON: what the caller
gives, and each array's shape, dtype and crc32, for Orbax has no checksum over array data and casts
dtypes silently). Reading goes from the newest step to the oldest and takes the first that is whole.
"""

import shutil
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxgen.errors import CheckpointError, NonFiniteError, StorageError
from jaxgen.train import TrainState

FORMAT = 1
_REFUSALS = (OSError, ValueError)  # TensorStore says RESOURCE_EXHAUSTED as a ValueError


class Checkpoints:
    """The checkpoints of one run, to write and to read; a context manager.

    Args:
      folder: made if it is not there.
      keep: how many of the newest to keep.
      read_only: change nothing in the folder.
    """

    def __init__(self, folder: Path, *, keep: int = 2, read_only: bool = False):
        self.folder, self._read_only = folder.resolve(), read_only
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
        )
        try:
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._manager.wait_until_finished()
        except _REFUSALS as failure:
            raise self._refused(failure) from failure
        finally:
            self._manager.close()

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Commits the state in the background, unless its step is there already.

        Raises:
          NonFiniteError: an array is not finite; what was saved before stays.
          StorageError: the disk refused it.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        leaves = named_leaves(state)
        bad = [name for name, leaf in leaves.items() if not _is_finite(leaf)]
        if bad:
            raise NonFiniteError(f"step {step} was not saved: {bad[0]} is not finite")
        record = {**record, "format": FORMAT, "leaves": {n: _seal(x) for n, x in leaves.items()}}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
        )
        try:
            self._manager.save(step, args=items)
        except _REFUSALS as error:
            raise self._refused(error) from error

    def steps(self) -> list[int]:
        """The committed steps, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def record(self, step: int) -> dict[str, Any]:
        """The JSON of a step. Raises CheckpointError."""
        args = ocp.args.Composite(record=ocp.args.JsonRestore())
        try:
            record = self._manager.restore(step, args=args)["record"]
        except Exception as error:  # Orbax raises many kinds, bare Exception among them
            raise self._damaged(step, "record", error) from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise CheckpointError(f"{self.folder}/{step}: record: not of format {FORMAT}")
        leaves = record.get("leaves")
        if not isinstance(leaves, dict) or not all(isinstance(x, dict) for x in leaves.values()):
            raise CheckpointError(f"{self.folder}/{step}: record: damaged: no table of arrays")
        return record

    def restore(self, step: int, target: TrainState) -> TrainState:
        """The state of a step, compared with its record leaf by leaf.

        Args:
          step: one of `steps()`.
          target: the expected tree; its leaves may be `ShapeDtypeStruct`s.

        Raises:
          CheckpointError: damaged, or of another model; names the first leaf that differs.
        """
        seals = self.record(step)["leaves"]
        self._compare(step, seals, target, lambda leaf: _seal(leaf, crc32=False))
        # On one device, whatever the topology that wrote it; the caller spreads it.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        placed = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), target
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(placed))
        try:
            state = self._manager.restore(step, args=args)["state"]
        except Exception as error:  # a flipped bit in compressed data is a bare Exception
            raise self._damaged(step, "state", error) from error
        self._compare(step, seals, state, _seal)
        return state

    def restore_newest(
        self, target: Callable[[int], TrainState], *, only: int | None = None
    ) -> TrainState | None:
        """The newest whole state, or None if no step was ever committed.

        Args:
          target: the expected tree for a step; may raise CheckpointError.
          only: look at this step alone.

        Raises:
          CheckpointError: there are steps, and none is whole. A damaged step that is passed over is
            a warning of one line, and renamed `STEP.damaged` unless the folder is only read.
        """
        steps, damaged = self.steps() if only is None else [only], []
        for step in steps:
            try:
                state = self.restore(step, target(step))
            except CheckpointError as error:
                if step == steps[-1]:
                    raise
                warnings.warn(f"{error}; trying the one before", stacklevel=2)
                damaged.append(step)
            else:
                self._set_aside(damaged)
                return state
        return None

    def _compare(self, step, seals, tree, seal):
        found = {name: seal(leaf) for name, leaf in named_leaves(tree).items()}
        different = sorted(found.keys() ^ seals.keys())
        if different:
            raise CheckpointError(f"{self.folder}/{step}: of another model: {different[0]}")
        for name, value in found.items():
            wrong = [k for k in value if value[k] != seals[name].get(k)]
            if wrong:
                raise CheckpointError(
                    f"{self.folder}/{step}: {name}: {wrong[0]} is {seals[name].get(wrong[0])}, "
                    f"expected {value[wrong[0]]}"
                )

    def _set_aside(self, steps):
        """Renames damaged steps: Orbax writes no step up to the newest that is there."""
        if self._read_only or not steps:
            return
        for step in steps:
            target = self.folder / f"{step}.damaged"
            shutil.rmtree(target, ignore_errors=True)
            (self.folder / str(step)).rename(target)
        self._manager.reload()

    def _refused(self, error):
        free = shutil.disk_usage(self.folder if self.folder.exists() else "/").free
        reason = str(error).splitlines()[0][:200]
        return StorageError(f"{self.folder}: not written ({free / 2**20:.0f} MiB free): {reason}")

    def _damaged(self, step, item, error):
        lines = str(error).partition(". See full TensorStore")[0].splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        return CheckpointError(f"{self.folder}/{step}: {item}: damaged: {reason}")


def named_leaves(tree: Any) -> dict[str, Any]:
    """{path: leaf}, for messages and checksums."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def _host(leaf):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _seal(leaf, *, crc32=True):
    """What is recorded of an array: enough to know it again."""
    seal = {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
    if crc32:
        seal["crc32"] = zlib.crc32(np.ascontiguousarray(_host(leaf)))
    return seal


def _is_finite(leaf):
    leaf = _host(leaf)
    return not np.issubdtype(leaf.dtype, np.floating) or bool(np.isfinite(leaf).all())
