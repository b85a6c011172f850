"""Checkpoints: a TrainState and a record of what it belongs to, on disk.

A checkpoint is one atomic Orbax commit of `state` (arrays) and `record` (JSON: what the caller
gives, and each array's checksum). Reading goes from the newest step to the oldest and takes the
first that is whole.
"""

import dataclasses
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
from jaxgen.console import quiet
from jaxgen.errors import CheckpointError, NonFiniteError, first_line
from jaxgen.files import bytes_below
from jaxgen.runs.checksums import Checksum, checksums, differences, misfit, not_finite, num_bytes
from jaxgen.runs.formats import FORMAT, migrated
from jaxgen.runs.manager import REFUSALS, RETIRED, clean, in_every_process, open_manager
from jaxgen.runs.reach import Reach
from jaxgen.runs.steps import require_plain
from jaxgen.state import TrainState

QUARANTINE = "quarantine"
_MARGIN = 2**20  # bytes: who cannot finish a write keeps the other processes waiting


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
        self.folder = folder.resolve()
        self.scores: dict[int, float] = {}
        self._read_only = read_only
        self._keep = keep
        self._needed = 0  # bytes of the last save
        self._reach = Reach(self.folder, create=not read_only)
        self._manager = open_manager(self._reach.path, read_only=read_only)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self.wait()
            else:  # that is what the caller hears of; of several processes this may be one alone
                with suppress(*REFUSALS):
                    self._manager.wait_until_finished()
        finally:
            self._manager.close()
            self._reach.close()
            if kind is not None and not self._read_only:
                clean(self.folder)

    def save(self, state: TrainState, record: dict[str, Any]) -> None:
        """Commit the state in the background, unless its step is there already.

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
        record = {**record, "format": FORMAT, "leaves": checksums(state)}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(_stored(state)), record=ocp.args.JsonSave(record)
        )
        self._needed = num_bytes(state) + (_MARGIN if parallel.is_one_of_several() else 0)
        self._all(self._require_room)
        self._all(lambda: self._manager.save(step, args=items))

    def check(self) -> None:
        """Raise StorageError if the save in the background has failed, in any process."""
        self._all(self._manager.check_for_errors)

    def wait(self) -> None:
        """Wait until the last save is on disk, and delete older ones.

        Raises:
          StorageError: the disk refused the save.
        """
        if not self._read_only:
            self._all(self._manager.wait_until_finished)
            self._retire()

    def steps(self) -> list[int]:
        """Return the committed steps, newest first; links and other names are no steps."""
        found = sorted(self._manager.all_steps(), reverse=True)
        return [step for step in found if self._is_there(step)]

    def best(self) -> tuple[int, float] | None:
        """Return (step, score) of the best score that is on disk, or None."""
        known = [(self.scores[step], step) for step in self.steps() if step in self.scores]
        finite = [pair for pair in known if math.isfinite(pair[0])]
        if not finite:
            return None
        score, step = max(finite)
        return step, score

    def record(self, step: int) -> dict[str, Any]:
        """Return the JSON of a step, in today's format.

        Raises:
          CheckpointError: it is damaged, or of a format that is not known here.
        """
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
        """Return the state of a step, compared with its record before and after reading.

        Args:
          step: one of `steps()`.
          target: the expected tree; its leaves may be `ShapeDtypeStruct`s.

        Raises:
          CheckpointError: damaged, or of another model; names the leaves that differ.
        """
        recorded = self.record(step)["leaves"]
        self._require_same(step, checksums(target, crc32=False), recorded)
        # On one device, whatever the topology that wrote it; the caller spreads it.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        placed = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), target
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(_stored(placed)))
        try:
            self._require_shapes(step, target)
            state = TrainState(**self._manager.restore(step, args=args)["state"])
        except CheckpointError:
            raise
        except Exception as error:  # a flipped bit in compressed data is a bare Exception
            raise self._damaged(step, "state", error) from error
        self._require_same(step, checksums(state), recorded)
        bad = not_finite(state)
        if bad:
            raise CheckpointError(f"{self.folder}/{step}: {bad} is not finite")
        return state

    def restore_newest(
        self,
        target: Callable[[int], TrainState],
        *,
        only: int | None = None,
    ) -> TrainState | None:
        """Return the newest whole state, or None if no step was ever committed.

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
                if self._read_only and only is None and not (self.folder / str(step)).is_dir():
                    return self._later(target)
                if step == steps[-1]:
                    raise
                warnings.warn(f"{error}; trying the one before", stacklevel=2)
                damaged.append(step)
            else:
                self._set_aside(damaged)
                return state
        return None

    def _restored(self, step: int, target: Callable[[int], TrainState]) -> TrainState:
        return self.restore(step, target(step))

    def _is_there(self, step: int) -> bool:
        path = self.folder / str(step)
        return path.is_dir() and not path.is_symlink()

    def _later(self, target: Callable[[int], TrainState]) -> TrainState | None:
        """Read again: a training beside us has retired what was being read."""
        self._manager.close()
        self._manager = open_manager(self._reach.path, read_only=self._read_only)
        return self.restore_newest(target)

    def _retire(self) -> None:
        """Delete what is neither among the newest nor the best."""
        best = self.best()
        old = [step for step in self.steps()[self._keep :] if best is None or step != best[0]]
        for step in parallel.writers_numbers(old):
            self._manager.delete(step)
        if parallel.is_writer():
            shutil.rmtree(self.folder / RETIRED, ignore_errors=True)

    def _require_same(
        self,
        step: int,
        found: dict[str, Checksum],
        recorded: dict[str, Any],
    ) -> None:
        """Raise CheckpointError unless the arrays are those of the record."""
        difference = differences(found, recorded)
        if difference:
            raise CheckpointError(f"{self.folder}/{step}: {difference}")

    def _require_shapes(self, step: int, target: TrainState) -> None:
        """Look at what the arrays' own files say, before one of them is read: a bomb, perhaps."""
        path = self._reach.path / str(step) / "state"
        with quiet(), ocp.StandardCheckpointer() as reader:
            stored = reader.metadata(path).item_metadata
        bomb = misfit(dict(stored.tree), target, room=bytes_below(self.folder / str(step)))
        if bomb:
            raise CheckpointError(f"{self.folder}/{step}: {bomb}")

    def _set_aside(self, steps: list[int]) -> None:
        """Move damaged steps away: Orbax writes no step up to the newest that is there."""
        if self._read_only or not steps:
            return

        def move() -> None:
            (self.folder / QUARANTINE).mkdir(exist_ok=True)
            for step in steps if parallel.is_writer() else ():
                target = self.folder / QUARANTINE / str(step)
                shutil.rmtree(target, ignore_errors=True)
                (self.folder / str(step)).rename(target)

        self._all(move)
        self._manager.reload()

    def _all(self, act: Callable[[], object]) -> None:
        """Do it in every process; a refusal of the disk is a StorageError in all of them."""
        in_every_process(self.folder, self._needed, act)

    def _require_room(self) -> None:
        if shutil.disk_usage(self.folder).free < self._needed:
            raise OSError("the disk is full")

    def _damaged(self, step: int, item: str, error: Exception) -> CheckpointError:
        """Return the error of an item that Orbax could not read."""
        reason = first_line(str(error).partition(". See full TensorStore")[0] or error)
        return CheckpointError(f"{self.folder}/{step}: {item}: damaged: {reason}")


def _stored(state: TrainState) -> dict[str, Any]:
    """Return the fields of a state as they are stored; those of before had no `ema_updates`."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    if state.ema_updates is None:
        del fields["ema_updates"]
    return fields
