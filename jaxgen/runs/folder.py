"""A run folder: what it is called, what is in it, and whether a run may go on in it.

spec.json         the recipe, the command and the whole experiment
data.json         name, transform, sizes and hashes of the splits
environment.json  versions, device, host
metrics.jsonl     one line per `log_every` steps and per evaluation
checkpoints/      the newest states
samples/          pictures over training
classifier.json, .npz    whose features samples are compared by, where the model only samples
*.png, evaluation.json, certificate.json, report.html    what the verbs of `jaxgen` write
"""

import os
import platform
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import jax

from jaxgen import __version__
from jaxgen.data import Dataset
from jaxgen.data.config import Rules
from jaxgen.errors import CheckpointError, DataError
from jaxgen.experiment import RULES, Experiment
from jaxgen.experiment.spec import class_table, from_json, to_json, types_in
from jaxgen.files import make_folder, read_json, write_json
from jaxgen.runs.compare import is_same_data, require_same
from jaxgen.runs.formats import FORMAT, migrated
from jaxgen.runs.steps import PlainSteps

CHECKPOINTS = "checkpoints"
RECORD = "spec.json"
Record = dict[str, Any]  # of a checkpoint: {'experiment': ..., 'data': ..., ...}
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def open_folder(
    path: Path,
    experiment: Experiment,
    datasets: tuple[Dataset, ...],
) -> tuple[Record, ...]:
    """Make the folder, or make sure that it holds this experiment on these data.

    Args:
      path: the run folder.
      experiment: the last stage, which knows those before it.
      datasets: of each stage.

    Returns:
      For each stage the record that goes into its checkpoints: its experiment and its data.

    Raises:
      ConfigError: it holds another experiment; names the first setting that differs.
      DataError: the data are not those the run began with.
      CheckpointError: the folder's own records are damaged.
      StorageError: the folder cannot be made.
    """
    specs = [to_json(stage) for stage in experiment.stages()]
    data = [dataset.record() for dataset in datasets]
    old_spec = read_json(path / RECORD)
    old_data = read_json(path / "data.json")
    if old_spec:
        old = _as_of_today(path, old_spec, experiment)
        require_same(path, old, specs[-1], newest=_newest_step(path))
    if old_data and not is_same_data(old_data, _of_all_stages(data)):
        raise DataError(
            f"{datasets[-1].config.name}: not the data that {path} was begun with (data.json)."
            "\nTry: another --workdir"
        )
    make_folder(path)
    pairs = zip(specs, data, strict=True)
    return tuple({"experiment": spec, "data": record} for spec, record in pairs)


def as_begun(path: Path, experiment: Experiment) -> Experiment:
    """Return the experiment with each stage by the rules that the run in the folder began with.

    Args:
      path: the run folder, which may not be there.
      experiment: the last stage, which knows those before it.

    Raises:
      CheckpointError: the folder's spec.json is damaged.
    """
    spec = read_json(path / RECORD)
    return _by_rules_of(_migrated(path, spec), experiment) if spec else experiment


def _by_rules_of(old: Any, stage: Experiment) -> Experiment:
    """Return the stage, and those before it, with the rules of a recorded one where it has any."""
    if not isinstance(old, dict):
        return stage
    before = _by_rules_of(old.get("after"), stage.after) if stage.after else None
    rules = old.get("rules")
    known = rules if isinstance(rules, int) and 1 <= rules <= RULES else stage.rules
    data = replace(stage.data, rules=_rules_of_data(old) or stage.data.rules)
    return replace(stage, rules=known, data=data, after=before)


def _rules_of_data(old: dict[str, Any]) -> Rules | None:
    """Return by which rules the data of a recorded stage are read; None where it has no such."""
    data = old.get("data")
    rules = data.get("rules") if isinstance(data, dict) else None
    return rules if rules in get_args(Rules) else None


def describe(path: Path, records: tuple[Record, ...], recipe: str, command: str) -> None:
    """Write what is about to run, on which data and where.

    Raises:
      StorageError: the folder cannot be written.
    """
    spec = {"format": FORMAT, "recipe": recipe, "command": command}
    write_json(path / RECORD, spec | {"experiment": records[-1]["experiment"]})
    write_json(path / "data.json", _of_all_stages([record["data"] for record in records]))
    write_json(path / "environment.json", environment())


def environment() -> dict[str, Any]:
    """Return versions, device and host of this process, for every number measured in it."""
    device = jax.devices()[0]
    return {
        "jaxgen": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "platform": device.platform,
        "device": device.device_kind,
        "num_devices": jax.device_count(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _of_all_stages(data: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of the last stage's data, with those of the earlier stages in it."""
    earlier = {"earlier_stages": data[:-1]} if len(data) > 1 else {}
    return data[-1] | earlier


def _as_of_today(path: Path, spec: dict[str, Any], experiment: Experiment) -> Any:
    """Return the experiment in a spec.json, with the fields that came later at their defaults."""
    old = _migrated(path, spec)
    try:
        return to_json(from_json(old, class_table(types_in(experiment))))
    except CheckpointError:  # it has other types than ours
        return old


def _migrated(path: Path, spec: dict[str, Any]) -> Any:
    """Return the experiment in a spec.json, in today's format. Raises CheckpointError."""
    try:
        return migrated(spec).get("experiment")
    except CheckpointError as error:
        raise CheckpointError(f"{path / RECORD}: {error}") from error


def _newest_step(path: Path) -> int:
    """Return the number of the newest checkpoint, 0 if there is none."""
    folder = path / CHECKPOINTS
    found = PlainSteps().find_all(folder) if folder.is_dir() else ()
    return max((step.step for step in found), default=0)


def _processor() -> str:
    """Return the model of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
