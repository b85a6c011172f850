"""Every recipe trains: a few steps as a user would start it, and a run that loads again."""

import math
from functools import partial
from pathlib import Path

import jax
import pytest

import jaxgen
from jaxgen import data
from jaxgen.cli import recipes
from jaxgen.cli.main import launch
from jaxgen.data.readers import prepare
from jaxgen.experiment import require_fit
from jaxgen.step import train_step

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RECIPES = sorted(recipes.table())
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


SMALLER = {  # than the recipe's own networks, of which most of the time is compilation
    "aae": "--hidden 8",
    "autoencoder": "--hidden 8",
    "conditional_gan": "--features 2",
    "ddpm": "--features 8 --num-steps 10",
    "ddpm_ring": "--hidden 8 --num-steps 10",
    "denoising_ring": "--hidden 8 --moves 10",
    "dcgan": "--features 2",
    "dbm": "--hidden 4 3 --pretraining-steps 4",
    "diagonal_bilstm": "--num-layers 1 --features 4 --head 4",
    "gated_pixel_cnn": "--num-layers 2 --features 4 --head 4",
    "gsn": "--hidden 8 8",
    "nade": "--hidden 8",
    "nce_gaussian": "--noise-steps 4",
    "orderless_nade": "--num-orders 2",
    "pixel_cnn": "--num-layers 1 --features 4 --head 4",
    "pixel_cnn_pp": "--features 4 --num-stages 1",
    "rbm": "--hidden 4",
    "row_lstm": "--num-layers 1 --features 4 --head 4",
    "semi_supervised": "--hidden 8 8",
    "unrolled_gan": "--unrolled 1",
    "vae_fashion_mnist": "--widths 2 2 --hidden 8",
    "wavenet": "--num-layers 2 --num-blocks 1 --features 4 --skip 4",
    "wgan_gp": "--features 2",
}


def test_the_folder_holds_families_and_studies_and_nothing_else():
    found = {path.name for path in EXPERIMENTS.iterdir() if path.name != "__pycache__"}
    families = {recipe.module.partition(".")[0] for recipe in recipes.table().values()}
    assert found == {"__init__.py", "__main__.py", "studies", *families}
    assert len(RECIPES) >= 28


def recipe_of(name):
    """The recipe; skips where its data are not to be had."""
    if name.endswith("fashion_mnist") and not FASHION_MNIST.exists():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    for ending, wanted in (("cifar10", "cifar10"), ("celeba", "celeb_a")):
        if name.endswith(ending) and not prepare.find(wanted, None):
            pytest.skip(f"{wanted} is not prepared here")
    return recipes.find(name).function()


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_trains_and_loads(name, glances, tmp_path, capsys):
    recipe = recipe_of(name)
    sizes = max((key for key in SMALLER if name.startswith(key)), key=len, default=None)
    flags = ["--steps", "4", "--log-every", "2", "--batch-size", "16"]
    flags += SMALLER.get(sizes, "").split()
    assert launch(recipe, [*flags, "--workdir", str(tmp_path / "run")]) == 0, (
        capsys.readouterr().err
    )
    run = jaxgen.load(tmp_path / "run")
    assert run.step == run.experiment.end
    assert run.experiment.settings.steps == 4
    assert all(math.isfinite(float(x.sum())) for x in jax.tree.leaves(run.variables))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_has_a_step_at_its_own_size(name):
    experiment = recipe_of(name)()
    dataset, players = data.load(experiment.data), experiment.players()
    require_fit(experiment.model, dataset)
    state = experiment.abstract_state()
    batch = dataset.splits["train"].batch(seed=0, step=0, batch_size=32)
    told = {"order": experiment.order, "ema_decay": experiment.settings.ema_decay}
    step = partial(train_step, players, prepare=dataset.prepare, **told)
    stepped, metrics = jax.eval_shape(step, state, batch)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), stepped) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert all(value.shape == () for value in metrics.values())


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_states_command_hardware_minutes_and_result(name):
    header = recipes.find(name).function().__doc__
    for word in (f"jaxgen train {name}", "minutes", "seeds", "20"):
        assert word in header, f"{name}: the header does not state {word!r}"


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
    recipe = recipes.find(name).function()
    assert launch(recipe, [*flags, "--batch-size", "16", "--workdir", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
