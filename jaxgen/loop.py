"""The training loop: where data, steps, metrics, pictures and checkpoints meet.

    run(experiment, workdir)

Started again in the same folder it goes on from the newest checkpoint, bit for bit: the state holds
its own key, a batch is a function of (seed, step), and dispatches end at steps that depend on the
settings alone. Asked to leave by a signal, it saves the last finished step and raises
PreemptedError.
"""

import os
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from jaxgen import data, gallery, parallel, pictures, signals
from jaxgen.checkpoint import Checkpoints
from jaxgen.data import Dataset
from jaxgen.errors import JaxgenError, NonFiniteError, PreemptedError, StorageError
from jaxgen.evaluation.guard import alarms
from jaxgen.experiment import Experiment, require_fit
from jaxgen.files import write_npz
from jaxgen.folder import CHECKPOINTS, describe, open_folder
from jaxgen.journal import Journal
from jaxgen.lock import sole_writer
from jaxgen.status import Status
from jaxgen.stepping import Dispatch, OnNaN, Stepper
from jaxgen.train import TrainState, evaluation_variables
from jaxgen.validation import score, validate


def run(
    experiment: Experiment,
    workdir: str | os.PathLike[str],
    *,
    recipe: str = "",
    command: str = "",
    tensorboard: bool = False,
    on_nan: OnNaN = OnNaN(),  # noqa: B008 (frozen)
) -> TrainState:
    """Trains up to `settings.steps` and returns the state.

    Args:
      experiment: what to train.
      workdir: the run folder; made, or continued if it holds the same experiment.
      recipe: its name, for the record.
      command: how to repeat it, for the record.
      tensorboard: write event files too.
      on_nan: whether to stop at a step with a NaN, or skip some.

    Raises:
      ConfigError: the folder holds another experiment, another process trains in it, or the batch
        cannot be shared out.
      DataError: the data are missing, damaged or not those that the folder's run began with.
      CheckpointError: the folder has checkpoints and none is whole.
      NonFiniteError: a loss or a gradient is not finite; the last good checkpoint stays.
      StorageError: the disk refused the last checkpoint, or the folder itself.
      PreemptedError: a signal came; the last finished step is saved.
    """
    folder, origin = Path(workdir), time.monotonic()
    with signals.caught(), ExitStack() as kept:
        if parallel.is_one_of_several():  # then all leave at the same step
            kept.enter_context(signals.held())
        begin = partial(_begin, experiment, folder, kept)
        experiment, dataset, record = parallel.agreed(begin)
        checkpoints = kept.enter_context(Checkpoints(folder / CHECKPOINTS))
        session = _Session(experiment, dataset, folder, record, checkpoints, origin)
        about = partial(describe, folder, record, recipe, command)
        return session.train(about, tensorboard, on_nan)


def _begin(experiment, folder, kept):
    """Takes the lock; (experiment, dataset, record), as far as the run may go on with them."""
    was_there = folder.is_dir()
    if was_there:
        kept.enter_context(_only_here(folder))
    parallel.require_divisible(experiment.settings.batch_size, jax.device_count())
    experiment = replace(experiment, data=data.resolved(experiment.data))
    dataset = data.load(experiment.data)
    require_fit(experiment.model, dataset)
    record = open_folder(folder, experiment, dataset)
    if not was_there:
        kept.enter_context(_only_here(folder))
    return experiment, dataset, record


