"""A run measured by its samples: those of its last checkpoint, and those of its best.

The best is the one, of those that the run kept, whose samples have the lowest kernel distance to
the validation split: games do not get better with every step.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgen.data import Dataset
from jaxgen.errors import CheckpointError
from jaxgen.evaluation import Record, generate
from jaxgen.evaluation.features import Extractor, extract
from jaxgen.evaluation.kernel import kernel_distance
from jaxgen.evaluation.neighbours import nearest
from jaxgen.evaluation.per_example import BATCH, per_example
from jaxgen.evaluation.real import real_examples
from jaxgen.evaluation.samples import measure_samples
from jaxgen.fields import target, values
from jaxgen.figures import gallery, images
from jaxgen.runs.best_effort import best_effort
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.folder import CHECKPOINTS
from jaxgen.runs.loaded import Run, load, locate
from jaxgen.typing import Batch, Key

_SHOWN = 32


def measure_checkpoints(
    runs: list[Run],
    dataset: Dataset,
    extractor: Extractor,
    *,
    split: str,
    seed: int,
) -> list[Record]:
    """Return the table of the samples of the last checkpoint and the best; draw neighbours.png.

    Args:
      runs: the run at each of its checkpoints, the newest first, as `kept_runs` returns them.
      dataset: of the run.
      extractor: of the features that examples are compared by.
      split: what samples are compared with.
      seed: of the samples.
    """
    last = runs[0]
    real = real_examples(dataset, split, name=target(last.model))
    if not np.isfinite(values(last.model).high):  # nor have its samples a bound
        real = replace(real, range=None)
    num = len(real.reference)
    samples = {run.step: draw_samples(run, dataset, num, seed) for run in runs}
    best = _best(runs, samples, dataset, extractor)

    def compared(run: Run, **arguments: Any) -> list[Record]:
        about = _about(run, steps=list(samples), best=best.step, seed=seed)
        protocol = (dataset.protocol(split), about)
        x = samples[run.step]
        return measure_samples(x, real, extractor, protocol=protocol, seed=seed, **arguments)

    table = compared(last)
    if best.step != last.step:
        table += compared(best, prefix="best/", floor=False)
    shape = dataset.fields[target(last.model)]
    if len(shape) == 3 and real.train is not None:
        picture = over_neighbours(samples[last.step][:_SHOWN], real.train, dataset)
        with best_effort():
            images.save_png(last.folder / "neighbours.png", picture)
    return table


def kept_runs(
    path: Path,
    newest: Run,
    classes: Iterable[type] = (),
) -> list[Run]:
    """Return the run at each of its whole checkpoints of the same stage, the newest first.

    A damaged checkpoint is a warning.

    Args:
      path: the run folder, or one step in its `checkpoints`, which then is the only one.
      newest: the run that `path` was loaded as.
      classes: as in `load`.
    """
    folder, only = locate(path)
    if only is not None:
        return [newest]
    with Checkpoints(folder / CHECKPOINTS, read_only=True) as checkpoints:
        steps = checkpoints.steps()
    stage = newest.experiment
    runs = []
    for step in steps:
        if step == newest.step:
            runs.append(newest)
            continue
        if stage.owner(step) is not stage:  # of the same model perhaps, but trained on other terms
            continue
        try:
            run = load(folder / CHECKPOINTS / str(step), classes, weights=newest.weights)
        except CheckpointError as error:
            warnings.warn(f"{error}; left out", stacklevel=2)
            continue
        if run.model == stage.model:
            runs.append(run)
    return runs


def draw_samples(
    run: Run,
    dataset: Dataset,
    num: int,
    seed: int,
) -> np.ndarray:
    """Return `num` samples in the model's space, in batches; of all classes alike, if given one.

    Classes are in no order, for some measures look at one part of the samples after another.
    """
    mixed = np.random.default_rng(seed).permutation(num)
    found = generate.conditions_of_samples(run.model, lambda: dataset, num)
    conditions = {name: value[mixed] for name, value in found.items()}

    def sample(batch: Batch, key: Key) -> dict[str, Any]:
        given = {name: batch[name] for name in conditions}
        return {"x": run.sample(key, num=BATCH, **given)}

    batch = {"number": np.arange(num), **conditions}
    samples = per_example(sample, batch, jax.random.key(seed))["x"]
    return np.asarray(samples, np.float32)


def over_neighbours(
    samples: np.ndarray,
    train: np.ndarray,
    dataset: Dataset,
) -> np.ndarray:
    """Draw each sample over its nearest training example, in the examples' own values."""
    flat_samples = samples.reshape(len(samples), -1)
    flat_train = train.reshape(len(train), -1)
    index, _ = nearest(flat_samples, flat_train)
    return gallery.paired(samples, train[index], dataset.record())


def _best(
    runs: list[Run],
    samples: Mapping[int, np.ndarray],
    dataset: Dataset,
    extractor: Extractor,
) -> Run:
    """Return the run whose samples have the lowest kernel distance to the validation split."""
    if len(runs) == 1:
        return runs[0]
    name = target(runs[0].model)
    num = len(samples[runs[0].step])
    validation, _ = extract(extractor, dataset.batch("validation", num)[name])

    def distance(run: Run) -> float:
        features, _ = extract(extractor, samples[run.step][: len(validation)])
        return kernel_distance(features, validation)[0]

    return min(runs, key=distance)


def _about(
    run: Run,
    *,
    steps: list[int],
    best: int,
    seed: int,
) -> str:
    """Return what the samples were drawn from, and why from there."""
    roles = ["last"] * (run.step == steps[0])
    seen = " (trained on)" if "validation" in run.experiment.data.train_on else ""
    roles += [f"best by kernel distance on validation{seen}"] * (run.step == best)
    kept = ", ".join(map(str, steps))
    why = f"{' and '.join(roles)} of the checkpoints kept ({kept})"
    if len(steps) == 1:
        why = "the one checkpoint looked at"
    return f"samples drawn with seed {seed} at {state_of(run)}, {why}, {precision_of(run)}"


def state_of(run: Run) -> str:
    """Return which of a run's variables were measured."""
    if not run.experiment.settings.ema_decay:
        return f"step {run.step}"
    which = "moving average" if run.weights == "average" else "parameters"
    return f"step {run.step}, {which}"


def precision_of(run: Run) -> str:
    """Return the precision that the run computes in."""
    return run.experiment.settings.precision
