"""A run folder, loaded: the model, its variables, and the model's methods at those variables.

    run = jaxgen.load("runs/vae_digits")
    x = run.sample(jax.random.key(0), 64)

Loading executes no code from the folder: types named in it are looked up among the classes that
jaxgen exports and those that the caller passes.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

import jaxgen.autoregressive
import jaxgen.diffusion
import jaxgen.distributions
import jaxgen.energy
import jaxgen.flow
import jaxgen.gan
import jaxgen.nn
import jaxgen.vae
from jaxgen import data
from jaxgen.data.split import SPLITS
from jaxgen.errors import CheckpointError, ConfigError, DataError, first_line
from jaxgen.experiment import Experiment, Settings, require_fit
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.experiment.spec import class_table, from_json
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.folder import CHECKPOINTS
from jaxgen.runs.methods import called, is_offered
from jaxgen.state import TrainState, Weights, evaluation_variables
from jaxgen.typing import Variables

_PACKAGES = (
    jaxgen.distributions,
    jaxgen.nn,
    jaxgen.autoregressive,
    jaxgen.vae,
    jaxgen.gan,
    jaxgen.energy,
    jaxgen.flow,
    jaxgen.diffusion,
)
_FORM = ("levels", "transform", "threshold", "derive")  # of an example, in a record
_DATA = {"transform": str, "levels": int, "sample_rate": int, "splits": dict}

Examples = str | os.PathLike[str] | data.Data | data.Dataset | ArrayLike | Mapping[str, ArrayLike]


@dataclass(frozen=True, repr=False)
class Run:
    """A trained model at the newest whole checkpoint of a run.

    The model's methods are here without their first argument, compiled: `run.sample(key, num)`,
    `run.elbo(x, key)`, `run.encode(x)`, ... whichever the model has. `x` is in the model's space:
    `run.dataset().prepare(batch, key)` makes it from raw data. Losses and methods that take a
    function are the model's alone: `run.model.generate(run.variables, ...)`.

    Attributes:
      folder: where it was loaded from.
      experiment: all settings; of a run of several stages those of the checkpoint's.
      step: of the checkpoint.
      variables: the moving average if the run kept one, unless `load` was told otherwise; else the
        parameters themselves.
      data_record: name, transform, split sizes and hashes of the data it was trained on.
      held: the data themselves, where the program that trained or loaded it gave them.
      weights: which of them the variables are.
    """

    folder: Path
    experiment: Experiment
    step: int
    variables: Variables
    data_record: dict[str, Any]
    held: data.Dataset | None = None
    weights: Weights = "parameters"

    @property
    def model(self) -> Any:
        """The model."""
        return self.experiment.model

    def dataset(self) -> data.Dataset:
        """Return the data it was trained on.

        Raises:
          DataError: they are missing, or not the same any more.
        """
        if self.held is not None:
            return self.held
        _require_settled(self.experiment.data)
        dataset = data.load(replace(self.experiment.data, download=False))
        require_fit(self.model, dataset)
        _require_same(self.data_record, dataset)
        return dataset

    def __repr__(self) -> str:
        about = f"{type(self.model).__name__} of {self.experiment.data.name}"
        return f"Run({str(self.folder)!r}: {about}, step {self.step})"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not is_offered(self.model, name):
            raise AttributeError(f"{type(self.model).__name__} has no {name}")
        return partial(called, self.model, name, self.variables)

    def __dir__(self) -> list[str]:
        methods = [name for name in dir(self.model) if is_offered(self.model, name)]
        return sorted({*super().__dir__(), *methods})


def load(
    path: str | os.PathLike[str],
    classes: Iterable[type] = (),
    data: Examples | None = None,
    weights: Weights | None = None,
) -> Run:
    """Load a run from its folder, wherever it is now.

    Args:
      path: the run folder, its `checkpoints`, or one step in there.
      classes: your own model or network classes that the run's spec names.
      data: the examples that it was trained on, where its record does not lead to them: arrays or a
        `Dataset` that the program made, or the name or path of data that have moved. Arrays are
        given the form that the record names.
      weights: 'average' or 'parameters'; by default the average if the run kept one.

    Raises:
      ConfigError: the average is asked for, and the run kept none.
      CheckpointError: no run there, or no whole checkpoint.
      DataError: `data` are not those that the run was made with.
    """
    run = _loaded(path, classes, weights)
    return run if data is None else replace(run, held=_held(run, data))


def _loaded(
    path: str | os.PathLike[str],
    classes: Iterable[type],
    weights: Weights | None,
) -> Run:
    """Return the run of a path, without data."""
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
    variables = evaluation_variables(state, weights)
    chosen = weights or ("parameters" if state.ema is None else "average")
    return Run(folder, experiment, int(state.step), variables, record["data"], weights=chosen)


def known_classes(extra: Iterable[type] = ()) -> dict[str, type]:
    """Return the classes that a spec may name: what jaxgen exports, and `extra`."""
    exported = (getattr(package, name) for package in _PACKAGES for name in package.__all__)
    classes = [item for item in exported if isinstance(item, type)]
    return class_table([*classes, Experiment, Settings, data.Data, Optimizer, *extra])


def locate(path: Path) -> tuple[Path, int | None]:
    """Return (run folder, step or None) of a path to a run, its checkpoints or one of them.

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
        f"{path}: no run here (a run folder holds '{CHECKPOINTS}').\nTry: jaxgen train vae_digits"
    )


