"""Checkpoints: a TrainState and a record of what it belongs to, on disk.

A checkpoint is one atomic Orbax commit of `state` (arrays) and `record` (JSON: what the caller
gives, and each array's seal). Reading goes from the newest step to the oldest and takes the first
that is whole.
"""

import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxgen import parallel
from jaxgen.committed import PlainSteps, require_plain
from jaxgen.errors import CheckpointError, NonFiniteError, StorageError
from jaxgen.files import bytes_below
from jaxgen.migrate import FORMAT, migrated
from jaxgen.seal import differences, misfit, not_finite, num_bytes, seals
from jaxgen.train import TrainState

QUARANTINE, _RETIRED = "quarantine", ".retired"
_REFUSALS = (OSError, ValueError)  # TensorStore says RESOURCE_EXHAUSTED as a ValueError
_TRIES = 20  # of a reader beside a writer
_TEMPORARY = "*.orbax-checkpoint-tmp*"


class Checkpoints:
    """The checkpoints of one run, to write and to read; a context manager.

    Args:
      folder: made if it is not there.
      keep: how many of the newest to keep; the one of the best score stays besides.
      read_only: change nothing in the folder.
    """

    def __init__(self, folder: Path, *, keep: int = 2, read_only: bool = False):
        self.folder, self._read_only, self._keep = folder.resolve(), read_only, keep
        self._scores: dict[int, float] = {}
        self._needed = 0  # bytes of the last save
        self._options = ocp.CheckpointManagerOptions(
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            step_name_format=PlainSteps(),
            todelete_subdir=None if read_only else _RETIRED,  # gone at once, for who reads
        )
        self._manager = self._managed()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.wait()
        finally:
            self._manager.close()

    def save(self, state: TrainState, record: dict[str, Any], score: float | None = None) -> None:
        """Commits the state in the background, unless its step is there already.

        Args:
          state: arrays, all finite.
          record: plain JSON.
          score: on the validation split, higher is better; None or not finite: not known.

        Raises:
          NonFiniteError: an array is not finite; what was saved before stays.
          StorageError: the disk refused it, or the save before it.
        """
        step = int(state.step)
        self.wait()
        if step in self._manager.all_steps():
            return
        bad = not_finite(state)
        if bad:
            raise NonFiniteError(f"step {step} was not saved: {bad} is not finite")
        score = score if score is not None and math.isfinite(score) else None
        record = {**record, "format": FORMAT, "score": score, "leaves": seals(state)}
        self._require_room(num_bytes(state))
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
        )
        try:
            self._manager.save(step, args=items)
        except _REFUSALS as error:
            raise self._refused(error) from error
        self._scores[step] = -math.inf if score is None else score

    def check(self) -> None:
        """Raises StorageError if the save in the background has failed; costs nothing."""
        try:
            self._manager.check_for_errors()
        except _REFUSALS as error:
            raise self._refused(error) from error

    def wait(self) -> None:
        """Until the last save is on disk; then older ones go. Raises StorageError."""
        try:
            self._manager.wait_until_finished()
        except _REFUSALS as error:
            raise self._refused(error) from error
        if not self._read_only:
            self._retire()

    def steps(self) -> list[int]:
        """The committed steps, newest first; links and other names are no steps."""
        return [
            step
            for step in sorted(self._manager.all_steps(), reverse=True)
            if (self.folder / str(step)).is_dir() and not (self.folder / str(step)).is_symlink()
        ]

    def best(self) -> tuple[int, float] | None:
        """(step, score) of the best score that is on disk, or None."""
        for step in self.steps():
            if step not in self._scores:
                self._scores[step] = self._score(step)
        found = [(self._scores[step], step) for step in self.steps()]
        score, step = max(found, default=(-math.inf, 0))
        return None if score == -math.inf else (step, score)

    def record(self, step: int) -> dict[str, Any]:
        """The JSON of a step, in today's format. Raises CheckpointError."""
        require_plain(self.folder / str(step))
        args = ocp.args.Composite(record=ocp.args.JsonRestore())
        try:
            record = self._manager.restore(step, args=args)["record"]
        except Exception as error:  # Orbax raises many kinds, bare Exception among them
            raise self._damaged(step, "record", error) from error
        try:
            record = migrated(record)
        except (CheckpointError, RecursionError) as error:
            raise CheckpointError(f"{self.folder}/{step}: record: {error}") from error
        leaves = record.get("leaves")
        if not isinstance(leaves, dict) or not all(isinstance(x, dict) for x in leaves.values()):
            raise CheckpointError(f"{self.folder}/{step}: record: damaged: no table of arrays")
        return record

    def restore(self, step: int, target: TrainState) -> TrainState:
        """The state of a step, compared with its record leaf by leaf, before and after reading.

        Args:
          step: one of `steps()`.
          target: the expected tree; its leaves may be `ShapeDtypeStruct`s.

        Raises:
          CheckpointError: damaged, or of another model; names the leaves that differ.
        """
        recorded = self.record(step)["leaves"]
        self._require_same(step, seals(target, crc32=False), recorded)
        # On one device, whatever the topology that wrote it; the caller spreads it.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        placed = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), target
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(placed))
        try:
            self._require_shapes(step, target)
            state = self._manager.restore(step, args=args)["state"]
        except CheckpointError:
            raise
        except Exception as error:  # a flipped bit in compressed data is a bare Exception
            raise self._damaged(step, "state", error) from error
        self._require_same(step, seals(state), recorded)
        bad = not_finite(state)
        if bad:
            raise CheckpointError(f"{self.folder}/{step}: {bad} is not finite")
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
            a warning of one line, and moved to `quarantine` unless the folder is only read.
        """
        steps, damaged = self.steps() if only is None else [only], []
        for step in steps:
            try:
                state = self.restore(step, target(step))
            except CheckpointError as error:
                if self._read_only and only is None and not self._is_there(step):
                    return self._later(target)
                if step == steps[-1]:
                    raise
                warnings.warn(f"{error}; trying the one before", stacklevel=2)
                damaged.append(step)
            else:
                self._set_aside(damaged)
                return state
        return None

    def _is_there(self, step):
        return (self.folder / str(step)).is_dir()

    def _later(self, target):
        """Reads again: a training beside us has retired what was being read."""
        self._manager.close()
        self._manager = self._managed()
        return self.restore_newest(target)

    def _managed(self):
        """Orbax's manager, which reads in every step: one of them may be retired meanwhile."""
        left = _TRIES if self._read_only else 1
        while True:
            left -= 1
            try:
                return ocp.CheckpointManager(self.folder, options=self._options)
            except _REFUSALS as error:
                if not left:
                    raise self._refused(error) from error

    def _retire(self):
        """Deletes what is neither among the newest nor the best."""
        best = self.best()
        old = [step for step in self.steps()[self._keep :] if best is None or step != best[0]]
        for step in parallel.writers_numbers(old):
            self._manager.delete(step)
            self._scores.pop(step, None)
        if parallel.is_writer():
            shutil.rmtree(self.folder / _RETIRED, ignore_errors=True)

    def _score(self, step):
        try:
            score = self.record(step).get("score")
        except CheckpointError:
            return -math.inf
        known = isinstance(score, int | float) and math.isfinite(score)
        return float(score) if known else -math.inf

    def _require_same(self, step, found, recorded):
        difference = differences(found, recorded)
        if difference:
            raise CheckpointError(f"{self.folder}/{step}: {difference}")

    def _require_shapes(self, step, target):
        """What the arrays' own files say, before one of them is read: it might be a bomb."""
        with ocp.StandardCheckpointer() as reader:
            stored = reader.metadata(self.folder / str(step) / "state").item_metadata
        expected = jax.eval_shape(lambda t: jax.tree.map(_data, t), target)
        bomb = misfit(dict(stored.tree), expected, room=bytes_below(self.folder / str(step)))
        if bomb:
            raise CheckpointError(f"{self.folder}/{step}: {bomb}")

    def _set_aside(self, steps):
        """Moves damaged steps away: Orbax writes no step up to the newest that is there."""
        if self._read_only or not steps:
            return
        for step in steps if parallel.is_writer() else ():
            (self.folder / QUARANTINE).mkdir(exist_ok=True)
            target = self.folder / QUARANTINE / str(step)
            shutil.rmtree(target, ignore_errors=True)
            (self.folder / str(step)).rename(target)
        parallel.any_process(False)  # all wait until that is done
        self._manager.reload()

    def _require_room(self, needed):
        self._needed = needed
        if shutil.disk_usage(self.folder).free < needed:
            raise self._refused("the disk is full")

    def _refused(self, error):
        """A StorageError; what an unfinished save left is removed."""
        free = shutil.disk_usage(self.folder if self.folder.exists() else "/").free
        for path in self.folder.glob(_TEMPORARY) if not self._read_only else ():
            shutil.rmtree(path, ignore_errors=True)
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return StorageError(
            f"{self.folder}: not written ({self._needed:,} bytes needed, {free:,} free): {reason}"
        )

    def _damaged(self, step, item, error):
        lines = str(error).partition(". See full TensorStore")[0].splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        return CheckpointError(f"{self.folder}/{step}: {item}: damaged: {reason}")


def _data(leaf):
    """Keys by their data, as they are stored."""
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
