"""Every recipe trains: a few steps as a user would start it, and a run that loads again."""

import importlib
import math
from pathlib import Path

import pytest

import jaxgen
from jaxgen.cli import launch
from jaxgen.data import prepare

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
NOT_RECIPES = ("__init__", "benchmark", "mode")
RECIPES = sorted(p.stem for p in EXPERIMENTS.glob("*.py") if not p.stem.startswith(NOT_RECIPES))
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_trains_and_loads(name, tmp_path, capsys):
    if name.endswith("fashion_mnist") and not FASHION_MNIST.exists():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    for ending, wanted in (("cifar10", "cifar10"), ("celeba", "celeb_a")):
        if name.endswith(ending) and not prepare.find(wanted, None):
            pytest.skip(f"{wanted} is not prepared here")
    recipe = getattr(importlib.import_module(f"experiments.{name}"), name)
    flags = ["--steps", "4", "--log-every", "2", "--batch-size", "16"]
    assert launch(recipe, [*flags, "--workdir", str(tmp_path / "run")]) == 0, (
        capsys.readouterr().err
    )
    run = jaxgen.load(tmp_path / "run")
    assert run.step == 4
    assert all(math.isfinite(float(x.sum())) for x in jaxgen_leaves(run.variables))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_states_command_hardware_minutes_and_result(name):
    header = (EXPERIMENTS / f"{name}.py").read_text().split('"""')[1]
    for word in (f"python -m experiments.{name}", "minutes", "seeds", "20"):
        assert word in header, f"{name}: the header does not state {word!r}"


def jaxgen_leaves(tree):
    import jax

    return jax.tree.leaves(tree)


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("dcgan_digits", ["--data.transform", "unit"], "samples lie in [-1, 1]"),
        ("semi_supervised_digits", ["--data.transform", "symmetric"], "samples lie in [0, 1]"),
        ("gan_ring", ["--data.name", "digits"], "the model is for [2]"),
        ("gan_ring", ["--cost", "wgan"], "cost: got 'wgan'"),
    ],
)
def test_data_that_no_sample_can_resemble_are_refused(name, flags, message, tmp_path, capsys):
    recipe = getattr(importlib.import_module(f"experiments.{name}"), name)
    assert launch(recipe, [*flags, "--batch-size", "16", "--workdir", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
