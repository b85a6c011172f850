"""The numbers of a run: of its likelihood, or of its samples if it can do nothing else.

Of samples the last checkpoint is measured, and of those that the run kept also the one whose
samples have the lowest kernel distance to the validation split: games do not get better with every
step. The classifier whose features compare the examples is trained once and kept in the run folder.
"""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgen import data, gallery, pictures
from jaxgen.checkpoint import Checkpoints
from jaxgen.data import Dataset
from jaxgen.data.split import content_hash
from jaxgen.errors import CheckpointError
from jaxgen.evaluation import Record, classifier, measure, records
from jaxgen.evaluation.features import Extractor, extract, raw_values
from jaxgen.evaluation.kernel import kernel_distance
from jaxgen.evaluation.likelihood import BATCH, per_example
from jaxgen.evaluation.neighbours import nearest
from jaxgen.evaluation.samples import MAX_EXAMPLES, MAX_TRAIN, measure_samples, real_examples
from jaxgen.files import read_json, read_npz, write_json, write_npz
from jaxgen.folder import CHECKPOINTS
from jaxgen.run import Run, load, locate
from jaxgen.seal import named_leaves
from jaxgen.spec import to_json

SEED = 0  # of the classifier, the same for all runs on the same data
_SHOWN = 32
_SAYS_MORE = ("log_prob", "log_weights", "squared_error")


def only_samples(model: Any) -> bool:
    """Whether samples are all that there is to measure."""
    return hasattr(model, "sample") and not any(hasattr(model, name) for name in _SAYS_MORE)


def measure_likelihood(
    run: Run, *, split: str, num_samples: int, seed: int, how: str | None = None
) -> list[Record]:
    """The table of a model that can say something of an example.

    Args:
      run: with its variables.
      split: of the examples.
      num_samples: importance samples per example, for a model with a bound.
      seed: of the draws.
      how: for the protocol, in the place of the draws.
    """
    how = how or f"{num_samples} draws per example, seed {seed}"
    dataset = run.dataset()
    fields = dataset.batch(split)
    x, key = fields.pop("image"), jax.random.key(seed)
    found = measure(run.model, run.variables, x, key, num_samples=num_samples, fields=fields)
    return records(
        found,
        num_samples=num_samples,
        split=split,
        protocol=run.protocol(split, how),
        bits_per_dim=dataset.bits_per_dim,
    )


def measure_checkpoints(
    path: Path, *, split: str = "test", seed: int = 0, classes: Iterable[type] = ()
) -> list[Record]:
    """The table of the samples of the last checkpoint and of the best; writes neighbours.png.

    Args:
      path: the run folder, or one step in its `checkpoints`, which then is the only one measured.
      split: what samples are compared with.
      seed: of the samples.
      classes: as in `run.load`.

    Raises what `load` and `real_examples` raise; StorageError if the folder cannot be written.
    """
    runs = kept_runs(path, classes)
    last, dataset = runs[0], runs[0].dataset()
    extractor = known_extractor(last.folder, dataset)
    real = real_examples(dataset, split)
    drawn = {run.step: draw(run, len(real.reference), seed) for run in runs}
    best = _best(runs, drawn, dataset, extractor)
    about = partial(_about, steps=list(drawn), best=best.step, seed=seed)
    compare = partial(measure_samples, real=real, extractor=extractor, seed=seed)
    table = compare(drawn[last.step], protocol=(dataset.protocol(split), about(last)))
    if best.step != last.step:
        protocol = (dataset.protocol(split), about(best))
        table += compare(drawn[best.step], protocol=protocol, prefix="best/", floor=False)
    if getattr(last.model, "num_labels", 0):
        labelled = partial(measure_likelihood, last, split=split, num_samples=1, seed=seed)
        table = labelled(how="the class of largest probability") + table
    if len(dataset.shape) == 3 and real.train is not None:
        picture = over_neighbours(drawn[last.step][:_SHOWN], real.train, dataset)
        pictures.save_png(last.folder / "neighbours.png", picture)
    return table


def kept_runs(path: Path, classes: Iterable[type] = ()) -> list[Run]:
    """The run at each of its whole checkpoints, the newest first.

    Raises CheckpointError if there is none; a damaged one beside others is a warning.
    """
    folder, only = locate(path)
    with Checkpoints(folder / CHECKPOINTS, read_only=True) as checkpoints:
        steps = checkpoints.steps() if only is None else [only]
    runs = []
    for step in steps:
        try:
            runs.append(load(folder / CHECKPOINTS / str(step), classes))
        except CheckpointError as error:
            warnings.warn(f"{error}; left out", stacklevel=2)
    return runs or [load(path, classes)]  # raises


