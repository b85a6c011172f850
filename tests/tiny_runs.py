"""Experiments of seconds, and what is compared of two runs."""

import json
from pathlib import Path

import jax
import numpy as np

from jaxgen import data
from jaxgen.experiment import Experiment, Settings
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.checksums import named_leaves
from jaxgen.vae import vae

TINY = {
    "steps": 8,
    "batch_size": 16,
    "log_every": 4,
    "evaluate_every": 8,
    "sample_every": 8,
    "checkpoint_every": 4,
}
_TIMES = ("seconds", "images_per_second", "examples_per_second")


def experiment(
    name="digits", *, dir=None, transform="binarise", model=None, precision="float32", **settings
):
    """A tiny VAE; `settings` over TINY."""
    config = data.Data(name=name, dir=dir, transform=transform)
    shape = data.load(config).shape
    model = model or vae.mlp(shape, latent_dim=2, hidden=(8,), dtype=precision)
    return Experiment(model, Settings(**TINY | settings, precision=precision), config)


def host(tree):
    """{path: numpy array} of a tree; keys by their data."""
    return {name: _array(leaf) for name, leaf in named_leaves(tree).items()}


def assert_same(a, b):
    """Two trees agree bit for bit."""
    a, b = host(a), host(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def metrics(folder: Path):
    """The lines of metrics.jsonl without their times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def best(folder: Path):
    """The best step on disk and its score, as STATUS.json has them."""
    return json.loads((folder / "STATUS.json").read_text())["best"]


def restored(experiment, folder: Path):
    """The newest state in a run folder."""
    with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore_newest(lambda step: experiment.abstract_state())


def temporary(folder: Path):
    """What an unfinished save or write would have left."""
    return [path for path in folder.rglob("*") if "tmp" in path.name]


def _array(leaf):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)
