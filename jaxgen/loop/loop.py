"""The training loop: where data, steps, metrics, pictures and checkpoints meet.

    run(experiment, workdir)

Started again in the same folder it goes on from the newest checkpoint, bit for bit: the state holds
its own key, a batch is a function of (seed, step), and dispatches end at steps that depend on the
settings alone. A run of several stages goes through them one after another (`stage.py`); a stage
that begins takes over what the one before left in its last checkpoint. Asked to leave by a signal,
the loop saves the last finished step and raises PreemptedError.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from jaxgen import data, parallel
from jaxgen.arguments import require_extra
from jaxgen.data import Dataset
from jaxgen.errors import JaxgenError, NonFiniteError, PreemptedError
from jaxgen.experiment import RULES, Experiment, require_fit
from jaxgen.files import write_npz
from jaxgen.loop import signals
from jaxgen.loop.dispatch import OnNaN
from jaxgen.loop.journal import Journal
from jaxgen.loop.stage import Shared, StageTraining
from jaxgen.loop.status import Status
from jaxgen.loop.validate import score
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.folder import CHECKPOINTS, RECORD, Record, as_begun, describe, open_folder
from jaxgen.runs.lock import sole_writer
from jaxgen.state import TrainState

_OLD_RULES = (
    "note: begun by an older version, it goes on by its rules: averages count steps, from the "
    "initial weights, and schedules count moves. Today's rules: in another --workdir"
)
Kept = dict[str, Any]  # what a checkpoint's record has besides: the metrics' window, skipped steps


def run(
    experiment: Experiment,
    workdir: str | os.PathLike[str],
    *,
    recipe: str = "",
    command: str = "",
    tensorboard: bool = False,
    on_nan: OnNaN = OnNaN(),  # noqa: B008 (frozen)
    dataset: Dataset | None = None,
) -> TrainState:
    """Train to the end of the last stage and return the state.

    Args:
      experiment: what to train.
      workdir: the run folder; made, or continued if it holds the same experiment.
      recipe: its name, for the record.
      command: how to repeat it, for the record.
      tensorboard: write event files too.
      on_nan: whether to stop at a step with a NaN, or skip some.
      dataset: in the place of what `experiment.data` names, for a run of one stage.

    Raises:
      ConfigError: the folder holds another experiment, another process trains in it, or the batch
        cannot be shared out.
      DataError: the data are missing, damaged or not those that the folder's run began with.
      CheckpointError: the folder has checkpoints and none is whole.
      NonFiniteError: a loss or a gradient is not finite; the last good checkpoint stays.
      StorageError: the disk refused the last checkpoint, or the folder itself.
      PreemptedError: a signal came; the last finished step is saved.
    """
    folder = Path(workdir)
    origin = time.monotonic()
    with signals.caught(), ExitStack() as kept:
        if parallel.is_one_of_several():  # then all leave at the same step
            kept.enter_context(signals.held())
        begin = partial(_begin, experiment, folder, kept, dataset, tensorboard)
        opened = parallel.agreed(begin)
        checkpoints = kept.enter_context(Checkpoints(folder / CHECKPOINTS))
        session = _Session(opened, folder, checkpoints, origin)
        about = partial(describe, folder, opened.records, recipe, command)
        return session.train(about, tensorboard, on_nan)


@dataclass(frozen=True)
class _Opened:
    """The stages that a run goes through, as far as its folder may go on with them."""

    experiment: Experiment
    datasets: tuple[Dataset, ...]  # of each stage
    records: tuple[Record, ...]  # of each stage


def _begin(
    experiment: Experiment,
    folder: Path,
    kept: ExitStack,
    dataset: Dataset | None,
    tensorboard: bool,
) -> _Opened:
    """Take the lock and look at everything that could refuse the run."""
    if tensorboard and parallel.is_writer():
        require_extra("tensorboard", "--tensorboard")
    was_there = folder.is_dir()
    if was_there:
        kept.enter_context(_only_here(folder))
    if dataset is None:
        experiment = _resolved(experiment)
    experiment = as_begun(folder, experiment)
    datasets = []
    for stage in experiment.stages():
        parallel.require_divisible(stage.settings.batch_size, jax.device_count())
        datasets.append(dataset or data.load(stage.data))
        require_fit(stage.model, datasets[-1])
    records = open_folder(folder, experiment, tuple(datasets))
    if not was_there:
        kept.enter_context(_only_here(folder))
        # By who holds the lock: another that came second must not remove what the first has begun.
        kept.push(partial(_remove_half_made, folder))
    return _Opened(experiment, tuple(datasets), records)


def _resolved(experiment: Experiment) -> Experiment:
    """Return the experiment with the paths of all its stages' data made absolute."""
    before = _resolved(experiment.after) if experiment.after else None
    return replace(experiment, data=data.resolved(experiment.data), after=before)


