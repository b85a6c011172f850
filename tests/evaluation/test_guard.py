"""The guard sees samples that are alike, and a discriminator that is sure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.evaluation.guard import alarms, spread, vital_signs, watches


def signs(variables=None):
    model = tiny.experiment("gan").model
    variables = variables or tiny.fresh("gan").variables
    return vital_signs(model, variables, tiny.examples(model, 64), jax.random.key(0))


def test_games_are_watched_and_others_are_not():
    assert watches(tiny.experiment("gan").model)
    assert not watches(tiny.experiment("vae").model)


def test_spread_is_the_mean_distance_of_independent_pairs():
    x = np.random.default_rng(0).normal(size=(200_000, 1))
    assert spread(x) == pytest.approx(2 / np.sqrt(np.pi), rel=0.01)
    assert spread(np.ones((10, 2, 2))) == 0.0


def test_a_generator_of_one_sample_has_no_diversity():
    variables = tiny.fresh("gan").variables
    params = variables["generator"]["params"]
    blank = {**params, "Dense_1": jax.tree.map(jnp.zeros_like, params["Dense_1"])}
    collapsed = {**variables, "generator": {**variables["generator"], "params": blank}}
    assert signs(collapsed)["diversity"] == 0.0
    assert "samples are alike" in alarms(signs(collapsed))[0]
    assert signs()["diversity"] > 0.0


def test_a_sure_discriminator_is_named_and_a_right_one_is_not():
    assert alarms({"diversity": 1.0, "real": 0.9, "fake": 0.1}) == []
    (line,) = alarms({"diversity": 1.0, "real": 0.9999, "fake": 0.0001})
    assert line.startswith("warning: the discriminator is sure (data 0.9999, samples 0.0001)")
    assert alarms({"elbo": -3.0}) == []


def test_verdicts_are_those_of_the_discriminator():
    found = signs()
    model, variables = tiny.experiment("gan").model, tiny.fresh("gan").variables
    x = tiny.examples(model, 64)
    expected = jax.nn.sigmoid(model.logits(variables, x)).mean()
    assert found["real"] == pytest.approx(float(expected), rel=1e-6)
