"""Checkpoints: a TrainState and a record of what it belongs to, on disk.

A checkpoint is one atomic Orbax commit of `state` (arrays) and `record` (JSON: what the caller
gives, and each array's seal). Reading goes from the newest step to the oldest and takes the first
that is whole.
"""

import math
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxgen import parallel
from jaxgen.committed import PlainSteps, require_plain
from jaxgen.console import first_line, quiet
from jaxgen.errors import CheckpointError, NonFiniteError, StorageError
from jaxgen.files import bytes_below
from jaxgen.migrate import FORMAT, migrated
from jaxgen.seal import differences, misfit, not_finite, num_bytes, seals
from jaxgen.train import TrainState

QUARANTINE, _RETIRED = "quarantine", ".retired"
_REFUSALS = (OSError, ValueError)  # TensorStore says RESOURCE_EXHAUSTED as a ValueError
_TRIES = 20  # of a reader beside a writer
_MARGIN = 2**20  # bytes: who cannot finish a write keeps the other processes waiting
_TEMPORARY = "*.orbax-checkpoint-tmp*"


class Checkpoints:
    """The checkpoints of one run, to write and to read; a context manager.

    Args:
      folder: made if it is not there.
      keep: how many of the newest to keep; the one of the best score stays besides.
      read_only: change nothing in the folder.

    Attributes:
      scores: {step: on the validation split, higher is better}, as far as the caller knows them.
    """

    def __init__(self, folder: Path, *, keep: int = 2, read_only: bool = False):
        self.folder, self._read_only, self._keep = folder.resolve(), read_only, keep
        self.scores: dict[int, float] = {}
        self._needed = 0  # bytes of the last save
        self._options = ocp.CheckpointManagerOptions(
            create=not read_only,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            save_interval_steps=0 if read_only else 1,
            step_name_format=PlainSteps(),
            todelete_subdir=None if read_only else _RETIRED,  # gone at once, for who reads
        )
        self._manager = self._managed()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self.wait()
            else:  # that is what the caller hears of; of several processes this may be one alone
                with suppress(*_REFUSALS):
                    self._manager.wait_until_finished()
        finally:
            self._manager.close()
            if kind is not None and not self._read_only:
                self._clean()

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Commits the state in the background, unless its step is there already.

        Args:
          state: arrays, all finite.
          record: plain JSON.

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
        record = {**record, "format": FORMAT, "leaves": seals(state)}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record)
        )
        self._needed = num_bytes(state) + (_MARGIN if parallel.is_one_of_several() else 0)
        self._all(self._require_room)
        self._all(lambda: self._manager.save(step, args=items))

    def check(self) -> None:
        """Raises StorageError if the save in the background has failed, in any process."""
        self._all(self._manager.check_for_errors)

    def wait(self) -> None:
        """Until the last save is on disk; then older ones go. Raises StorageError."""
        if not self._read_only:
            self._all(self._manager.wait_until_finished)
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
        known = [(self.scores[step], step) for step in self.steps() if step in self.scores]
        finite = [pair for pair in known if math.isfinite(pair[0])]
        return max(finite)[::-1] if finite else None

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
        steps = parallel.writers_numbers(self.steps() if only is None else [only])
        damaged: list[int] = []
        for step in steps:
            try:
                state = parallel.agreed(partial(self._restored, step, target))
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

    def _restored(self, step, target):
        return self.restore(step, target(step))

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
                with quiet():  # it warns that it was told to read only
                    return ocp.CheckpointManager(self.folder, options=self._options)
            except _REFUSALS as error:
                if left:
                    continue
                if self._read_only:
                    reason = first_line(error)
                    raise CheckpointError(f"{self.folder}: cannot be read: {reason}") from error
                raise self._refused(error) from error

    def _retire(self):
        """Deletes what is neither among the newest nor the best."""
        best = self.best()
        old = [step for step in self.steps()[self._keep :] if best is None or step != best[0]]
        for step in parallel.writers_numbers(old):
            self._manager.delete(step)
        if parallel.is_writer():
            shutil.rmtree(self.folder / _RETIRED, ignore_errors=True)

    def _require_same(self, step, found, recorded):
        difference = differences(found, recorded)
        if difference:
            raise CheckpointError(f"{self.folder}/{step}: {difference}")

    def _require_shapes(self, step, target):
        """What the arrays' own files say, before one of them is read: it might be a bomb."""
        with quiet(), ocp.StandardCheckpointer() as reader:
            stored = reader.metadata(self.folder / str(step) / "state").item_metadata
        bomb = misfit(dict(stored.tree), target, room=bytes_below(self.folder / str(step)))
        if bomb:
            raise CheckpointError(f"{self.folder}/{step}: {bomb}")

    def _set_aside(self, steps):
        """Moves damaged steps away: Orbax writes no step up to the newest that is there."""
        if self._read_only or not steps:
            return

        def move():
            (self.folder / QUARANTINE).mkdir(exist_ok=True)
            for step in steps if parallel.is_writer() else ():
                target = self.folder / QUARANTINE / str(step)
                shutil.rmtree(target, ignore_errors=True)
                (self.folder / str(step)).rename(target)

        self._all(move)
        self._manager.reload()

    def _all(self, act):
        """Does it in every process. Raises StorageError in all of them if one was refused."""

        def attempt():
            try:
                act()
            except _REFUSALS as error:
                raise self._refused(error) from error

        parallel.agreed(attempt)

    def _require_room(self):
        if shutil.disk_usage(self.folder).free < self._needed:
            raise OSError("the disk is full")

    def _refused(self, error):
        """A StorageError; nothing unfinished stays."""
        free = shutil.disk_usage(self.folder if self.folder.exists() else "/").free
        self._clean()
        sizes = f"{self._needed:,} bytes needed, {free:,} free"
        return StorageError(f"{self.folder}: not written ({sizes}): {first_line(error)}")

    def _clean(self):
        """Removes what an unfinished save left."""
        for path in self.folder.glob(_TEMPORARY) if parallel.is_writer() else ():
            shutil.rmtree(path, ignore_errors=True)

    def _damaged(self, step, item, error):
        reason = first_line(str(error).partition(". See full TensorStore")[0] or error)
        return CheckpointError(f"{self.folder}/{step}: {item}: damaged: {reason}")
