"""The mode lab: seeds that train together are the seeds that train alone."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import mode_arms, modes
from jaxgen.data.mixtures import MIXTURES


def test_a_seed_among_others_is_the_seed_alone():
    arm, mixture = mode_arms.experiment("minimax", "unrolled", 100), MIXTURES["ring"]
    keys = jax.vmap(jax.random.key)(jnp.arange(3))
    advance = partial(modes.advance, arm, mixture, num=100)
    together = jax.jit(jax.vmap(lambda key: advance(arm.fresh_state(key))))(keys)
    alone = jax.jit(lambda key: advance(arm.fresh_state(key)))(jax.random.key(1))
    pairs = zip(jax.tree.leaves(together.variables), jax.tree.leaves(alone.variables), strict=True)
    for many, one in pairs:
        np.testing.assert_allclose(many[1], one, atol=1e-4)
    assert not np.allclose(jax.tree.leaves(together.variables)[0][0], many[1][0])


def test_points_of_the_lab_have_the_mixtures_density():
    mixture = MIXTURES["grid"]
    x = np.asarray(modes.draw(mixture, jax.random.key(0), 20_000), np.float64)
    nats = -mixture.log_prob(x)
    assert nats.mean() == pytest.approx(mixture.entropy, abs=4 * nats.std() / np.sqrt(len(x)))


@pytest.mark.parametrize("arm", mode_arms.ARMS)
def test_every_arm_is_an_experiment_with_a_step(arm):
    for preset in mode_arms.PRESETS:
        experiment = mode_arms.experiment(arm, preset, 10)
        state = jax.eval_shape(experiment.fresh_state, jax.random.key(0))
        stepped = jax.eval_shape(partial(modes.advance, experiment, MIXTURES["ring"], num=1), state)
        assert jax.tree.structure(state) == jax.tree.structure(stepped)


def test_the_lab_writes_what_it_prints(tmp_path, capsys):
    flags = ["--arms", "non_saturating", "--seeds", "2", "--steps", "5", "--preset", "small"]
    assert modes.main([*flags, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "non_saturating" in printed
    record = json.loads((tmp_path / "ring_modes.json").read_text())
    assert len(record["arms"]["non_saturating"]["covered"]) == 2
    assert (tmp_path / "ring_non_saturating.png").stat().st_size > 1000


def test_an_arm_that_is_not_there_is_one_line(tmp_path, capsys):
    assert modes.main(["--arms", "maximin", "--out", str(tmp_path / "new")]) == 2
    assert "--arms: got 'maximin', expected one of minimax" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
