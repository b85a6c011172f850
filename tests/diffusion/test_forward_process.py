"""The forward process: its values, its composition, and the posterior by Bayes' rule."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.diffusion.process import (
    cleaned,
    diffused,
    posterior_mean,
    process,
    reverse_variance,
)
from jaxgen.errors import ConfigError

BOTH = pytest.mark.parametrize("schedule", ["linear", "cosine"])


def test_the_linear_schedule_has_the_values_of_the_paper():
    found = process("linear", 1000)
    assert found.beta[[1, 1000]] == pytest.approx([1e-4, 0.02], rel=1e-12)
    assert found.signal[[1, 500]] ** 2 == pytest.approx([0.9999, 0.0785872], abs=5e-8)
    assert found.signal[1000] ** 2 == pytest.approx(4.0358298e-5, rel=1e-7)


def test_the_cosine_schedule_has_the_values_of_the_paper():
    found = process("cosine", 1000)
    assert found.beta[1] == pytest.approx(4.1284e-5, rel=1e-4)
    assert found.signal[500] ** 2 == pytest.approx(0.4938436, abs=5e-8)
    assert found.signal[1000] ** 2 == pytest.approx(2.43e-9, rel=1e-3)
    assert (found.beta >= 0.999).sum() == 1


def test_fewer_steps_scale_the_ends_of_the_linear_schedule():
    found = process("linear", 100)
    assert found.beta[[1, 100]] == pytest.approx([1e-3, 0.2], rel=1e-12)
    assert process("linear", 4).beta.max() < 1


@BOTH
@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
def test_single_steps_compose_to_the_closed_form(schedule, num_steps):
    """Mean and variance of x_t given x_0, step after step."""
    found = process(schedule, num_steps)
    mean = 1.0
    variance = 0.0
    for t in range(1, num_steps + 1):
        mean *= np.sqrt(1 - found.beta[t])
        variance = (1 - found.beta[t]) * variance + found.beta[t]
        assert found.signal[t] == pytest.approx(mean, rel=1e-12)
        assert found.noise[t] ** 2 == pytest.approx(variance, rel=1e-12)


@BOTH
def test_the_posterior_is_that_of_bayes_rule(schedule):
    """Precision-weighted mean of N(x_{t-1}; signal x_0, noise^2) and the likelihood of x_t."""
    found = process(schedule, 20)
    clean, noisy = 0.7, -0.4
    for t in range(2, 21):
        prior = 1 / found.noise[t - 1] ** 2
        kept = np.sqrt(1 - found.beta[t])
        likelihood = kept**2 / found.beta[t]
        variance = 1 / (prior + likelihood)
        weighted = prior * found.signal[t - 1] * clean + kept / found.beta[t] * noisy
        assert found.posterior_variance[t] == pytest.approx(variance, rel=1e-10)
        mean = found.of_clean[t] * clean + found.of_noisy[t] * noisy
        assert mean == pytest.approx(variance * weighted, rel=1e-10)


def test_the_two_forms_of_the_mean_are_one():
    """By the guessed noise, as the paper prints it, and by the guess of x_0."""
    found = process("linear", 10)
    random = np.random.default_rng(0)
    noisy, noise = jnp.asarray(random.normal(size=(2, 10, 3)), jnp.float32)
    t = np.arange(1, 11)
    clean = cleaned(found, noisy, noise, t)
    by_clean = posterior_mean(found, clean, noisy, t)
    beta = found.beta[1:, None]
    weight = beta / found.noise[1:, None]
    expected = (np.asarray(noisy) - weight * np.asarray(noise)) / np.sqrt(1 - beta)
    assert np.asarray(by_clean) == pytest.approx(expected, abs=1e-5)
    assert np.asarray(diffused(found, clean, noise, t)) == pytest.approx(
        np.asarray(noisy), abs=1e-5
    )


def test_variances_of_the_way_back():
    found = process("linear", 10)
    large = reverse_variance(found, "large")
    small = reverse_variance(found, "small")
    assert large[2:] == pytest.approx(found.beta[2:])
    assert small[2:] == pytest.approx(found.posterior_variance[2:])
    assert large[1] == small[1] == found.posterior_variance[2] > 0
    assert reverse_variance(process("linear", 1), "small")[1] > 0


@pytest.mark.parametrize(
    ("schedule", "num_steps", "message"),
    [
        ("quadratic", 10, "schedule: got 'quadratic', expected one of linear, cosine"),
        ("linear", 0, "num_steps: got 0"),
        ("linear", 200_000, "num_steps: got 200000"),
    ],
)
def test_what_is_no_process_is_refused(schedule, num_steps, message):
    with pytest.raises(ConfigError, match=message):
        process(schedule, num_steps)
