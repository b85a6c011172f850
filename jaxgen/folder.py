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
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxgen import __version__
from jaxgen.data import Dataset
from jaxgen.errors import CheckpointError, ConfigError, DataError
from jaxgen.experiment import Experiment
from jaxgen.files import make_folder, read_json, write_json
from jaxgen.migrate import FORMAT, migrated
from jaxgen.spec import class_table, from_json, to_json, types_in

CHECKPOINTS = "checkpoints"
_MAY_CHANGE = (
    *(".log_every", ".evaluate_every", ".sample_every", ".checkpoint_every"),
    *(".data.dir", ".data.download"),  # the data are known by their hashes
)
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "numpy")


def open_folder(path: Path, experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    """Makes the folder, or makes sure that it holds this experiment on these data.

    Returns:
      The record that goes into every checkpoint: the experiment and its data.

    Raises:
      ConfigError: it holds another experiment; names the first setting that differs.
      DataError: the data are not those the run began with.
      CheckpointError: the folder's own records are damaged.
      StorageError: the folder cannot be made.
    """
    spec, record = to_json(experiment), dataset.record()
    old_spec, old_record = read_json(path / "spec.json"), read_json(path / "data.json")
    if old_spec:
        _require_same(path, _as_of_today(path, old_spec, experiment), spec)
    if old_record and old_record != record:
        raise DataError(
            f"{dataset.config.name}: not the data that {path} was begun with (data.json).\n"
            "Try: another --workdir"
        )
    make_folder(path)
    return {"experiment": spec, "data": record}


def describe(path: Path, record: dict[str, Any], recipe: str, command: str) -> None:
    """Writes what is about to run, on which data and where. Raises StorageError."""
    spec = {"format": FORMAT, "recipe": recipe, "command": command}
    write_json(path / "spec.json", spec | {"experiment": record["experiment"]})
    write_json(path / "data.json", record["data"])
    write_json(path / "environment.json", environment())


def environment() -> dict[str, Any]:
    """Versions, device and host of this process, for every number measured in it."""
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


def _as_of_today(path, spec, experiment):
    """The experiment in a spec.json, with the fields that came later at their defaults."""
    try:
        old = migrated(spec).get("experiment")
    except CheckpointError as error:
        raise CheckpointError(f"{path / 'spec.json'}: {error}") from error
    try:
        return to_json(from_json(old, class_table(types_in(experiment))))
    except CheckpointError:  # it has other types than ours
        return old


def _require_same(path, old, new):
    scheduled = any(tx["schedule"] != "constant" for tx in new["optimizers"])
    may_change = (*_MAY_CHANGE, *(() if scheduled else (".settings.steps",)))
    for field, was, now in _differences(old, new, ""):
        if not field.endswith(may_change):
            raise ConfigError(
                f"{path} holds another run: {field.lstrip('.')} is {was} there, {now} here.\n"
                "Try: another --workdir"
            )


def _differences(old, new, field):
    """(dotted field, old, new) wherever two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(name), new.get(name), f"{field}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _differences(was, now, f"{field}.{i}")
    elif old != new:
        yield field, old, new


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
