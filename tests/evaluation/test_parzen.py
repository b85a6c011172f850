"""Parzen windows against closed forms, and how far they are off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.evaluation import parzen

RANDOM = np.random.default_rng(0)


def normal(x, variance):
    """log N(x; 0, variance I)."""
    return -0.5 * ((x**2).sum(axis=-1) / variance + x.shape[-1] * np.log(2 * np.pi * variance))


def test_one_window_is_a_gaussian():
    x = RANDOM.normal(size=(4, 2, 3))
    sample = RANDOM.normal(size=(1, 2, 3))
    expected = normal((x - sample).reshape(4, 6), 0.3**2)
    np.testing.assert_allclose(parzen.log_prob(x, sample, 0.3), expected, rtol=1e-4)


def test_the_mean_density_over_sample_sets_is_that_of_the_blurred_distribution():
    x = np.array([[0.0, 0.0], [1.0, -0.5]], np.float32)
    samples = RANDOM.normal(size=(4000, 5, 2)).astype(np.float32)
    sets = jax.vmap(lambda of_set: parzen.log_prob(x, of_set, 0.5))(jnp.asarray(samples))
    density = np.exp(np.asarray(sets, np.float64))
    error = density.std(axis=0) / len(samples) ** 0.5
    expected = np.exp(normal(x, 1 + 0.5**2))
    assert (abs(density.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.03 * expected).all()


def test_the_order_of_samples_does_not_matter():
    x = RANDOM.normal(size=(3, 4))
    samples = RANDOM.normal(size=(50, 4))
    shuffled = samples[RANDOM.permutation(50)]
    given = parzen.log_prob(x, samples, 0.5)
    np.testing.assert_allclose(parzen.log_prob(x, shuffled, 0.5), given, rtol=1e-5)


def test_it_is_nats_low_in_20_dimensions():
    """The sheet's -14.0 nats at K = 100, of samples of the very distribution of x."""
    x = RANDOM.normal(size=(500, 20)).astype(np.float32)
    samples = RANDOM.normal(size=(100, 20)).astype(np.float32)
    bias = np.asarray(parzen.log_prob(x, samples, 0.5)) - normal(x, 1.0)
    assert bias.mean() == pytest.approx(-14.0, abs=1.5)


def test_the_width_is_chosen_by_validation():
    samples = RANDOM.normal(size=(2000, 1))
    x = RANDOM.normal(size=(500, 1))
    assert parzen.choose_std(x, samples, [0.001, 0.2, 5.0]) == 0.2


@pytest.mark.parametrize(
    ("samples", "std", "words"),
    [(np.zeros((1, 2)), 0.0, "std"), (np.zeros((0, 2)), 1.0, "samples")],
)
def test_what_makes_no_density_is_refused(samples, std, words):
    with pytest.raises(ConfigError, match=words):
        parzen.log_prob(np.zeros((1, 2)), samples, std)


def test_no_candidates_are_refused():
    with pytest.raises(ConfigError, match="candidates"):
        parzen.choose_std(np.zeros((1, 2)), np.zeros((1, 2)), [])
