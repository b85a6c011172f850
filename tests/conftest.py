"""Eight simulated devices, one compilation cache for all workers, data prepared once."""

import os
from pathlib import Path

# Before jax is imported. With fewer threads than devices, collectives on two cores deadlock.
os.environ.setdefault("NPROC", "16")
# Compiling is most of the time of the tests: with no optimisation it takes a third of it.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
).strip()
os.environ.setdefault("JAXGEN_KEEP_MEMORY", "0")  # a worker lives long and compiles much
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import pytest

LONG = (
    *("test_laws", "test_recipes", "test_readme", "test_chain_rule", "test_check"),
    *("test_verbs_autoregressive", "test_disk", "test_kill", "test_writers", "test_signals"),
    *(
        "test_modes_lab",
        "test_pixel_rnn",
        "test_processes",
        "test_commit",
        "test_configurations",
        "test_check_autoregressive",
    ),
)


def pytest_collection_modifyitems(items):
    """The longest files first: `--dist loadfile` gives a file, and its caches, to one worker.

    It keeps their order by `--no-loadscope-reorder`; else those with few long tests come last.
    """
    place = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory):
    """A folder with the digits prepared."""
    from jaxgen.data import Data, load

    folder = str(tmp_path_factory.mktemp("tfds"))
    load(Data(dir=folder))
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tfds_dir):
    """The folder of a finished run of a tiny VAE on eight devices. Read only."""
    from tiny_runs import experiment

    from jaxgen import loop

    folder = tmp_path_factory.mktemp("runs") / "finished"
    loop.run(experiment(dir=tfds_dir, ema_decay=0.5), folder, recipe="vae_digits", command="tiny")
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, to be damaged, moved or written to."""
    import shutil

    return shutil.copytree(finished, tmp_path / "a copy")


@pytest.fixture
def glances(monkeypatch):
    """Evaluations and pictures while training look at few examples."""
    from functools import partial

    from jaxgen import gallery, validation

    monkeypatch.setattr(validation, "_EXAMPLES", 32)
    monkeypatch.setattr(gallery, "progress", partial(gallery.progress, num=8))
