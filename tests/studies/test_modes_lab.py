"""The mode lab: seeds that train together are the seeds that train alone."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.modes import arms, lab
from experiments.studies.modes.worlds import WORLDS, StackedDigits
from jaxgen.data.readers.mixtures import MIXTURES


@pytest.fixture(scope="module")
def digits():
    return StackedDigits.of("stacked_digits")


def test_a_seed_among_others_is_the_seed_alone():
    arm, world = arms.experiment("minimax", "unrolled", 100), WORLDS["ring"].of("ring")
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    advance = partial(lab.advance, arm, world, num=100)
    together = jax.jit(jax.vmap(lambda key: advance(arm.fresh_state(key))))(keys)
    alone = jax.jit(lambda key: advance(arm.fresh_state(key)))(jax.random.key(1))
    pairs = zip(jax.tree.leaves(together.variables), jax.tree.leaves(alone.variables), strict=True)
    for many, one in pairs:
        np.testing.assert_allclose(many[1], one, atol=1e-4)
    assert not np.allclose(many[0], many[1])


def test_points_of_the_lab_have_the_mixtures_density():
    mixture = MIXTURES["grid"]
    x = np.asarray(WORLDS["grid"].of("grid").draw(jax.random.key(0), 20_000), np.float64)
    nats = -mixture.log_prob(x)
    assert nats.mean() == pytest.approx(mixture.entropy, abs=4 * nats.std() / np.sqrt(len(x)))


@pytest.mark.parametrize("arm", arms.ARMS)
def test_every_arm_is_an_experiment_with_a_step(arm, digits):
    for name, preset in arms.PRESETS.items():
        world = digits if preset.shape == digits.shape else WORLDS["ring"].of("ring")
        experiment = arms.experiment(arm, name, 10)
        state = jax.eval_shape(experiment.fresh_state, jax.random.key(0))
        stepped = jax.eval_shape(partial(lab.advance, experiment, world, num=1), state)
        assert jax.tree.structure(state) == jax.tree.structure(stepped)


def test_exact_stacked_digits_have_a_thousand_modes(digits):
    x = digits.draw(jax.random.key(0), digits.num_samples)
    assert x.shape == (26_000, 8, 8, 3)
    channels = np.asarray(x[:50]).transpose(0, 3, 1, 2).reshape(-1, 64)
    known = np.asarray(digits.images).reshape(-1, 64)
    assert all((known == channel).all(axis=1).any() for channel in channels)
    found = digits.measure(x)
    assert found["covered"] >= 999
    assert 999 / 52_000 / 2 < found["reverse_kl"] < 0.03  # the classes are not quite as frequent


def test_one_stacked_digit_again_and_again_is_one_mode(digits):
    one = digits.draw(jax.random.key(1), 1)
    found = digits.measure(jnp.broadcast_to(one, (500, 8, 8, 3)))
    assert found["covered"] == 1
    assert found["reverse_kl"] == pytest.approx(np.log(1000), rel=1e-5)


def test_the_lab_writes_what_it_prints(tmp_path, capsys):
    flags = ["--arms", "non_saturating", "--seeds", "2", "--steps", "5", "--preset", "small"]
    assert lab.main([*flags, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "exact samples" in printed
    assert "non_saturating" in printed
    record = json.loads((tmp_path / "ring_modes.json").read_text())
    assert len(record["arms"]["non_saturating"]["covered"]) == 2
    assert "three standard deviations" in record["counted by"]
    assert (tmp_path / "ring_non_saturating.png").stat().st_size > 1000


def test_a_preset_for_other_data_is_one_line(tmp_path, capsys):
    assert lab.main(["--preset", "stacked", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "--preset stacked: for examples [8, 8, 3], those of ring are [2]" in said


@pytest.mark.parametrize("steps", [0, -5, 12])
def test_steps_that_cannot_be_run_are_one_line(steps, tmp_path, capsys):
    assert lab.main([f"--steps={steps}", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"--steps: got {steps}, expected a multiple of 5" in said


def test_an_arm_that_is_not_there_is_one_line(tmp_path, capsys):
    assert lab.main(["--arms", "maximin", "--out", str(tmp_path / "new")]) == 2
    assert "--arms: got 'maximin', expected one of minimax" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
