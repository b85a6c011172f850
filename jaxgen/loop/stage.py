"""One stage of a run: its dispatches, and what is due between them.

    dispatch -> metrics -> evaluation? -> pictures? -> checkpoint? -> dispatch ...

A signal waits for the end of a dispatch. What was due at the step that a process goes on from, and
was cut short by a signal, is made up for first.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from jaxgen import parallel
from jaxgen.data import Dataset
from jaxgen.errors import PreemptedError, StorageError
from jaxgen.evaluation.collapse import alarms
from jaxgen.experiment import Experiment
from jaxgen.figures import gallery, images
from jaxgen.loop import signals
from jaxgen.loop.dispatch import Dispatch, OnNaN, Stepper
from jaxgen.loop.journal import Journal
from jaxgen.loop.status import Status
from jaxgen.loop.validate import score, validate
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.folder import Record
from jaxgen.state import TrainState, evaluation_variables

_START = 0.1  # of a stage's steps: until then signs of collapse are written down alone


@dataclass
class Shared:
    """The common parts of a run's stages.

    Attributes:
      folder: the run folder.
      checkpoints: of the run.
      journal: of the run.
      status: of the run.
      on_nan: what to do about a step with a NaN.
      skipped: steps that were left out, by all processes so far.
    """

    folder: Path
    checkpoints: Checkpoints
    journal: Journal
    status: Status
    on_nan: OnNaN
    skipped: int = 0

    def unless_full(self, write: Callable[[], None]) -> bool:
        """Return whether a write succeeded that the run can do without; say so if not."""
        try:
            write()
        except StorageError as error:
            self.journal.say(f"warning: {error}; training goes on")
            return False
        return True

    def write_status(self, **changed: Any) -> None:
        """Write STATUS.json, with what changed."""
        if parallel.is_writer():
            changed |= {"skipped_steps": self.skipped}
            self.unless_full(partial(self.status.write, **changed))


class StageTraining:
    """Trains one stage.

    Args:
      shared: what the stages have in common.
      stage: the experiment of this stage.
      dataset: its data.
      record: what goes into its checkpoints.
      mesh: the devices.
      state: where to begin, on the mesh; it is donated.
    """

    def __init__(
        self,
        shared: Shared,
        stage: Experiment,
        dataset: Dataset,
        record: Record,
        mesh: Mesh,
        state: TrainState,
    ):
        self._shared = shared
        self._stage = stage
        self._dataset = dataset
        self._record = record
        self._stepper = Stepper(
            stage, dataset, mesh, state, on_nan=shared.on_nan, skipped=shared.skipped
        )

    def train(self) -> TrainState:
        """Take all steps that are left and return the state; its checkpoint is on disk.

        Raises:
          NonFiniteError: a step is not finite, and no more may be skipped.
          PreemptedError: a signal came; the last finished step is saved.
          StorageError: the last checkpoint could not be written.
        """
        begin = int(self._stepper.state.step)
        self._shared.status.best(self._shared.checkpoints.best())
        self._shared.write_status()
        together = parallel.is_one_of_several()  # all must ask each other at the same steps
        alone = parallel.leaving_if_alone(PreemptedError.exit_code)
        with signals.held() as asked, alone:

            def settle(before: int, step: int) -> bool:
                return bool(self._due(before, step)) or together or asked()

            try:
                self._make_up(begin)
                if begin < self._stage.end:
                    self._shared.journal.say("compiling")
                for dispatch in self._stepper.dispatches(settle):
                    self._after(dispatch, first=dispatch.start == begin)
                    if dispatch.settled and parallel.any_process(asked()):
                        raise signals.preempted()
            except PreemptedError:
                self._leave()
            finally:
                self._shared.skipped = self._stepper.skipped
            self._last_save()
        return self._stepper.state

    def _due(self, before: int, step: int) -> set[str]:
        """Return what is due at a step: a multiple of its interval, or the stage's last step."""
        settings = self._stage.settings
        every = {
            "log": settings.log_every,
            "evaluate": settings.evaluate_every,
            "sample": settings.sample_every,
            "checkpoint": settings.checkpoint_every,
        }
        last = step == self._stage.end
        return {name for name, n in every.items() if step // n > before // n or last}

    def _after(self, dispatch: Dispatch, *, first: bool) -> None:
        """Take the metrics of a dispatch, and do what is due."""
        journal = self._shared.journal
        journal.add(dispatch.end, dispatch.metrics)
        self._shared.skipped = self._stepper.skipped
        for step in dispatch.skipped:
            journal.say(f"warning: step {step} was not finite and is left out")
        if first:
            journal.compiled()
        self._shared.unless_full(self._shared.checkpoints.check)
        due = self._due(dispatch.start, dispatch.end) if dispatch.settled else set()
        if {"log", "checkpoint"} & due:
            self._shared.status.trained(dispatch.end, journal.flush())
            self._shared.write_status()
        if "evaluate" in due:
            self._by_writer(self._evaluate)
        if "sample" in due:
            self._by_writer(self._draw)
        if "checkpoint" in due:
            self._save()
        if {"evaluate", "sample"} & due:
            journal.resume()

    def _make_up(self, begin: int) -> None:
        """Do what was due at the step the stage goes on from, and was cut short by a signal."""
        due = self._due(begin - 1, begin) if begin > self._stage.begin else set()
        owes = {
            "evaluate": begin not in self._shared.journal.validations,
            "sample": not self._picture_path(begin).exists(),
        }
        owed = {name for name in owes if name in due and self._writer_says(owes[name])}
        if "evaluate" in owed:
            self._by_writer(self._evaluate)
        if "sample" in owed:
            self._by_writer(self._draw)

    def _writer_says(self, condition: bool) -> bool:
        """Return what the writing process says, in every process."""
        return parallel.any_process(condition and parallel.is_writer())

    def _by_writer(self, act: Callable[[], None]) -> None:
        """Let one process do it; a signal may cut it short, unless others wait for it."""
        with nullcontext() if parallel.is_one_of_several() else signals.released():
            parallel.agreed(act if parallel.is_writer() else _nothing)

    def _evaluate(self) -> None:
        """Measure the validation split; the figures go to the journal and the scores."""
        state = parallel.local(self._stepper.state)
        signs = validate(self._stage.model, state, self._dataset)
        self._shared.journal.write("validation", signs)
        self._shared.checkpoints.scores[int(state.step)] = score(signs)
        taken = int(state.step) - self._stage.begin
        if taken < _START * self._stage.settings.steps:
            return  # a generator's first samples are grey: that is no collapse
        for line in alarms(signs):
            self._shared.journal.say(line)

    def _draw(self) -> None:
        """Write the picture of this step."""
        state = parallel.local(self._stepper.state)
        key = jax.random.key(0)  # the same latents at every step
        step = int(state.step)
        picture = gallery.progress(
            self._stage.model, evaluation_variables(state), self._dataset, key, f"step {step}"
        )
        path = self._picture_path(step)
        self._shared.unless_full(partial(images.save_png, path, picture))

    def _picture_path(self, step: int) -> Path:
        return self._shared.folder / "samples" / f"step_{step:08}.png"

    def _save(self) -> None:
        """Save a checkpoint in the background."""
        if self._shared.unless_full(self._commit):
            self._saved()

    def _commit(self) -> None:
        more = {"window": self._shared.journal.window(), "skipped": self._stepper.skipped}
        self._shared.checkpoints.save(self._stepper.state, self._record | more)

    def _saved(self) -> None:
        best = self._shared.checkpoints.best()
        self._shared.status.saved(int(self._stepper.state.step), best)

    def _last_save(self) -> None:
        """Save the state and wait for it: without this one the stage has failed."""
        checkpoints = self._shared.checkpoints
        try:
            checkpoints.wait()
        except StorageError as error:
            self._shared.journal.say(f"warning: {error}; once more")
        self._commit()
        checkpoints.wait()
        self._saved()

    def _leave(self) -> None:
        """Save the last finished step and say so."""
        self._last_save()
        raise signals.preempted(f"step {int(self._stepper.state.step)} is saved")


def _nothing() -> None:
    """Do nothing, where another process acts."""
