"""The numbers of a run: by the table of measures, and by its samples where nothing is in nats.

The classifier whose features compare samples with real examples is trained once and kept in the run
folder.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgen import data
from jaxgen.data import Dataset
from jaxgen.data.split import content_hash
from jaxgen.errors import CheckpointError, ConfigError
from jaxgen.evaluation import Record, classifier, ladder, measure, measures
from jaxgen.evaluation.features import Extractor, raw_values
from jaxgen.evaluation.real import MAX_EXAMPLES, MAX_TRAIN
from jaxgen.experiment.spec import to_json, types_in
from jaxgen.fields import IMAGE, target
from jaxgen.files import read_json, read_npz, write_json, write_npz
from jaxgen.runs.best_effort import best_effort
from jaxgen.runs.by_samples import kept_runs, measure_checkpoints, precision_of, state_of
from jaxgen.runs.checksums import named_leaves
from jaxgen.runs.loaded import Run, load
from jaxgen.state import Weights

OTHER = "other"  # the field of the second of two unpaired sources
SEED = 0  # of the classifier, the same for all runs on the same data


def evaluate(
    path: Path | Run,
    *,
    split: str = "test",
    num_samples: int = 500,
    seed: int = 0,
    classes: Iterable[type] = (),
    weights: Weights | None = None,
) -> tuple[Run, list[Record]]:
    """Return the run and the table of its numbers; of a model that samples, draw neighbours.png.

    Args:
      path: the run folder, or one step in its `checkpoints`, which then is the only one measured;
        or a run, of which no later checkpoint is measured.
      split: of the examples, and what samples are compared with.
      num_samples: draws per example, for a model with a bound.
      seed: of all draws.
      classes: as in `load`; of a run its own are known.
      weights: as in `load`; a run has its own.

    Raises:
      ConfigError: the model has nothing to measure, or the split cannot be used.
      CheckpointError, DataError: as `load` and `Run.dataset` raise them.
    """
    own = tuple(classes)
    if isinstance(path, Run):
        run = path
        measured = run.folder
        own = tuple(types_in(run.experiment))
    else:
        run = load(path, own, weights=weights)
        measured = path
    dataset = run.dataset()
    rows = measures.applicable(run.model, dataset.batch(split, 1))
    by_samples = measures.by_samples(run.model, rows)
    if not rows and not by_samples:
        raise ConfigError(f"{type(run.model).__name__} has nothing that could be measured")
    table = []
    if rows:
        table += measure_examples(run, dataset, split=split, num_samples=num_samples, seed=seed)
    if by_samples:
        runs = [kept for kept in kept_runs(measured, run, own) if kept.step <= run.step]
        extractor = known_extractor(run.folder, dataset, target(run.model))
        table += measure_checkpoints(runs, dataset, extractor, split=split, seed=seed)
    return run, table


def measure_ladder(run: Run, *, num_samples: int, seed: int) -> list[Record]:
    """Return the bounds of log p(x) from both sides, on examples that the model makes.

    Args:
      run: with its variables.
      num_samples: importance samples of an example.
      seed: of the draws.

    Raises ConfigError where the model has no decoder's likelihood.
    """
    if not isinstance(run.model, ladder.Decoded):
        name = type(run.model).__name__
        raise ConfigError(f"--ladder: {name} has no p(x | z), which the bounds are made of")
    return ladder.records(
        run.model, run.variables, seed=seed, num_samples=num_samples, about=state_of(run)
    )


def measure_examples(
    run: Run,
    dataset: Dataset,
    *,
    split: str,
    num_samples: int,
    seed: int,
) -> list[Record]:
    """Return the table of what the model says of each example.

    Args:
      run: with its variables.
      dataset: of the run.
      split: of the examples.
      num_samples: draws per example, for a model with a bound.
      seed: of the draws.
    """
    key = jax.random.key(seed)
    batch = dataset.batch(split)
    measured = measure(run.model, run.variables, batch, key, num_samples=num_samples)

    def protocol(how: str) -> str:
        return "; ".join([dataset.protocol(split), how, state_of(run), precision_of(run)])

    return measured.records(
        split=split, protocol=protocol, seed=seed, bits_per_dim=dataset.bits_per_dim
    )


def known_extractor(folder: Path, dataset: Dataset, name: str = IMAGE) -> Extractor:
    """Return the features of a classifier of the field; raw values where there are no two classes.

    The second of two unpaired sources has labels of its own: those beside it are the first one's.
    """
    if name == OTHER and dataset.other is not None:
        dataset = dataset.other
        name = IMAGE
    labelled = all(_labels_known(dataset, split) for split in ("train", "test"))
    if (dataset.num_classes or 1) < 2 or not labelled:
        extractor = raw_values(dataset.fields[name])
        return replace(extractor, description=f"{extractor.description}, for want of labels")
    return known_classifier(folder, dataset, name).extractor()


def _labels_known(dataset: Dataset, split: str) -> bool:
    """Return whether some label of a split is known, which `--data.labels` does not matter for."""
    if dataset.config.labels is not None:  # the labels that it took away are known
        return True
    num = dataset.splits[split].num
    return num is None or dataset.unknown.get(split, 0) < num


def known_classifier(folder: Path, dataset: Dataset, name: str = IMAGE) -> classifier.Trained:
    """Return the classifier in the folder if it is one of these data, else train one and keep it.

    It is trained on all labels, also where the run's model was given few of them.

    Args:
      folder: the run folder.
      dataset: of the run.
      name: the field that is classified.
    """
    if dataset.config.labels is not None:
        dataset = data.load(replace(dataset.config, labels=None))
    train = _labelled(dataset, "train", MAX_TRAIN, name)
    model = classifier.for_examples(train[IMAGE], dataset.num_classes or 0)
    source = f"{len(train[IMAGE])} {dataset.config.train_on} examples"
    # Numbers were learnt, not names: classifiers of before know no names.
    numbered = replace(dataset, class_names=None).record()
    recipe: dict[str, Any] = {"model": to_json(model), "data": numbered}
    recipe |= {"steps": classifier.STEPS, "seed": SEED}
    if name != IMAGE:  # records of before have no field
        recipe["field"] = name
    if (dataset.splits["train"].num or 0) > MAX_TRAIN:  # records of before: of the first ones
        recipe["examples"] = "at random"
    record, arrays = _read(folder)
    if record.get("recipe") == recipe and _fits(model, record, arrays):
        variables = classifier.variables_of(arrays)
        return classifier.Trained(model, variables, record["accuracy"], source)
    test = _labelled(dataset, "test", MAX_EXAMPLES, name)
    trained = classifier.train(model, train, test, source, steps=classifier.STEPS, seed=SEED)
    record = {"accuracy": trained.accuracy, "sha256": trained.sha256, "recipe": recipe}
    with best_effort():
        write_npz(folder / "classifier.npz", classifier.parameters(trained.variables))
        write_json(folder / "classifier.json", record)
    return trained


def _labelled(
    dataset: Dataset,
    split: str,
    num: int,
    name: str,
) -> dict[str, np.ndarray]:
    """Return a field and its labels, under the names that the classifier knows.

    Examples are those of a sample where there are more than `num`.
    """
    few = (dataset.splits[split].num or 0) <= num
    batch = dataset.batch(split, None if few else num)
    return {IMAGE: batch[name], "label": batch["label"]}


def _fits(
    model: classifier.Classifier,
    record: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> bool:
    """Return whether these are the record's arrays, and a classifier's of this architecture."""
    expected = named_leaves(jax.eval_shape(model.init, jax.random.key(0)))
    due = {name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    accuracy = record.get("accuracy")
    known = isinstance(accuracy, float) and 0 <= accuracy <= 1
    return found == due and known and record.get("sha256") == content_hash(arrays)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return record and arrays of a classifier in the folder; empty where none is whole."""
    try:
        return read_json(folder / "classifier.json"), read_npz(folder / "classifier.npz")
    except CheckpointError:
        return {}, {}
