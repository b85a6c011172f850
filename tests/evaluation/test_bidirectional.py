"""Annealed importance sampling of decoders by HMC, and bounds from both sides, on closed forms."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.distributions import log_mean_exp, normal_log_prob
from jaxgen.evaluation import annealed, bidirectional, hmc
from jaxgen.vae.linear_gaussian import LinearGaussian, marginal_log_prob

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
MODEL = LinearGaussian(
    jnp.asarray(RANDOM.normal(size=(6, 2)), jnp.float32),
    jnp.asarray(RANDOM.normal(size=6), jnp.float32),
    jnp.sqrt(jnp.asarray(0.3, jnp.float32)),
)


def standard(z):
    return normal_log_prob(z, jnp.zeros(()), jnp.zeros(())).sum(axis=-1)


def drawn(key, num):
    return jax.random.normal(key, (num, 2))


def from_prior(x):
    def log_likelihood(z):
        mean = z @ MODEL.weight.T + MODEL.bias[None]
        return normal_log_prob(x[None], mean, jnp.log(MODEL.std)).sum(axis=-1)

    return hmc.Target(drawn, standard, log_likelihood)


def from_wide(x):
    """The path from N(1, 4 I), as from an encoder that is not the posterior."""
    joint = from_prior(x)

    def start(key, num):
        return 1 + 2 * drawn(key, num)

    def log_base(z):
        return normal_log_prob(z, jnp.ones(()), jnp.log(2.0)).sum(axis=-1)

    def log_ratio(z):
        return joint.log_ratio(z) + standard(z) - log_base(z)

    return hmc.Target(start, log_base, log_ratio)


@lru_cache
def simulated(num):
    latent_key, noise_key = jax.random.split(KEY)
    z = jax.random.normal(latent_key, (num, 2))
    noise = jax.random.normal(noise_key, (num, 6))
    return z, z @ MODEL.weight.T + MODEL.bias[None] + MODEL.std * noise


@lru_cache
def errors(target_of, num_temperatures):
    """The errors of estimates of 20 examples by 64 chains."""
    _, x = simulated(20)

    @jax.jit
    def estimate(x, key):
        betas = annealed.sigmoid_schedule(num_temperatures)
        return bidirectional.log_marginal(target_of, x, key, betas, 64)

    return np.asarray(estimate(x, KEY) - marginal_log_prob(MODEL, x))


@pytest.mark.parametrize("target_of", [from_prior, from_wide])
def test_estimates_come_near_the_closed_form_with_the_temperatures(target_of):
    few = errors(target_of, 200)
    many = errors(target_of, 1000)
    assert abs(few[:5]).max() <= 0.25
    assert abs(many[:5]).max() <= 0.12
    assert abs(many).mean() < abs(few).mean()


def test_the_bounds_are_on_either_side_in_the_mean_of_64_simulated_pairs():
    """Few temperatures, so that both are loose, and in the order that theory has."""
    z, x = simulated(64)

    @jax.jit
    def bound(x, z, key):
        return bidirectional.sandwich(from_prior, x, z, key, annealed.sigmoid_schedule(20), 4)

    made = bound(x, z, KEY)
    exact = np.asarray(marginal_log_prob(MODEL, x))
    for error in (exact - np.asarray(made.lower), np.asarray(made.upper) - exact):
        assert error.mean() > 3 * error.std() / len(error) ** 0.5
    assert np.allclose(made.gap, made.upper - made.lower)


def test_bounds_close_with_the_temperatures():
    z, x = simulated(64)

    @jax.jit
    def bound(x, z, key):
        return bidirectional.sandwich(from_prior, x, z, key, annealed.sigmoid_schedule(200), 16)

    made = bound(x, z, KEY)
    exact = np.asarray(marginal_log_prob(MODEL, x))
    assert abs(np.mean(np.asarray(made.lower) - exact)) <= 0.1
    assert abs(np.mean(np.asarray(made.upper) - exact)) <= 0.1


def test_without_distributions_between_it_is_importance_sampling_with_the_same_key():
    _, x = simulated(1)
    target = from_prior(x[0])
    path = hmc.path(target, np.array([0.0, 1.0]), np.array([0.1, 0.1]))
    weights = annealed.log_weights(path, KEY, np.array([0.0, 1.0]), 50)
    start_key, _ = jax.random.split(KEY)
    plain = target.log_ratio(target.start(start_key, 50))
    np.testing.assert_allclose(weights, plain, rtol=1e-5)
    assert float(log_mean_exp(weights)) == pytest.approx(float(log_mean_exp(plain)), rel=1e-5)


@pytest.mark.parametrize("num", [1, 7, 100])
def test_the_schedule_rises_from_0_to_1(num):
    betas = annealed.sigmoid_schedule(num)
    assert len(betas) == num + 1
    assert (betas[0], betas[-1]) == (0, 1)
    assert (np.diff(betas) > 0).all()
    np.testing.assert_allclose(betas + betas[::-1], 1, atol=1e-12)


def quartic(z):
    return -(z**4).sum(axis=-1) / 4 + z[:, 0] * z[:, 1]


def energy(z, momentum):
    return float((-quartic(z) + 0.5 * (momentum**2).sum(axis=-1))[0])


def test_a_trajectory_leads_back_and_its_energy_errs_by_the_square_of_the_step():
    with jax.enable_x64(True):
        z = jnp.asarray([[0.7, -0.4]])
        momentum = jnp.asarray([[0.3, 0.9]])
        end, last = hmc.leapfrog(quartic, z, momentum, 0.1, 10)
        back, first = hmc.leapfrog(quartic, end, -last, 0.1, 10)
        assert abs(back - z).max() <= 1e-10
        assert abs(first + momentum).max() <= 1e-10
        assert abs(end - z).max() > 0.1
        found = []
        for size, num in ((0.1, 10), (0.05, 20), (0.025, 40)):
            at = hmc.leapfrog(quartic, z, momentum, size, num)
            found.append(abs(energy(*at) - energy(z, momentum)))
        assert found[0] / found[1] == pytest.approx(4, rel=0.2)
        assert found[1] / found[2] == pytest.approx(4, rel=0.1)


def test_moves_leave_a_gaussian_as_it_is_even_with_large_steps():
    """N((1, -1), diag(1, 4)), at a step that is refused now and then."""
    mean = jnp.asarray([1.0, -1.0])
    std = jnp.asarray([1.0, 2.0])

    def log_density(z):
        return -0.5 * (((z - mean[None]) / std[None]) ** 2).sum(axis=-1)

    start_key, key = jax.random.split(KEY)
    z = mean[None] + std[None] * jax.random.normal(start_key, (20_000, 2))

    @jax.jit
    def walk(z, key):
        def step(z, key):
            z, acceptance = hmc.move(key, log_density, z, 1.3, 3)
            return z, acceptance.mean()

        return jax.lax.scan(step, z, jax.random.split(key, 20))

    z, acceptance = walk(z, key)
    assert 0.5 < float(acceptance.mean()) < 0.97
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.06)
    np.testing.assert_allclose(z.std(axis=0), std, rtol=0.03)


def test_step_sizes_are_tuned_towards_the_acceptance_that_is_asked_for():
    """At a precision of 1e4 only steps of order 0.01 are taken; the first are of 0.1."""

    def narrow(z):
        return -5e3 * (z**2).sum(axis=-1)

    target = hmc.Target(drawn, standard, narrow)
    betas = np.concatenate([np.zeros(5), np.ones(400)])
    sizes = np.asarray(hmc.tuned_steps(target, KEY, betas, 64))
    assert sizes[0] == pytest.approx(0.1)
    assert sizes[4] > sizes[0]  # all is taken at N(0, I)
    assert sizes[-1] < 0.03
