"""Eight simulated devices, one compilation cache for all workers, work in units that share it."""

import gc
import os
from importlib.metadata import version
from pathlib import Path

import pytest

FAST_COMPILER = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
JAX = tuple(int(part) for part in version("jax").split(".")[:2])
if JAX < (0, 11):  # a flag that XLA does not know aborts the process, and newer ones lost this one
    FAST_COMPILER.append("--xla_cpu_use_fusion_emitters=false")
# The level that users get; else none, with which compiling, most of the time, takes a third of it.
OPTIMISED = os.environ.get("JAXGEN_TEST_OPTIMISED", "0") == "1"

# Before jax is imported. With fewer threads than devices, collectives on two cores deadlock.
os.environ.setdefault("NPROC", "16")
flags = os.environ.get("XLA_FLAGS", "").split()
flags += ["--xla_force_host_platform_device_count=8", *([] if OPTIMISED else FAST_COMPILER)]
os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys(flags))
os.environ.setdefault("JAXGEN_KEEP_MEMORY", "0")  # a worker lives long and compiles much
# [B] and [B, 1] make [B, B] without a word: ranks are made equal by hand, or it raises.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A unit of work is a file, with what its tests share; in these files it is the tests of one model
# or recipe, those of the same model in several files together.
SHARDED = {"test_laws": "model", "test_chain_rule": "model", "test_recipes": "recipe"}
# The longest units come first, or a worker is left alone with one at the end.
LONG = (
    *("test_readme", "test_verbs_autoregressive", "test_check", "test_disk", "test_kill"),
    *("test_laws", "test_chain_rule", "test_recipes", "test_writers", "test_signals"),
    *("test_modes_lab", "test_pixel_rnn", "test_processes", "test_commit"),
    *("test_configurations", "test_check_autoregressive"),
)
# What other Pythons and newer releases are tried on (`make test-newest`).
CORE = {
    *("test_laws", "test_step", "test_losses", "test_parallel", "test_properties", "test_spec"),
    *("test_checkpoint", "test_formats", "test_loaded", "test_loop", "test_optimizer"),
    *("test_functions", "test_mixture", "test_observation", "test_networks", "test_masked"),
    *("test_transform", "test_split", "test_order", "test_gan", "test_bounds", "test_nade"),
    *("test_main", "test_samples", "test_likelihood"),
}
# What `make test` repeats at the level of XLA that users get: these files, and the laws of a model
# of each kind. Deep ones compile three times as long there.
AT_USERS_LEVEL = {
    "test_step",
    "test_losses",
    "test_functions",
    "test_nade",
    "test_gan",
}
OF_EACH_KIND = {"nade", "pixel cnn", "vae", "vae bfloat16", "game"}


def unit(item):
    """Return the name of the unit of work that a test belongs to."""
    stem = item.path.stem
    if stem in SHARDED and named(item):
        return f"{SHARDED[stem]} {named(item)}"
    return stem


def named(item):
    """Return the parameter `name` of a test, '' if it has none."""
    values = getattr(item, "callspec", None)
    return values.params.get("name", "") if values else ""


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items):
    """Mark the unit of each test for `--dist loadgroup`, and put the longest first.

    xdist keeps the order by `--no-loadscope-reorder`.
    """
    place = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(unit(item)))
        stem = item.path.stem
        if stem in CORE:
            item.add_marker(pytest.mark.core)
        if stem in AT_USERS_LEVEL or (stem == "test_laws" and named(item) in OF_EACH_KIND):
            item.add_marker(pytest.mark.optimised)


@pytest.fixture(scope="module", autouse=True)
def kept():
    """Leave what a module has compiled out of later searches for garbage: a worker keeps much."""
    yield
    gc.freeze()


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory):
    """An empty folder for `--data.dir`: the digits, which most tests train on, need none."""
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tfds_dir):
    """The folder of a finished run of a tiny VAE on eight devices. Read only."""
    from tiny_runs import experiment

    from jaxgen.loop import loop

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

    from jaxgen.figures import gallery
    from jaxgen.loop import validate

    monkeypatch.setattr(validate, "_EXAMPLES", 32)
    monkeypatch.setattr(gallery, "progress", partial(gallery.progress, num=8))
