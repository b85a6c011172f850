"""Steps over the data: dispatch after dispatch, none of which may put a NaN into the state.

A dispatch that would is not taken (`parallel.jit_steps`). Its steps are then taken one by one, to
find the one to blame; it ends the run, or is skipped, as `OnNaN` says.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxgen import data, parallel
from jaxgen.data import Dataset
from jaxgen.errors import ConfigError, NonFiniteError
from jaxgen.experiment import Experiment, Settings
from jaxgen.loop import nonfinite
from jaxgen.step import TrainState, train_step
from jaxgen.typing import Array


@dataclass(frozen=True)
class OnNaN:
    """The choice about a step with a NaN or an infinity.

    Attributes:
      skip: how many may be left out before the run stops; 0: it stops at the first.
    """

    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> "OnNaN":
        """Return what 'stop' or 'skip:K' says. Raises ConfigError for another text."""
        word, colon, number = text.partition(":")
        if text == "stop":
            return cls()
        if word == "skip" and colon and number.isdecimal() and len(number) < 10 and int(number):
            return cls(int(number))
        raise ConfigError(f"--on-nan: got {text!r}, expected stop or skip:K with K >= 1")


@dataclass(frozen=True)
class Dispatch:
    """The result of one dispatch.

    Attributes:
      start: the step before it.
      end: the step after it.
      metrics: {name: [K]}, of the steps that were taken; {} if there were none.
      settled: whether the stepper's state is that after it, with nothing in flight.
      skipped: the steps that were left out.
    """

    start: int
    end: int
    metrics: Mapping[str, Array]
    settled: bool
    skipped: tuple[int, ...] = ()


class Stepper:
    """Takes the steps of an experiment.

    Args:
      experiment: what to train.
      dataset: on what.
      mesh: the devices.
      state: where to begin; it is donated.
      on_nan: see `OnNaN`.
      skipped: steps left out by earlier processes.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        mesh: Mesh,
        state: TrainState,
        *,
        on_nan: OnNaN,
        skipped: int,
    ):
        self.state = state
        self.skipped = skipped
        self._experiment = experiment
        self._mesh = mesh
        self._on_nan = on_nan
        self._split = dataset.splits["train"]
        self._prepare = dataset.prepare
        self._levels = dataset.levels
        self._step = partial(
            train_step,
            experiment.players(),
            order=experiment.order,
            ema_decay=experiment.settings.ema_decay,
            begin=experiment.begin,
            prepare=dataset.prepare,
        )
        self._resident = self._split.resident is not None
        self._take = parallel.jit_steps(self._step, mesh, resident=self._resident, guard=True)
        self._data = parallel.replicate(dict(self._split.resident or {}), mesh)

    def dispatches(self, settle: Callable[[int, int], bool]) -> Iterator[Dispatch]:
        """Yield all up to the last step; one may be in flight but after those `settle` names.

        It is asked before a dispatch is made, about the one in flight, and after it was made.

        Raises:
          NonFiniteError: names the step, what is not finite, and where; has the batch.
        """
        settings = self._experiment.settings
        longest = parallel.steps_per_dispatch(self.state.variables)
        begin = int(self.state.step)
        plan = list(_plan(settings, begin, self._experiment.end, longest))
        last = None  # (start, items, metrics) of the one that is not looked at yet
        with closing(_items(self._split, settings, plan)) as items:
            for (start, num), item in zip(plan, items, strict=True):
                if last is not None and settle(last[0], start):  # asked to leave meanwhile
                    yield self._settled(*last, end=start)[0]
                    last = None
                metrics = self._taken(item, start)
                if last is not None:
                    done, clean = self._settled(*last, end=start, settled=False)
                    if not clean:  # then this one was out of turn
                        metrics = self._taken(item, start)
                    yield done
                last = (start, item, metrics)
                if settle(start, start + num):
                    yield self._settled(*last, end=start + num)[0]
                    last = None

    def _taken(self, item: Any, start: int) -> Mapping[str, Array]:
        """Take the steps of a dispatch, or none of them; return their metrics, in flight."""
        item = parallel.shard(item, self._mesh)
        self.state, metrics = self._take(self.state, self._data, item, start)
        return metrics

    def _settled(
        self,
        start: int,
        item: Any,
        metrics: Mapping[str, Array],
        *,
        end: int,
        settled: bool = True,
    ) -> tuple[Dispatch, bool]:
        """Return the dispatch, once it has ended, and whether it was taken as a whole."""
        if bool(np.asarray(metrics["finite"]).all()):
            taken = {name: values for name, values in metrics.items() if name != "finite"}
            return Dispatch(start, end, taken, settled), True
        alone, skipped = self._one_by_one(start, item)
        return Dispatch(start, end, alone, settled, skipped), False

    def _one_by_one(self, start: int, item: Any) -> tuple[Mapping[str, Array], tuple[int, ...]]:
        """Take the steps of a dispatch alone; what is not finite is skipped, or raises."""
        parts = []
        skipped = []
        for i in range(jax.tree.leaves(item)[0].shape[0]):
            alone = jax.tree.map(lambda x, i=i: np.asarray(x)[i : i + 1], item)
            metrics = dict(self._taken(alone, start + i))
            if np.asarray(metrics.pop("finite")).all():
                parts.append(metrics)
                continue
            if self.skipped >= self._on_nan.skip:
                raise self._explained(start + i, alone)
            self.skipped += 1
            skipped.append(start + i + 1)
            step = parallel.replicate(np.int32(start + i + 1), self._mesh)
            self.state = self.state.replace(step=step)
        names = parts[0] if parts else {}
        joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
        return joined, tuple(skipped)

    def _explained(self, step: int, item: Any) -> NonFiniteError:
        """Return the error that names the step, what is not finite, and where."""
        item = jax.tree.map(lambda x: np.asarray(x)[0], item)
        take = self._split.take
        batch = dict(take(item)) if self._resident and take is not None else item
        why = nonfinite.explain(self._step, parallel.local(self.state), batch)
        text = f"step {step + 1}: {why}."
        if self.skipped:
            text = f"step {step + 1}, after {self.skipped} skipped: {why}."
        prepared = self._prepare(batch, jax.random.key(0))
        cause, hint = nonfinite.remedy(self._experiment.model, prepared, self._levels)
        return NonFiniteError(
            f"{text} {cause}The last checkpoint is kept.\nTry: {hint}", step=step, batch=batch
        )


def _plan(settings: Settings, step: int, last: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yield (first step, number of steps) of each dispatch, which ends where something is due.

    The ends depend on the settings alone, not on where a process began, so that a resumed run
    makes the same dispatches.
    """
    every = (
        longest,
        settings.log_every,
        settings.evaluate_every,
        settings.sample_every,
        settings.checkpoint_every,
    )
    while step < last:
        end = min(last, *((step // n + 1) * n for n in every))
        yield step, end - step
        step = end


def _items(
    split: data.Split,
    settings: Settings,
    plan: list[tuple[int, int]],
) -> Generator[Any, None, None]:
    """Yield what each dispatch takes in: indices [K, B], or batches {name: [K, B, ...]}."""
    if split.resident is None or split.num is None:
        yield from data.stream(split, settings.seed, settings.batch_size, plan)
        return
    for start, num in plan:
        yield data.chunk_indices(settings.seed, start, num, settings.batch_size, split.num)
