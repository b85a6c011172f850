"""What a decoder's outputs mean: densities that sum to 1, draws that follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.distributions.observation import Categorical
from jaxgen.errors import ConfigError
from jaxgen.vae import Bernoulli, DiscretizedLogistic, Gaussian

OBSERVATIONS = [
    *(Bernoulli(), Gaussian(0.3), Gaussian(), Categorical(5)),
    *map(DiscretizedLogistic, (2, 5, 256)),
]


def parameters(observation, shape=(3, 2)):
    return jax.random.normal(jax.random.key(0), (*shape, observation.num_params))


@pytest.fixture(params=OBSERVATIONS, ids=repr)
def observation(request):
    return request.param


def test_the_density_sums_to_one_over_its_grid(observation):
    params = parameters(observation)
    points, width = observation.grid(params)
    total = (jnp.exp(observation.log_prob(params[None], points)) * width).sum(axis=0)
    np.testing.assert_allclose(total, np.ones((3, 2)), atol=2e-5)


def test_draws_have_the_densitys_moments_and_range(observation):
    params, num = parameters(observation), 20_000
    draws = observation.sample(jnp.broadcast_to(params, (num, *params.shape)), jax.random.key(1))
    points, width = observation.grid(params)
    mass = jnp.exp(observation.log_prob(params[None], points)) * width
    expected = (points * mass).sum(axis=0)
    assert (jnp.abs(draws.mean(0) - expected) < 4 * draws.std(0) / num**0.5 + 1e-4).all()
    variance = ((points - expected[None]) ** 2 * mass).sum(axis=0)
    wide = np.asarray(variance > variance.max() / 100)  # the variance of rare draws is not seen
    np.testing.assert_allclose(draws.var(axis=0)[wide], variance[wide], rtol=0.1)
    low, high = observation.range
    if observation.values is not None:
        assert (low, high, observation.values) == (points.min(), points.max(), len(points))
    assert low <= draws.min() < draws.max() <= high
    assert draws.dtype == jnp.float32


def test_the_mean_of_a_bernoulli_and_of_a_gaussian_is_that_of_the_density():
    for observation in (Bernoulli(), Gaussian(0.3), Gaussian()):
        params = parameters(observation)
        points, width = observation.grid(params)
        expected = (points * jnp.exp(observation.log_prob(params[None], points)) * width).sum(0)
        np.testing.assert_allclose(observation.mean(params), expected, atol=1e-4)


def test_a_squared_error_is_a_gaussian_of_variance_one_half():
    observation = Gaussian(0.5**0.5)
    params, x = parameters(observation), jnp.ones((3, 2))
    error = (x - observation.mean(params)) ** 2
    expected = -error - 0.5 * np.log(np.pi)
    np.testing.assert_allclose(observation.log_prob(params, x), expected, rtol=1e-5)


def test_the_encoder_sees_levels_between_minus_one_and_one():
    observation = DiscretizedLogistic(5)
    np.testing.assert_allclose(observation.normalize(jnp.arange(5.0)), [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(observation.mean(jnp.array([[0.5, 0.0], [9.0, 0.0]])), [3.0, 4.0])
    levels = Categorical(5).normalize(jnp.arange(5.0))
    np.testing.assert_allclose(levels, [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(Bernoulli().normalize(jnp.ones(2)), [1, 1])


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_standard_deviation_is_positive(std):
    with pytest.raises(ConfigError, match=r"observation.std: got"):
        Gaussian(std)


def test_one_level_is_no_distribution():
    with pytest.raises(ConfigError, match=r"observation.levels: got 1, expected >= 2"):
        DiscretizedLogistic(1)