@dataclass
class _Session:
    """One process's part of a run."""

    opened: _Opened
    folder: Path
    checkpoints: Checkpoints
    origin: float  # when it began

    def train(self, about: Callable[[], None], tensorboard: bool, on_nan: OnNaN) -> TrainState:
        """Train from the newest checkpoint to the end."""
        last = self.opened.experiment
        mesh = parallel.device_mesh()
        state, kept = self._first_state(mesh)
        begin = int(state.step)
        status = Status(self.folder, steps=last.end, begin=begin, origin=self.origin)
        told = {"begin": begin, "window": kept.get("window"), "tensorboard": tensorboard}
        with parallel.agreed(partial(self._journal, about, told)) as journal:
            shared = Shared(
                self.folder, self.checkpoints, journal, status, on_nan, kept.get("skipped", 0)
            )
            # Also of a run that is finished: without its score the best checkpoint is an old one.
            self.checkpoints.scores = self._scores(journal, last.owner(begin))
            journal.say(_opening(self.folder, last, begin, mesh))
            if begin < last.end and _counts_as_before(last):
                journal.say(_OLD_RULES)
            try:
                if self._is_unfinished(status, begin):
                    with signals.reported():
                        state = self._stages(shared, mesh, state)
                        parallel.agreed(journal.close)
                    shared.write_status(state="finished", exit_code=0)
            except Exception as error:  # also of the user's own model
                self._ended(shared, error)
                raise
        return state

    def _stages(self, shared: Shared, mesh: Mesh, state: TrainState) -> TrainState:
        """Go through the stages that are left; the first of them may be finished already."""
        stages = self.opened.experiment.stages()
        current = stages.index(self.opened.experiment.owner(int(state.step)))
        for number in range(current, len(stages)):
            stage = stages[number]
            if number > current:
                state = self._next_state(stage, mesh, state)
                shared.journal.drop_window()  # what is left of another stage's metrics
            if len(stages) > 1:
                title = f"stage {number + 1} of {len(stages)}: {type(stage.model).__name__}"
                shared.journal.say(f"{title}, steps {stage.begin + 1} to {stage.end}")
            shared.journal.batch_size = stage.settings.batch_size
            shared.journal.noun = "images" if len(stage.model.shape) == 3 else "examples"
            shared.checkpoints.scores = self._scores(shared.journal, stage)
            dataset = self.opened.datasets[number]
            record = self.opened.records[number]
            state = StageTraining(shared, stage, dataset, record, mesh, state).train()
        return state

    def _next_state(self, stage: Experiment, mesh: Mesh, state: TrainState) -> TrainState:
        """Return the state that a stage begins with, on the mesh.

        A signal that comes meanwhile costs nothing: the stage before has saved its last step.
        """
        seed = jax.random.key(stage.settings.seed)
        following = jax.jit(stage.next_state)(seed, parallel.local(state))
        return parallel.replicate(following, mesh)

    def _scores(self, journal: Journal, stage: Experiment) -> dict[int, float]:
        """Return {step: score} of the stage's own validations: no best crosses stages."""
        own = range(stage.begin + 1, stage.end + 1)
        found = journal.validations.items()
        return {step: score(signs) for step, signs in found if step in own}

    def _journal(self, about: Callable[[], None], told: dict[str, Any]) -> Journal:
        """Open the journal, after the records of what is about to run."""
        last = self.opened.experiment
        if parallel.is_writer() and told["begin"] < last.end:
            about()
        silent = not parallel.is_writer()
        return Journal(self.folder, last.end, last.settings.batch_size, silent=silent, **told)

    def _is_unfinished(self, status: Status, begin: int) -> bool:
        """Return whether steps are to be made, or what was due at the last one."""
        end = self.opened.experiment.end
        owes = begin == end and not status.was_finished
        return begin < end or parallel.any_process(owes and parallel.is_writer())

    def _ended(self, shared: Shared, error: Exception) -> None:
        """Write the status of a run that did not end well, and the batch of a NaN."""
        state = "preempted" if isinstance(error, PreemptedError) else "failed"
        if isinstance(error, NonFiniteError) and error.batch is not None and parallel.is_writer():
            path = self.folder / f"nonfinite_step_{error.step + 1:08}.npz"
            shared.unless_full(partial(write_npz, path, error.batch))
        exit_code = error.exit_code if isinstance(error, JaxgenError) else 1
        shared.write_status(state=state, exit_code=exit_code)

    def _first_state(self, mesh: Mesh) -> tuple[TrainState, Kept]:
        """Return the newest whole checkpoint on the mesh and its record; else a fresh state, {}."""
        experiment = self.opened.experiment
        kept: Kept = {}

        def target(step: int) -> TrainState:
            return experiment.owner(step).abstract_state()

        state = self.checkpoints.restore_newest(target)
        if state is None:
            seed = jax.random.key(experiment.stages()[0].settings.seed)
            state = jax.jit(experiment.first_state)(seed)
        else:
            kept = self.checkpoints.record(int(state.step))
        return parallel.replicate(state, mesh), kept


def _only_here(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of the run folder, which one process holds for all."""
    return sole_writer(folder) if parallel.is_writer() else nullcontext()


def _remove_half_made(folder: Path, error: type[BaseException] | None, *_: object) -> None:
    """Remove a folder that this run made, and failed in before it had a record."""
    if error is not None and parallel.is_writer() and not (folder / RECORD).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _counts_as_before(last: Experiment) -> bool:
    """Return whether a stage is by older rules than today's, which would make another run."""
    return any(stage.rules < RULES and not stage.counts_alike() for stage in last.stages())


def _opening(folder: Path, last: Experiment, begin: int, mesh: Mesh) -> str:
    """Return the first line of a run."""
    if begin >= last.end:
        return f"{folder}: finished, at step {begin}. Try: jaxgen report {folder}"
    devices = f"{mesh.size} {mesh.devices.flat[0].platform} device{'s' if mesh.size > 1 else ''}"
    what = f"going on from step {begin}" if begin else "training"
    size = last.owner(begin + 1).settings.batch_size
    return f"{folder}: {what}, {last.end} steps of {size} on {devices}"
