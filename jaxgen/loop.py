"""The training loop: where data, steps, metrics, pictures and checkpoints meet.

    run(experiment, workdir)

Started again in the same folder it goes on from the newest checkpoint, bit for bit: the state holds
its own key, a batch is a function of (seed, step), and dispatches end at steps that depend on the
settings alone.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxgen import data, gallery, parallel, pictures
from jaxgen.checkpoint import Checkpoints
from jaxgen.data import Dataset, Split
from jaxgen.evaluation import mean_and_error, measure
from jaxgen.evaluation.guard import alarms, vital_signs, watches
from jaxgen.experiment import Experiment, Settings, require_fit
from jaxgen.folder import CHECKPOINTS, describe, open_folder
from jaxgen.journal import Journal
from jaxgen.train import Metrics, TrainState, evaluation_variables, train_step

VALIDATION_SAMPLES = 20  # importance samples per example while training
_VALIDATION_EXAMPLES = 1000


def run(
    experiment: Experiment,
    workdir: str | os.PathLike[str],
    *,
    recipe: str = "",
    command: str = "",
    tensorboard: bool = False,
) -> TrainState:
    """Trains up to `settings.steps` and returns the state.

    Args:
      experiment: what to train.
      workdir: the run folder; made, or continued if it holds the same experiment.
      recipe: its name, for the record.
      command: how to repeat it, for the record.
      tensorboard: write event files too.

    Raises:
      ConfigError: the folder holds another experiment, or the batch cannot be shared out.
      DataError: the data are missing, damaged or not those that the folder's run began with.
      CheckpointError: the folder has checkpoints and none is whole.
      NonFiniteError: a metric is not finite; the last good checkpoint stays.
      StorageError: the disk refused a file.
    """
    settings = experiment.settings
    mesh = parallel.device_mesh()
    parallel.require_divisible(settings.batch_size, mesh.size)
    experiment = replace(experiment, data=data.resolved(experiment.data))
    dataset = data.load(experiment.data)
    require_fit(experiment.model, dataset)
    folder = Path(workdir)
    record = open_folder(folder, experiment, dataset)
    with Checkpoints(folder / CHECKPOINTS) as checkpoints:
        state = _first_state(experiment, checkpoints, mesh)
        begin = int(state.step)
        if begin < settings.steps:
            describe(folder, record, recipe, command)
        journal = Journal(folder, settings, begin=begin, tensorboard=tensorboard)
        with journal:
            journal.say(_opening(folder, settings, begin, mesh))
            if begin < settings.steps:
                journal.say("compiling")
            dispatches = _train(experiment, dataset, mesh, state)
            for state, metrics, before, step in dispatches:
                journal.add(step, metrics)
                if before == begin:
                    journal.compiled()
                due = partial(_due, before, step, settings.steps)
                if due(settings.log_every) or due(settings.checkpoint_every):
                    journal.flush()
                if due(settings.evaluate_every):
                    signs = validate(experiment.model, state, dataset)
                    journal.write("validation", signs)
                    for line in alarms(signs):
                        journal.say(line)
                if due(settings.sample_every):
                    picture = _picture(experiment.model, state, dataset, step)
                    pictures.save_png(folder / "samples" / f"step_{step:08}.png", picture)
                if due(settings.checkpoint_every):
                    checkpoints.save(state, record)
                if due(settings.evaluate_every) or due(settings.sample_every):
                    journal.resume()
    return state


def validate(model: Any, state: TrainState, dataset: Dataset) -> dict[str, float]:
    """Means over (at most 1000 examples of) the validation split, of what the model can say."""
    fields = dataset.batch("validation", _VALIDATION_EXAMPLES)
    x, key, variables = fields.pop("image"), jax.random.key(0), evaluation_variables(state)
    found = measure(model, variables, x, key, num_samples=VALIDATION_SAMPLES, fields=fields)
    found.pop("code", None)
    if "iwae" in found:
        found[f"iwae_{VALIDATION_SAMPLES}"] = found.pop("iwae")
    values = {name: mean_and_error(each)[0] for name, each in found.items()}
    if "gap" in found:
        values["gap_standard_error"] = mean_and_error(found["gap"])[1]
    if watches(model):
        values |= vital_signs(model, variables, x, key)
    return {name: round(value, 7) for name, value in values.items()}


def _picture(model, state, dataset, step):
    key = jax.random.key(0)  # the same latents at every step
    return gallery.progress(model, evaluation_variables(state), dataset, key, f"step {step}")


def _opening(folder, settings, begin, mesh):
    """The first line of a run."""
    if begin >= settings.steps:
        return f"{folder}: finished, at step {begin}. Try: jaxgen report {folder}"
    devices = f"{mesh.size} {mesh.devices.flat[0].platform} device{'s' if mesh.size > 1 else ''}"
    what = f"going on from step {begin}" if begin else "training"
    return f"{folder}: {what}, {settings.steps} steps of {settings.batch_size} on {devices}"


def _due(before, step, last, every):
    """Whether a multiple of `every`, or the last step, lies in (before, step]."""
    return step // every > before // every or step == last


def _first_state(experiment: Experiment, checkpoints: Checkpoints, mesh: Mesh) -> TrainState:
    """The newest whole checkpoint on the mesh, or a fresh state."""
    target = experiment.abstract_state()
    state = checkpoints.restore_newest(lambda step: target)
    if state is None:
        state = jax.jit(experiment.fresh_state)(jax.random.key(experiment.settings.seed))
    return parallel.replicate(state, mesh)


def _train(
    experiment: Experiment, dataset: Dataset, mesh: Mesh, state: TrainState
) -> Iterator[tuple[TrainState, Metrics, int, int]]:
    """Dispatches up to the last step: (state, metrics [K], step before, step after) for each."""
    settings, split = experiment.settings, dataset.splits["train"]
    step = partial(
        train_step,
        experiment.players(),
        order=experiment.order,
        ema_decay=settings.ema_decay,
        prepare=dataset.prepare,
    )
    dispatch = parallel.jit_steps(step, mesh, resident=split.resident is not None)
    arrays = parallel.replicate(dict(split.resident or {}), mesh)
    plan = list(_plan(settings, int(state.step), parallel.steps_per_dispatch(state.variables)))
    with closing(_items(split, settings, plan)) as items:
        for (start, num), item in zip(plan, items, strict=True):
            state, metrics = dispatch(state, arrays, item)
            yield state, metrics, start, start + num


def _plan(settings: Settings, step: int, longest: int) -> Iterator[tuple[int, int]]:
    """(first step, number of steps) of each dispatch: ends wherever something is due.

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
    while step < settings.steps:
        end = min(settings.steps, *((step // n + 1) * n for n in every))
        yield step, end - step
        step = end


def _items(
    split: Split, settings: Settings, plan: list[tuple[int, int]]
) -> Iterator[np.ndarray | dict[str, np.ndarray]]:
    """What each dispatch takes in: indices [K, B], or batches {name: [K, B, ...]}."""
    if split.resident is None:
        yield from data.stream(split, settings.seed, settings.batch_size, plan)
        return
    for start, num in plan:
        yield data.chunk_indices(settings.seed, start, num, settings.batch_size, split.num)
