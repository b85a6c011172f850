"""Denoisers: the score identity in closed form, both kinds of Langevin chains, exact figures."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.diffusion import DenoisingAutoencoder, DenoisingEnergy, langevin
from jaxgen.diffusion import denoising_autoencoder as denoising
from jaxgen.errors import ConfigError
from jaxgen.step import init_state, train_step

KEY = jax.random.key(0)
MEAN = np.array([0.5, -1.0])
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.8]])
SIGMA = 0.7
NOISY = COVARIANCE + SIGMA**2 * np.eye(2)


class Linear(nn.Module):
    """A kernel and a bias, as they are given."""

    @nn.compact
    def __call__(self, x):
        """Apply the map."""
        return nn.Dense(2, param_dtype=x.dtype)(x)


def linear(kernel, bias):
    """A linear denoiser with these parameters of sigma times its score."""
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    return DenoisingAutoencoder((2,), Linear(), sigma=SIGMA), {
        "denoiser": {"params": {"Dense_0": params}}
    }


def test_the_best_linear_denoiser_has_the_score_of_the_noisy_gaussian():
    """r(y) = m + S (S + sigma^2 I)^-1 (y - m), whose score is grad log N(m, S + sigma^2 I)."""
    with jax.enable_x64(True):
        y = jnp.asarray(np.random.default_rng(0).normal(size=(50, 2)))
        gain = COVARIANCE @ np.linalg.inv(NOISY)
        reconstructed = MEAN + (np.asarray(y) - MEAN) @ gain.T
        score = (reconstructed - np.asarray(y)) / SIGMA**2
        expected = -(np.asarray(y) - MEAN) @ np.linalg.inv(NOISY)
        assert score == pytest.approx(expected, abs=1e-10)
        kernel = -SIGMA * np.linalg.inv(NOISY)
        model, variables = linear(kernel, -kernel.T @ MEAN)
        assert np.asarray(model.score(variables, y)) == pytest.approx(expected, abs=1e-10)
        denoised = np.asarray(model.denoise(variables, y))
        assert denoised == pytest.approx(reconstructed, abs=1e-10)


def test_gradients_of_denoising_and_of_explicit_score_matching_are_equal():
    """Means over noise and data in closed form, for a linear score A y + b."""
    with jax.enable_x64(True):

        def denoising_loss(params):
            """E || s(y) + (y - x) / sigma^2 ||^2 by the moments of (x, y)."""
            matrix, bias = params
            # s(y) + n / sigma with y = x + sigma n: linear in x - m and n.
            of_x = matrix
            of_noise = SIGMA * matrix + jnp.eye(2) / SIGMA
            constant = matrix @ MEAN + bias
            parts = jnp.trace(of_x @ COVARIANCE @ of_x.T) + jnp.trace(of_noise @ of_noise.T)
            return parts + constant @ constant

        def explicit_loss(params):
            matrix, bias = params
            difference = matrix + np.linalg.inv(NOISY)
            constant = matrix @ MEAN + bias
            return jnp.trace(difference @ NOISY @ difference.T) + constant @ constant

        params = (jnp.asarray([[-0.3, 0.2], [0.1, -0.9]]), jnp.asarray([0.4, -0.2]))
        one, other = jax.grad(denoising_loss)(params), jax.grad(explicit_loss)(params)
        for slope, expected in zip(one, other, strict=True):
            assert np.asarray(slope) == pytest.approx(np.asarray(expected), abs=1e-10)

        # The model's own loss is that mean, times sigma^2 / D.
        matrix, bias = params
        model, variables = linear(SIGMA * matrix.T, SIGMA * bias)
        x_key, noise_key = jax.random.split(KEY)
        root = np.linalg.cholesky(COVARIANCE)
        x = MEAN[None] + jax.random.normal(x_key, (400_000, 2)) @ root.T
        errors = np.asarray(jax.jit(model.denoising_error)(variables, x, noise_key))
        expected = float(denoising_loss(params)) * SIGMA**2 / 2
        assert errors.mean() == pytest.approx(expected, abs=4 * errors.std() / len(x) ** 0.5)


def test_the_unadjusted_chain_has_the_variance_of_its_formula():
    """s^2 / (1 - e^2 / (4 s^2)) of N(0, s^2), for e = 1 and s^2 = 1.7: 1.9931."""
    variance = 1.7
    expected = variance / (1 - 1 / (4 * variance))
    assert expected == pytest.approx(1.9931, abs=5e-5)

    def field(x):
        return -x / variance

    def move(x, key):
        return langevin.unadjusted(field, key, x, 1.0), None

    start = jnp.zeros((200_000, 1))
    x, _ = jax.jit(lambda x: jax.lax.scan(move, x, jax.random.split(KEY, 40)))(start)
    assert float(x.var()) == pytest.approx(expected, abs=4 * expected * (2 / len(x)) ** 0.5)
    # One move, by its mean and its variance, keeps that variance exactly.
    contraction = 1 - 0.5 / variance
    assert contraction**2 * expected + 1 == pytest.approx(expected, abs=1e-12)


def test_the_adjusted_chain_has_the_variance_of_the_law():
    variance = 1.7

    def of(x):
        return 0.5 * (x[:, 0] ** 2) / variance, -x / variance

    def move(x, key):
        return langevin.adjusted(of, key, x, 1.0)

    start = variance**0.5 * jax.random.normal(KEY, (200_000, 1))
    keys = jax.random.split(jax.random.key(1), 20)
    x, taken = jax.jit(lambda x: jax.lax.scan(move, x, keys))(start)
    assert float(x.var()) == pytest.approx(variance, abs=4 * variance * (2 / len(x)) ** 0.5)
    assert 0.5 < float(taken.mean()) < 1


def kernel_matrix(points, energy, score, step):
    """The adjusted kernel among a few points [K, 1], float64: off the diagonal q a, times a weight.

    Proposals to other points are left out, which changes no ratio.
    """
    with jax.enable_x64(True):
        x, e, s = (jnp.asarray(part, jnp.float64) for part in (points, energy, score))
        num = len(x)
        here = jnp.repeat(jnp.arange(num), num)
        there = jnp.tile(jnp.arange(num), num)
        mean = langevin.proposal_mean(x, s, step)
        forwards = langevin.log_proposal(x[there], mean[here], step)
        backwards = langevin.log_proposal(x[here], mean[there], step)
        chance = langevin.log_acceptance((e[here], e[there]), (forwards, backwards))
        moved = np.asarray(jnp.exp(forwards + chance)).reshape(num, num) / num
    np.fill_diagonal(moved, 0)
    return moved + np.diag(1 - moved.sum(axis=1))


def test_the_adjusted_kernel_leaves_its_law_as_it_is():
    points = np.linspace(-2, 2, 12)[:, None]
    energy = 0.3 * points[:, 0] ** 4 - points[:, 0] ** 2
    score = -(1.2 * points**3 - 2 * points)
    matrix = kernel_matrix(points, energy, score, 0.6)
    law = np.exp(-energy) / np.exp(-energy).sum()
    assert np.abs(law @ matrix - law).max() < 1e-12
    flux = law[:, None] * matrix
    assert np.abs(flux - flux.T).max() < 1e-12
    wrong = kernel_matrix(points, 2 * energy, score, 0.6)
    assert np.abs(law @ wrong - law).max() > 1e-4


CENTRES = np.array([[-1.0], [1.0]])
STD = 0.2


def responsibilities(y, spread):
    exponents = -((y - CENTRES.T) ** 2) / (2 * spread)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def test_the_best_denoiser_of_two_modes_is_the_score_formula_both_ways():
    sigma = 0.5
    spread = STD**2 + sigma**2
    y = np.linspace(-2, 2, 41)[:, None]
    share = responsibilities(y, spread)
    means = CENTRES.T + STD**2 / spread * (y - CENTRES.T)
    best = (share * means).sum(axis=1)
    score = (share * (CENTRES.T - y)).sum(axis=1) / spread
    assert best == pytest.approx(y[:, 0] + sigma**2 * score, abs=1e-12)


def trained(model, steps=1500):
    """Return variables after so many steps on two modes."""
    players = model.players(optax.adam(optax.cosine_decay_schedule(5e-3, steps)))
    state = init_state(KEY, model.init(KEY), players)
    centres = jnp.asarray(CENTRES, jnp.float32)

    def step(state, key):
        mode_key, noise_key = jax.random.split(key)
        mode = jax.random.randint(mode_key, (256,), 0, 2)
        x = centres[mode] + STD * jax.random.normal(noise_key, (256, 1))
        return train_step(players, state, {"image": x})

    keys = jax.random.split(jax.random.key(1), steps)
    return jax.jit(lambda state: jax.lax.scan(step, state, keys)[0])(state).variables


@pytest.mark.parametrize("energy", [False, True])
def test_a_trained_denoiser_is_near_the_best_and_its_chains_visit_both_modes(energy):
    sigma = 0.5
    model = denoising.mlp(
        (1,), energy=energy, hidden=(32, 32), sigma=sigma, step=0.4, moves=300, spread=1.1
    )
    variables = trained(model)
    y = np.linspace(-1.8, 1.8, 37)[:, None].astype(np.float32)
    spread = STD**2 + sigma**2
    share = responsibilities(y, spread)
    expected = (share * (CENTRES.T - y)).sum(axis=1) / spread
    found = np.asarray(model.score(variables, y))[:, 0]
    assert np.abs(found - expected).mean() < 0.25

    def move(y, key):
        return model.move(variables, key, y), None

    start = jnp.full((4000, 1), -1.0)  # all in one mode
    keys = jax.random.split(KEY, 300)
    noisy, _ = jax.jit(lambda y: jax.lax.scan(move, y, keys))(start)
    right = float((np.asarray(noisy) > 0).mean())
    assert 0.4 < right < 0.6
    # p_sigma: two modes of that spread.
    tolerance = 0.1 if energy else 0.2
    assert float(noisy.var()) == pytest.approx(1 + spread, rel=tolerance)
    clean = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 4000))
    assert np.abs(np.abs(clean) - 1).mean() < 0.3
    rough = replace(model, denoised=False)
    assert float(rough.sample(variables, KEY, 4000).var()) > float(clean.var()) + 0.1


def test_the_slope_of_the_energy_is_minus_the_score():
    model = denoising.mlp((3,), energy=True, hidden=(6,))
    assert isinstance(model, DenoisingEnergy)
    variables = jax.tree.map(lambda leaf: leaf + 0.2, model.init(KEY))
    y = jax.random.normal(KEY, (5, 3))
    slope = jax.grad(lambda y: model.energy(variables, y).sum())(y)
    assert np.asarray(model.score(variables, y)) == pytest.approx(-np.asarray(slope), abs=1e-6)
    fresh = model.energy(model.init(KEY), y)
    assert np.asarray(fresh) == pytest.approx(0.5 * np.square(y).sum(axis=1), abs=1e-5)


def test_a_fresh_denoiser_has_the_error_of_doing_nothing():
    model = denoising.mlp((4,), hidden=(6,))
    x = jax.random.normal(KEY, (5000, 4))
    loss, _ = model.denoiser_loss(model.init(KEY), {"image": x}, jax.random.key(1))
    assert float(loss) == pytest.approx(1.0, abs=0.04)


def test_the_chain_of_a_key_ends_at_its_samples():
    model = denoising.mlp((3,), hidden=(6,), moves=9)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
    strip = np.asarray(model.chain(variables, KEY, 4, 4))
    assert strip.shape == (4, 4, 3)
    sample = np.asarray(model.sample(variables, KEY, 4))
    assert strip[:, -1] == pytest.approx(sample, abs=1e-6)
    assert np.abs(np.diff(strip, axis=1)).min() > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sigma": 0.0}, "sigma: got 0"),
        ({"step": -1.0}, "step: got -1"),
        ({"spread": 0.0}, "spread: got 0"),
        ({"moves": 0}, "moves: got 0"),
        ({"shape": (0,)}, "shape: got"),
    ],
)
def test_settings_that_make_no_denoiser_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        replace(denoising.mlp((2,), hidden=(3,)), **fields)
