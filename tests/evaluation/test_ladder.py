"""The ladder of bounds on a model whose log p(x) is known."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from jaxgen.evaluation import ladder
from jaxgen.vae import autoencoder
from jaxgen.vae.linear_gaussian import linear

KEY = jax.random.key(0)
MODEL = linear((5,), latent_dim=2)


@lru_cache
def climbed():
    """The bounds of an untrained model, whose encoder is not the posterior, and its log p(x)."""
    variables = MODEL.init(KEY)
    bounds = ladder.climb(
        MODEL, variables, KEY, num=64, num_samples=50, num_temperatures=100, num_runs=8
    )
    make_key, *_ = jax.random.split(KEY, 3)
    _, x = ladder.simulate(MODEL, variables, make_key, 64)
    exact = np.asarray(MODEL.log_prob(variables, x))
    return {name: np.asarray(values) for name, values in bounds.items()}, exact


def test_every_bound_is_on_its_side_in_the_mean_and_annealing_comes_near():
    bounds, exact = climbed()
    error = {name: values - exact for name, values in bounds.items()}
    noise = {name: values.std() / 8 for name, values in error.items()}
    assert error["elbo"].mean() < -3 * noise["elbo"]
    assert error["iwae"].mean() < 3 * noise["iwae"]
    assert error["ais"].mean() == pytest.approx(0, abs=0.1)
    assert error["bdmc_upper"].mean() == pytest.approx(0, abs=0.1)
    assert bounds["elbo"].mean() < bounds["iwae"].mean()


def test_the_gap_is_that_of_the_two_bounds():
    bounds, _ = climbed()
    difference = bounds["bdmc_upper"] - bounds["ais"]
    np.testing.assert_allclose(bounds["bdmc_gap"], difference, atol=1e-5)
    assert bounds["bdmc_gap"].std() > 0


def test_each_line_says_its_direction():
    made = ladder.records(MODEL, MODEL.init(KEY), num_samples=5, about="step 3")
    names = [record.metric.removeprefix("simulated_") for record in made]
    assert names == ["elbo", "iwae_5", "ais", "bdmc_upper", "bdmc_gap"]
    assert all("lower bound" in record.protocol for record in made[:3])
    assert "upper bound" in made[3].protocol
    assert all("step 3" in record.protocol for record in made)


def test_a_model_without_a_decoders_likelihood_has_no_ladder():
    assert isinstance(MODEL, ladder.Decoded)
    assert not isinstance(autoencoder.mlp((5,), latent_dim=2), ladder.Decoded)