def draw(run: Run, num: int, seed: int) -> np.ndarray:
    """`num` samples in the model's space, in batches; of all classes alike, if it is given one.

    Classes are in no order, for some measures look at one part of the samples after another.
    """
    mixed = np.random.default_rng(seed).permutation(num)
    condition = gallery.conditions(run.model, run.dataset, num)
    condition = {name: value[mixed] for name, value in condition.items()}

    def sample(batch, key):
        given = {name: batch[name] for name in condition}
        return {"image": run.sample(key, num=BATCH, **given)}

    batch = {"number": np.arange(num), **condition}
    return np.asarray(per_example(sample, batch, jax.random.key(seed))["image"], np.float32)


def known_extractor(folder: Path, dataset: Dataset) -> Extractor:
    """The features of the classifier of these data; raw values where there are no two classes."""
    if (dataset.num_classes or 1) < 2:
        extractor = raw_values(dataset.shape)
        return replace(extractor, description=f"{extractor.description}, for want of labels")
    return known_classifier(folder, dataset).extractor()


def known_classifier(folder: Path, dataset: Dataset) -> classifier.Trained:
    """The classifier in the folder if it is one of these data, else a new one, kept there.

    It is trained on all labels, also where the run's model was given few of them.
    """
    dataset = data.load(replace(dataset.config, labels=None))
    train = dataset.batch("train", MAX_TRAIN)
    model = classifier.for_examples(train["image"], dataset.num_classes)
    source = f"{len(train['image'])} {dataset.config.train_on} examples"
    recipe = {"model": to_json(model), "data": dataset.record()}
    recipe |= {"steps": classifier.STEPS, "seed": SEED}
    record, arrays = _read(folder)
    if record.get("recipe") == recipe and _fits(model, record, arrays):
        variables = classifier.variables_of(arrays)
        return classifier.Trained(model, variables, record["accuracy"], source)
    test = dataset.batch("test", MAX_EXAMPLES)
    trained = classifier.train(model, train, test, source, steps=classifier.STEPS, seed=SEED)
    write_npz(folder / "classifier.npz", classifier.parameters(trained.variables))
    record = {"accuracy": trained.accuracy, "sha256": trained.sha256, "recipe": recipe}
    write_json(folder / "classifier.json", record)
    return trained


def over_neighbours(samples: np.ndarray, train: np.ndarray, dataset: Dataset) -> np.ndarray:
    """A picture of each sample over its nearest training example, in the examples' own values."""
    index, _ = nearest(samples.reshape(len(samples), -1), train.reshape(len(train), -1))
    return gallery.paired(samples, train[index], dataset.record())


def _best(runs, drawn, dataset, extractor):
    """The run whose samples have the lowest kernel distance to the validation split."""
    if len(runs) == 1:
        return runs[0]
    validation, _ = extract(extractor, dataset.examples("validation", len(drawn[runs[0].step])))

    def distance(run):
        features, _ = extract(extractor, drawn[run.step][: len(validation)])
        return kernel_distance(features, validation)[0]

    return min(runs, key=distance)


def _about(run, *, steps, best, seed):
    """What the samples were drawn from, and why from there."""
    settings = run.experiment.settings
    state = f"step {run.step}" + (", moving average" if settings.ema_decay else "")
    roles = ["last"] * (run.step == steps[0])
    roles += ["best by kernel distance on validation"] * (run.step == best)
    why = f"{' and '.join(roles)} of the checkpoints kept ({', '.join(map(str, steps))})"
    why = why if len(steps) > 1 else "the one checkpoint looked at"
    return f"samples drawn with seed {seed} at {state}, {why}, {settings.precision}"


def _fits(model, record, arrays):
    """Whether these are the arrays of the record, and a classifier's of this architecture."""
    expected = named_leaves(jax.eval_shape(model.init, jax.random.key(0)))
    found, due = ({k: (x.shape, x.dtype) for k, x in t.items()} for t in (arrays, expected))
    known = isinstance(record.get("accuracy"), float) and 0 <= record["accuracy"] <= 1
    return found == due and known and record.get("sha256") == content_hash(arrays)


def _read(folder):
    """(record, arrays) of a classifier in the folder; empty where there is none that is whole."""
    try:
        return read_json(folder / "classifier.json"), read_npz(folder / "classifier.npz")
    except CheckpointError:
        return {}, {}