@dataclass
class _Session:
    """One process's part of a run."""

    experiment: Experiment
    dataset: Dataset
    folder: Path
    record: dict[str, Any]
    checkpoints: Checkpoints
    origin: float  # when it began

    def train(self, about, tensorboard, on_nan) -> TrainState:
        """From the newest checkpoint to the end."""
        settings, mesh = self.experiment.settings, parallel.device_mesh()
        state, kept = self._first_state(mesh)
        begin = int(state.step)
        self.status = Status(self.folder, steps=settings.steps, begin=begin, origin=self.origin)
        self.stepper = Stepper(
            *(self.experiment, self.dataset, mesh, state),
            on_nan=on_nan,
            skipped=kept.get("skipped", 0),
        )
        told = {"begin": begin, "window": kept.get("window"), "tensorboard": tensorboard}
        told["silent"] = not parallel.is_writer()
        with parallel.agreed(partial(self._opened, about, told)) as self.journal:
            signs = self.journal.validations.items()
            self.checkpoints.scores = {step: score(found) for step, found in signs}
            self.journal.say(_opening(self.folder, settings, begin, mesh))
            try:
                if self._is_unfinished(begin):
                    self._train(begin)
                    parallel.agreed(self.journal.close)
                    self._write_status(state="finished", exit_code=0)
            except JaxgenError as error:
                self._ended(error)
                raise
        return self.stepper.state

    def _opened(self, about, told):
        """The journal, after the records of what is about to run."""
        if parallel.is_writer() and told["begin"] < self.experiment.settings.steps:
            about()
        return Journal(self.folder, self.experiment.settings, **told)

    def _is_unfinished(self, begin):
        """Whether steps are to be made, or what was due at the last one."""
        steps = self.experiment.settings.steps
        owes = begin == steps and not self.status.was_finished
        return begin < steps or self._writer_says(owes)

    def _train(self, begin):
        """All dispatches; a signal waits for the end of one."""
        self._write_status()
        together = parallel.is_one_of_several()  # all must ask each other at the same steps
        alone = parallel.leaving_if_alone(PreemptedError.exit_code)
        with signals.held() as asked, alone:
            try:
                self._owed(begin)
                if begin < self.experiment.settings.steps:
                    self.journal.say("compiling")
                settle = lambda a, b: bool(self._due(a, b)) or together or asked()  # noqa: E731
                for dispatch in self.stepper.dispatches(settle):
                    self._after(dispatch, first=dispatch.start == begin)
                    if dispatch.settled and parallel.any_process(asked()):
                        raise signals.preempted()
            except PreemptedError:
                self._leave()
            self._last_save()

    def _due(self, before, step):
        """What is due at a step: a multiple of its interval, or the last step."""
        settings = self.experiment.settings
        names = ("log", "evaluate", "sample", "checkpoint")
        every = {name: getattr(settings, f"{name}_every") for name in names}
        return {
            name for name, n in every.items() if step // n > before // n or step == settings.steps
        }

    def _after(self, dispatch: Dispatch, *, first: bool):
        """Metrics always, and what is due."""
        self.journal.add(dispatch.end, dispatch.metrics)
        for step in dispatch.skipped:
            self.journal.say(f"warning: step {step} was not finite and is left out")
        if first:
            self.journal.compiled()
        self._unless_full(self.checkpoints.check)
        due = self._due(dispatch.start, dispatch.end) if dispatch.settled else set()
        if {"log", "checkpoint"} & due:
            self.status.trained(dispatch.end, self.journal.flush())
            self._write_status()
        if "evaluate" in due:
            self._by_writer(self._evaluate)
        if "sample" in due:
            self._by_writer(self._draw)
        if "checkpoint" in due:
            self._save()
        if {"evaluate", "sample"} & due:
            self.journal.resume()

    def _owed(self, begin):
        """What was due at the step the run goes on from, and cut short by a signal."""
        due = self._due(begin - 1, begin) if begin else set()
        owes = {
            "evaluate": begin not in self.journal.validations,
            "sample": not self._picture_path(begin).exists(),
        }
        owed = {n for n in ("evaluate", "sample") if n in due and self._writer_says(owes[n])}
        if "evaluate" in owed:
            self._by_writer(self._evaluate)
        if "sample" in owed:
            self._by_writer(self._draw)

    def _writer_says(self, condition):
        return parallel.any_process(condition and parallel.is_writer())

    def _by_writer(self, act):
        """A part that one process does; a signal may cut it short, unless others wait for it."""
        with nullcontext() if parallel.is_one_of_several() else signals.released():
            parallel.agreed(act if parallel.is_writer() else lambda: None)

    def _evaluate(self):
        state = parallel.local(self.stepper.state)
        signs = validate(self.experiment.model, state, self.dataset)
        self.journal.write("validation", signs)
        self.checkpoints.scores[int(state.step)] = score(signs)
        for line in alarms(signs):
            self.journal.say(line)

    def _draw(self):
        state = parallel.local(self.stepper.state)
        key = jax.random.key(0)  # the same latents at every step
        model, variables, step = self.experiment.model, evaluation_variables(state), int(state.step)
        picture = gallery.progress(model, variables, self.dataset, key, f"step {step}")
        self._unless_full(partial(pictures.save_png, self._picture_path(step), picture))

    def _picture_path(self, step):
        return self.folder / "samples" / f"step_{step:08}.png"

    def _save(self):
        if self._unless_full(self._commit):
            self.status.saved(int(self.stepper.state.step), self.checkpoints.best())

    def _commit(self):
        more = {"window": self.journal.window(), "skipped": self.stepper.skipped}
        self.checkpoints.save(self.stepper.state, self.record | more)

    def _unless_full(self, write):
        """Whether a write succeeded that the run can do without."""
        try:
            write()
        except StorageError as error:
            self.journal.say(f"warning: {error}; training goes on")
            return False
        return True

    def _last_save(self):
        """Without this one the run has failed. Raises StorageError."""
        try:
            self.checkpoints.wait()
        except StorageError as error:
            self.journal.say(f"warning: {error}; once more")
        self._commit()
        self.checkpoints.wait()
        self.status.saved(int(self.stepper.state.step), self.checkpoints.best())

    def _leave(self):
        """Saves the last finished step and says so."""
        self._last_save()
        raise signals.preempted(f"step {int(self.stepper.state.step)} is saved")

    def _ended(self, error):
        """The status of a run that did not end well, and the batch of a NaN."""
        state = "preempted" if isinstance(error, PreemptedError) else "failed"
        if isinstance(error, NonFiniteError) and error.batch is not None and parallel.is_writer():
            path = self.folder / f"nonfinite_step_{error.step + 1:08}.npz"
            self._unless_full(partial(write_npz, path, error.batch))
        self._write_status(state=state, exit_code=error.exit_code)

    def _write_status(self, **changed):
        if parallel.is_writer():
            changed |= {"skipped_steps": self.stepper.skipped}
            self._unless_full(partial(self.status.write, **changed))

    def _first_state(self, mesh):
        """The newest whole checkpoint on the mesh and its record, or a fresh state and {}."""
        target, kept = self.experiment.abstract_state(), {}
        state = self.checkpoints.restore_newest(lambda step: target)
        if state is None:
            seed = jax.random.key(self.experiment.settings.seed)
            state = jax.jit(self.experiment.fresh_state)(seed)
        else:
            kept = self.checkpoints.record(int(state.step))
        return parallel.replicate(state, mesh), kept


def _only_here(folder):
    """The lock of the run folder, which one process holds for all."""
    return sole_writer(folder) if parallel.is_writer() else nullcontext()


def _opening(folder, settings, begin, mesh):
    """The first line of a run."""
    if begin >= settings.steps:
        return f"{folder}: finished, at step {begin}. Try: jaxgen report {folder}"
    devices = f"{mesh.size} {mesh.devices.flat[0].platform} device{'s' if mesh.size > 1 else ''}"
    what = f"going on from step {begin}" if begin else "training"
    return f"{folder}: {what}, {settings.steps} steps of {settings.batch_size} on {devices}"
