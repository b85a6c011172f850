"""A run folder, loaded: the model, its variables, and the model's methods at those variables.

    run = jaxgen.load("runs/vae_digits")
    x = run.sample(jax.random.key(0), 64)

Loading executes no code from the folder: types named in it are looked up among the classes that
jaxgen exports and those that the caller passes.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

import jax

import jaxgen.autoregressive
import jaxgen.gan
import jaxgen.mixture
import jaxgen.nn
import jaxgen.observation
import jaxgen.vae
from jaxgen import data
from jaxgen.checkpoint import Checkpoints
from jaxgen.console import first_line
from jaxgen.data.split import SPLITS
from jaxgen.errors import CheckpointError, DataError
from jaxgen.experiment import Experiment, Settings, require_fit
from jaxgen.folder import CHECKPOINTS
from jaxgen.optimizer import Optimizer
from jaxgen.spec import class_table, from_json
from jaxgen.train import Variables, evaluation_variables

_PACKAGES = (
    *(jaxgen.nn, jaxgen.observation, jaxgen.mixture),
    *(jaxgen.autoregressive, jaxgen.vae, jaxgen.gan),
)
_METHODS = (
    *("sample", "log_prob", "elbo", "iwae", "log_weights", "terms"),
    *("encode", "decode", "reconstruct", "squared_error", "conditionals", "complete"),
)
_STATIC = ("num", "num_samples")
_DATA = {"transform": str, "levels": int, "sample_rate": int, "splits": dict}


@dataclass(frozen=True)
class Run:
    """A trained model at the newest whole checkpoint of a run.

    The model's methods are here without their first argument, compiled: `run.sample(key, num)`,
    `run.elbo(x, key)`, `run.encode(x)`, ... whichever the model has. `x` is in the model's space:
    `run.dataset().prepare(batch, key)` makes it from raw data.

    Attributes:
      folder: where it was loaded from.
      experiment: all settings.
      step: of the checkpoint.
      variables: the moving average if the run kept one, else the parameters themselves.
      data_record: name, transform, split sizes and hashes of the data it was trained on.
    """

    folder: Path
    experiment: Experiment
    step: int
    variables: Variables
    data_record: dict[str, Any]

    @property
    def model(self) -> Any:
        """The model."""
        return self.experiment.model

    def dataset(self) -> data.Dataset:
        """The data it was trained on. Raises DataError if they are not the same any more."""
        _require_settled(self.experiment.data)
        dataset = data.load(replace(self.experiment.data, download=False))
        require_fit(self.model, dataset)
        found, expected = dataset.record()["splits"], self.data_record.get("splits", {})
        for name, split in expected.items():
            if found.get(name) != split:
                raise DataError(
                    f"{self.experiment.data.name}: the {name} split is {found.get(name)}, "
                    f"but the run was made with {split}"
                )
        return dataset

    def protocol(self, split: str, *details: str) -> str:
        """One line that says how a number of this run was measured."""
        settings = self.experiment.settings
        state = f"step {self.step}" + (", moving average" if settings.ema_decay else "")
        return "; ".join([self.dataset().protocol(split), *details, state, settings.precision])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _METHODS:
            raise AttributeError(f"Run has no attribute {name!r}")
        if not hasattr(self.model, name):
            raise AttributeError(f"{type(self.model).__name__} has no {name}")
        return partial(_compiled(self.model, name), self.variables)


def load(path: str | os.PathLike[str], classes: Iterable[type] = ()) -> Run:
    """Loads a run from its folder, wherever it is now.

    Args:
      path: the run folder, its `checkpoints`, or one step in there.
      classes: your own model or network classes that the run's spec names.

    Raises:
      CheckpointError: no run there, or no whole checkpoint.
    """
    folder, step = locate(Path(path))
    table = known_classes(classes)
    with Checkpoints(folder / CHECKPOINTS, read_only=True) as checkpoints:
        records: dict[int, dict[str, Any]] = {}
        target = partial(_target, checkpoints, table, records)
        state = checkpoints.restore_newest(target, only=step)
        if state is None:
            raise CheckpointError(f"{folder}: no checkpoint yet; train it first")
    record = records[int(state.step)]
    experiment = from_json(record["experiment"], table)
    return Run(folder, experiment, int(state.step), evaluation_variables(state), record["data"])


def known_classes(extra: Iterable[type] = ()) -> dict[str, type]:
    """The classes that a spec may name: what jaxgen exports, and `extra`."""
    exported = (getattr(package, name) for package in _PACKAGES for name in package.__all__)
    classes = [item for item in exported if isinstance(item, type)]
    return class_table([*classes, Experiment, Settings, data.Data, Optimizer, *extra])


def locate(path: Path) -> tuple[Path, int | None]:
    """(run folder, step or None) for a path to a run, its checkpoints or one step of them.

    Raises:
      CheckpointError: it is none of these.
    """
    path = path.resolve()
    if (path / CHECKPOINTS).is_symlink():
        raise CheckpointError(f"{path / CHECKPOINTS}: a link; give the folder that it leads to")
    if (path / CHECKPOINTS).is_dir():
        return path, None
    if path.name == CHECKPOINTS and path.is_dir():
        return path.parent, None
    if path.parent.name == CHECKPOINTS and path.name.isdigit() and path.is_dir():
        return path.parent.parent, int(path.name)
    raise CheckpointError(
        f"{path}: no run here (a run folder holds '{CHECKPOINTS}').\n"
        "Try: python -m experiments.vae_digits --workdir runs/vae_digits"
    )


def _target(checkpoints, table, records, step):
    """The state expected at a step, from the experiment recorded in it; keeps the record."""
    record = records[step] = checkpoints.record(step)
    try:
        experiment = from_json(record.get("experiment"), table)
        if not isinstance(experiment, Experiment):
            raise CheckpointError("spec: no experiment")
        _require_data(record.get("data"))
        return experiment.abstract_state()
    except Exception as error:  # what a model makes of a damaged spec
        raise CheckpointError(f"{checkpoints.folder}/{step}: {first_line(error)}") from error


def _require_data(record):
    """What a record says of its data is as `Dataset.record` says it, as far as it is there."""
    if not isinstance(record, dict):
        raise CheckpointError("data: no object")
    for name, kind in _DATA.items():
        if not isinstance(record.get(name), kind | None):
            raise CheckpointError(f"data.{name}: got {repr(record[name])[:80]}")
    splits = record.get("splits") or {}
    if not set(splits) <= set(SPLITS) or not all(isinstance(x, dict) for x in splits.values()):
        raise CheckpointError(f"data.splits: expected an object for each of {', '.join(SPLITS)}")


def _require_settled(config):
    """A path in a record is absolute, as it was written, and leads to files, not to a device."""
    path = Path(config.name)
    if config.name.startswith(("~", ".")) or ".." in path.parts:
        raise DataError(f"--data.name {config.name}: not a path that a run records")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"--data.name {config.name}: neither a file nor a folder")
    if config.dir is not None and not Path(config.dir).is_absolute():
        raise DataError(f"--data.dir {config.dir}: not a path that a run records")


@lru_cache(maxsize=64)
def _compiled(model, name):
    method = getattr(model, name)
    static = [name for name in _STATIC if name in signature(method).parameters]
    return jax.jit(method, static_argnames=static)