def _target(
    checkpoints: Checkpoints,
    table: dict[str, type],
    records: dict[int, dict[str, Any]],
    step: int,
) -> TrainState:
    """Return the state expected at a step, from the experiment recorded in it; keep the record."""
    record = checkpoints.record(step)
    records[step] = record
    try:
        experiment = from_json(record.get("experiment"), table)
        if not isinstance(experiment, Experiment):
            raise CheckpointError("spec: no experiment")
        _require_data(record.get("data"))
        return experiment.abstract_state()
    except Exception as error:  # what a model makes of a damaged spec
        raise CheckpointError(f"{checkpoints.folder}/{step}: {first_line(error)}") from error


def _require_data(record: Any) -> None:
    """Raise CheckpointError unless what a record says of its data is as `Dataset.record` says."""
    if not isinstance(record, dict):
        raise CheckpointError("data: no object")
    for name, kind in _DATA.items():
        if not isinstance(record.get(name), kind | None):
            raise CheckpointError(f"data.{name}: got {repr(record[name])[:80]}")
    splits = record.get("splits") or {}
    if not set(splits) <= set(SPLITS) or not all(isinstance(x, dict) for x in splits.values()):
        raise CheckpointError(f"data.splits: expected an object for each of {', '.join(SPLITS)}")


def _require_settled(config: data.Data) -> None:
    """Raise DataError unless a path in a record is absolute and leads to files, to no device."""
    path = Path(config.name)
    if config.name.startswith(("~", ".")) or ".." in path.parts:
        raise DataError(f"--data.name {config.name}: not a path that a run records")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"--data.name {config.name}: neither a file nor a folder")
    if config.dir is not None and not Path(config.dir).is_absolute():
        raise DataError(f"--data.dir {config.dir}: not a path that a run records")


def _held(run: Run, given: Examples) -> data.Dataset:
    """Return the data that the caller gave, once they are known to be the run's."""
    dataset = _dataset_of(run, given)
    require_fit(run.model, dataset)
    _require_same(run.data_record, dataset)
    found = dataset.record()
    for field in _FORM:
        expected = run.data_record.get(field)
        if expected is not None and found.get(field) != expected:
            raise DataError(
                f"{dataset.config.name}: {field} is {found.get(field)}, "
                f"but the run was made with {expected}"
            )
    return dataset


def _dataset_of(run: Run, given: Examples) -> data.Dataset:
    """Return what was given as a data set, in the form of the run's where it has none yet."""
    recorded = run.experiment.data
    if isinstance(given, data.Dataset):
        return given
    if isinstance(given, data.Data):
        return data.load(data.resolved(given))
    if isinstance(given, str | os.PathLike):
        moved = replace(recorded, name=os.fspath(given), download=False)
        return data.load(data.resolved(moved))
    try:
        return data.from_arrays(
            given,
            levels=run.data_record.get("levels"),
            name=recorded.name.removeprefix("arrays:"),
            transform=recorded.transform,
            threshold=recorded.threshold,
            derive=recorded.derive,
            rules=recorded.rules,
        )
    except ConfigError as error:  # real numbers in the place of levels
        message = f"not the data that the run was made with: {first_line(error)}"
        raise DataError(f"{recorded.name}: {message}") from error


def _require_same(record: Mapping[str, Any], dataset: data.Dataset) -> None:
    """Raise DataError unless the splits have the sizes and hashes that a run's record names."""
    found = dataset.record()
    for name, split in (record.get("splits") or {}).items():
        if found["splits"].get(name) != split:
            raise DataError(
                f"{dataset.config.name}: the {name} split is {found['splits'].get(name)}, "
                f"but the run was made with {split}"
            )
