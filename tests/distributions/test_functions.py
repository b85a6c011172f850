"""Densities against SciPy, divergences against Monte Carlo, extremes against overflow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxgen.distributions import (
    bernoulli_log_prob,
    categorical_log_prob,
    discretized_logistic_log_prob,
    log_mean_exp,
    normal_kl,
    normal_log_prob,
    sample_discretized_logistic,
)

RANDOM = np.random.default_rng(0)
A, B, C = (jnp.asarray(RANDOM.normal(size=50), jnp.float32) for _ in range(3))


def test_the_bernoulli_density_is_scipys():
    for x in (0.0, 1.0):
        expected = stats.bernoulli.logpmf(int(x), special.expit(np.float64(3 * A)))
        np.testing.assert_allclose(
            bernoulli_log_prob(jnp.full(50, x), 3 * A), expected, rtol=1e-5, atol=1e-6
        )


def test_the_bernoulli_density_is_exact_at_extreme_logits():
    x, logits = jnp.array([1.0, 0.0, 1.0, 0.0]), jnp.array([-1e4, 1e4, 1e4, -1e4])
    np.testing.assert_array_equal(bernoulli_log_prob(x, logits), [-1e4, -1e4, 0.0, 0.0])
    gradient = jax.grad(lambda a: bernoulli_log_prob(x, a).sum())(logits)
    np.testing.assert_array_equal(gradient, [1.0, -1.0, 0.0, 0.0])


def test_the_categorical_density_is_scipys_whichever_side_is_repeated():
    logits = RANDOM.normal(size=(3, 4)) * 3
    expected = special.log_softmax(logits, axis=-1)
    table = jnp.asarray(logits, jnp.float32)
    for value in range(4):
        found = categorical_log_prob(jnp.full(3, value, jnp.float32), table)
        np.testing.assert_allclose(found, expected[:, value], rtol=1e-5)
    x = jnp.asarray([[0.0, 1.0, 3.0], [2.0, 2.0, 0.0]])  # two examples of three elements
    found = categorical_log_prob(x, table[None])
    rows = expected[np.arange(3)[None], np.asarray(x, int)]
    np.testing.assert_allclose(found, rows, rtol=1e-5)
    found = categorical_log_prob(x[:, :1], table[0])  # one element of each, one distribution
    np.testing.assert_allclose(found, expected[0][np.asarray(x[:, :1], int)], rtol=1e-5)


def test_the_categorical_density_is_exact_at_extreme_logits():
    logits = jnp.asarray([1e4, -1e4, 0.0])
    found = [float(categorical_log_prob(jnp.asarray(value), logits)) for value in (0.0, 1.0, 2.0)]
    assert found == [0.0, -2e4, -1e4]


def test_the_normal_density_is_scipys():
    expected = stats.norm.logpdf(np.float64(A), np.float64(B), np.exp(np.float64(C)))
    np.testing.assert_allclose(normal_log_prob(A, B, C), expected, rtol=1e-5, atol=1e-6)


def test_the_closed_form_kl_is_the_monte_carlo_one():
    mean, log_std = 2 * A[:8], B[:8]
    std, num = jnp.exp(log_std), 100_000
    z = mean[None] + std[None] * jax.random.normal(jax.random.key(0), (num, 8))
    posterior = normal_log_prob(z, mean[None], log_std[None])
    ratio = posterior - normal_log_prob(z, jnp.zeros(()), jnp.zeros(()))
    error = ratio.std(axis=0) / num**0.5
    assert float((jnp.abs(ratio.mean(axis=0) - normal_kl(mean, log_std)) / error).max()) < 4
    assert float(error.max()) < 0.05


def test_the_kl_is_zero_at_the_prior_alone():
    assert float(normal_kl(jnp.zeros(()), jnp.zeros(()))) == 0.0
    assert float(normal_kl(A, B).min()) > 0


def test_the_gradients_of_the_kl_are_m_and_half_of_s2_minus_1():
    by_mean, by_log_std = jax.grad(lambda m, s: normal_kl(m, s).sum(), (0, 1))(A, B)
    np.testing.assert_allclose(by_mean, A, rtol=1e-6)
    by_log_variance = by_log_std / 2
    np.testing.assert_allclose(by_log_variance, (jnp.exp(2 * B) - 1) / 2, rtol=1e-4, atol=1e-6)


def logistic_table(levels, means, log_scales):
    """log P of every level, [levels, means, log_scales]."""
    x = jnp.arange(levels, dtype=jnp.float32)[:, None, None]
    mean = jnp.asarray(means, jnp.float32)[None, :, None]
    log_scale = jnp.asarray(log_scales, jnp.float32)[None, None, :]
    return lambda m=mean, s=log_scale: discretized_logistic_log_prob(x, m, s, levels)


MEANS, LOG_SCALES = (
    (-1e6, -300, -0.5, 0, 0.5, 1.3, 100, 254.9, 1e6),
    (-20, -10, -3, 0, 2, 6, 15, 40),
)


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_the_discretised_logistic_sums_to_one_however_extreme(levels):
    log_prob = logistic_table(levels, MEANS, LOG_SCALES)()
    assert float(log_prob.max()) <= 0
    np.testing.assert_allclose(jnp.exp(log_prob).sum(axis=0), 1, atol=2e-5)


def test_the_discretised_logistic_has_finite_values_and_gradients():
    table = logistic_table(256, MEANS, LOG_SCALES)
    shape = (256, len(MEANS), len(LOG_SCALES))
    mean = jnp.broadcast_to(jnp.asarray(MEANS, jnp.float32)[None, :, None], shape)
    log_scale = jnp.broadcast_to(jnp.asarray(LOG_SCALES, jnp.float32), shape)
    assert np.isfinite(table()).all()
    gradients = jax.grad(lambda m, s: table(m, s).sum(), (0, 1))(mean, log_scale)
    assert all(np.isfinite(g).all() for g in gradients)


def test_the_discretised_logistic_is_a_difference_of_scipys_cdfs():
    means, scales = (-0.7, 1.2, 4.0), (-0.5, 0.3, 1.5)
    mean, scale = np.array(means)[None, :, None], np.exp(scales)
    x = np.arange(5)[:, None, None]
    upper = np.where(x == 4, np.inf, x + 0.5)
    lower = np.where(x == 0, -np.inf, x - 0.5)
    expected = stats.logistic.cdf(upper, mean, scale) - stats.logistic.cdf(lower, mean, scale)
    np.testing.assert_allclose(logistic_table(5, means, scales)(), np.log(expected), atol=1e-4)


def test_scales_of_the_discretised_logistic_are_clipped_where_it_is_said():
    x = jnp.arange(5.0)

    def at(log_scale):
        return discretized_logistic_log_prob(x, jnp.asarray(2.2), jnp.asarray(log_scale), 5)

    np.testing.assert_array_equal(at(-20.0), at(-10.0))
    assert (at(-9.9) != at(-10.0)).any()
    np.testing.assert_array_equal(at(50.0), at(30.0))
    draws = [
        sample_discretized_logistic(jax.random.key(0), jnp.full(99, 2.2), jnp.full(99, s), 5)
        for s in (-50.0, 50.0)
    ]
    assert np.unique(draws[0]).tolist() == [2.0]  # the nearest level
    assert np.unique(draws[1]).tolist() == [0.0, 4.0]  # the outermost ones alone


def test_draws_of_the_discretised_logistic_follow_its_probabilities():
    mean, log_scale, num = 1.2, 0.3, 50_000
    arguments = (jnp.full(num, mean), jnp.full(num, log_scale))
    draws = np.asarray(sample_discretized_logistic(jax.random.key(0), *arguments, 5)).astype(int)
    probabilities = np.exp(np.float64(logistic_table(5, [mean], [log_scale])()[:, 0, 0]))
    counts = np.bincount(draws, minlength=5)
    assert stats.chisquare(counts, num * probabilities / probabilities.sum()).pvalue > 1e-4


@pytest.mark.parametrize("axis", [0, 1])
def test_log_mean_exp_neither_over_nor_underflows(axis):
    x = RANDOM.normal(size=(4, 6)) * 3
    expected = np.log(np.exp(x).mean(axis))
    for shift in (0.0, 1000.0, -1000.0):
        found = log_mean_exp(jnp.asarray(x + shift, jnp.float32), axis)
        np.testing.assert_allclose(found - shift, expected, atol=3e-4)
    x = jnp.asarray(x, jnp.float32)
    np.testing.assert_array_equal(log_mean_exp(x), log_mean_exp(x, 0))
