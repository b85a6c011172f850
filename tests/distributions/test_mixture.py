"""Mixtures: densities that integrate to 1 whatever their scales, draws that follow them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgen.distributions.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.errors import ConfigError

MIXTURES = [MixtureOfGaussians(3), MixtureOfLaplaces(3), MixtureOfGaussians(1)]
FAMILY = {"MixtureOfGaussians": stats.norm, "MixtureOfLaplaces": stats.laplace}


@pytest.fixture(params=MIXTURES, ids=repr)
def mixture(request):
    return request.param


def parameters(mixture, shape=(3, 2)):
    return jax.random.normal(jax.random.key(0), (*shape, mixture.num_params))


def mixed_scales(num):
    """Components of scales from the floor to 50, at and beside each other: [6, 3 num]."""
    random = np.random.default_rng(0)
    logits, means = random.normal(size=(2, 6, num))
    raw = np.linspace(-20, np.log(50), 6 * num)[random.permutation(6 * num)].reshape(6, num)
    means[0] = 0.5  # on top of one another
    return jnp.asarray(np.concatenate([logits, means, raw], axis=-1), jnp.float32)


@partial(jax.jit, static_argnums=0)
def total(mixture, params):
    points, width = mixture.grid(params)
    assert points.shape == width.shape
    return (jnp.exp(mixture.log_prob(params[None], points)) * width).sum(axis=0)


def test_the_density_sums_to_one_over_its_grid(mixture):
    np.testing.assert_allclose(total(mixture, parameters(mixture)), np.ones((3, 2)), atol=1e-5)


def test_the_density_sums_to_one_whatever_the_scales(mixture):
    params = mixed_scales(mixture.num_components)
    np.testing.assert_allclose(total(mixture, params), np.ones(6), atol=1e-5)


def test_the_density_is_the_weighted_sum_of_its_components(mixture):
    params = np.asarray(parameters(mixture, (5,)), np.float64)
    logits, means, raw = np.split(params, 3, axis=-1)
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    x = np.linspace(-2, 2, 5)
    family = FAMILY[type(mixture).__name__]
    density = weights * family.pdf(x[:, None], means, np.exp(raw) + mixture.floor)
    found = mixture.log_prob(jnp.asarray(params, jnp.float32), jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, np.log(density.sum(axis=-1)), rtol=1e-5, atol=1e-5)


def test_draws_have_the_distribution_of_the_density(mixture):
    """Kolmogorov and Smirnov's distance to the exact distribution function."""
    params, num = parameters(mixture, (2,)), 20_000
    draws = mixture.sample(jnp.broadcast_to(params, (num, *params.shape)), jax.random.key(1))
    assert draws.dtype == jnp.float32
    logits, means, raw = np.split(np.asarray(params, np.float64), 3, axis=-1)
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    family = FAMILY[type(mixture).__name__]
    for i in range(2):
        scales = np.exp(raw[i]) + mixture.floor

        def cdf(x, i=i, scales=scales):
            return (weights[i] * family.cdf(x[:, None], means[i], scales)).sum(axis=-1)

        assert stats.kstest(np.asarray(draws[:, i]), cdf).statistic < 2 / num**0.5


def test_the_mean_is_that_of_the_density(mixture):
    params = parameters(mixture)
    points, width = mixture.grid(params)
    expected = (points * jnp.exp(mixture.log_prob(params[None], points)) * width).sum(axis=0)
    np.testing.assert_allclose(mixture.mean(params), expected, atol=1e-4)


def test_a_component_cannot_shrink_below_the_floor(mixture):
    params = jnp.zeros(mixture.num_params).at[-1].set(-1e4)
    highest = {"MixtureOfGaussians": -0.5 * np.log(2 * np.pi), "MixtureOfLaplaces": -np.log(2)}
    bound = highest[type(mixture).__name__] - np.log(mixture.floor)
    assert mixture.log_prob(params, jnp.zeros(())) <= bound + 1e-4
    assert mixture.log_prob(params, jnp.zeros(())) > bound - np.log(mixture.num_components) - 0.1


def test_extreme_parameters_give_finite_densities_and_gradients(mixture):
    x = jnp.array([-1.0, 0.0, 3.0])
    value_and_slope = jax.jit(jax.value_and_grad(lambda p: mixture.log_prob(p[None], x).sum()))
    for sign in (-1e4, 1e4):
        for part in range(3):
            num = mixture.num_components
            params = jnp.zeros(mixture.num_params).at[part * num].set(sign)
            value, slope = value_and_slope(params)
            assert np.isfinite(value)
            assert np.isfinite(slope).all()


@pytest.mark.parametrize("kind", [MixtureOfGaussians, MixtureOfLaplaces])
def test_sizes_out_of_range_are_refused(kind):
    with pytest.raises(ConfigError, match=r"num_components: got 0, expected >= 1"):
        kind(0)
    with pytest.raises(ConfigError, match=r"floor: got 0.0, expected > 0"):
        kind(2, 0.0)
