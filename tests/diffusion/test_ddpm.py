"""DDPM: its loss, its bound below a known truth, the decoder, and the ring that it covers."""

import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from diffusion.gaussian import BestNoise

from jaxgen.data.readers.mixtures import MIXTURES
from jaxgen.diffusion import DDIM, DDPM, MLPDenoiser, ddpm
from jaxgen.diffusion.ddpm import decoder
from jaxgen.diffusion.process import process, reverse_variance
from jaxgen.errors import ConfigError
from jaxgen.evaluation.modes import measure_modes
from jaxgen.step import init_state, train_step

KEY = jax.random.key(0)


def minimum(std):
    """The least of L_simple for data N(0, s^2): the mean over t of ab s^2 / (ab s^2 + 1 - ab)."""
    kept = process("linear", 1000).signal[1:] ** 2
    return (kept * std**2 / (kept * std**2 + 1 - kept)).mean()


@pytest.mark.parametrize(("std", "value"), [(2.0, 0.395407), (0.5, 0.173053)])
def test_the_best_denoiser_has_the_least_loss(std, value):
    assert minimum(std) == pytest.approx(value, abs=5e-7)
    model = DDPM((4,), BestNoise(std))
    variables = model.init(KEY)
    x = std * jax.random.normal(KEY, (50_000, 4))
    loss, _ = jax.jit(model.ddpm_loss)(variables, {"image": x}, jax.random.key(1))
    assert float(loss) == pytest.approx(value, rel=0.015)


def test_a_fresh_network_has_the_loss_of_no_guess():
    model = ddpm.mlp((8,), hidden=(16,))
    x = jax.random.normal(KEY, (10_000, 8))
    loss, _ = jax.jit(model.ddpm_loss)(model.init(KEY), {"image": x}, KEY)
    assert float(loss) == pytest.approx(1.0, abs=0.01)


def trained(model, draw, *, steps, batch=256, rate=2e-3, seed=0):
    """Return the average of the parameters after so many steps in one compiled scan."""
    tx = optax.adam(optax.cosine_decay_schedule(rate, steps))
    players = model.players(tx)
    init_key, state_key, run_key = jax.random.split(jax.random.key(seed), 3)
    state = init_state(state_key, model.init(init_key), players, ema=True)

    def step(state, key):
        return train_step(players, state, {"image": draw(key, batch)}, ema_decay=0.995)

    def everything(state):
        return jax.lax.scan(step, state, jax.random.split(run_key, steps))[0]

    return jax.jit(everything)(state).ema


@pytest.mark.parametrize("std", [2.0, 0.5])
def test_a_trained_network_comes_near_the_least_loss_and_not_below(std):
    model = ddpm.mlp((1,), hidden=(32, 32))
    variables = trained(model, lambda key, num: std * jax.random.normal(key, (num, 1)), steps=1500)
    x = std * jax.random.normal(jax.random.key(5), (200_000, 1))
    t = jax.random.randint(jax.random.key(6), (len(x),), 1, 1001)
    errors = jax.jit(model.squared_error_of_noise)(variables, x, t, jax.random.key(7))
    found = float(errors.mean())
    error = float(errors.std()) / len(x) ** 0.5
    assert minimum(std) - 4 * error < found < 1.03 * minimum(std)


def expected_bound(std, variance):
    """Return E[-ELBO] of data N(0, s^2) under the best denoiser, in closed form."""
    found = process("linear", 1000)
    assumed = reverse_variance(found, variance)
    kept = found.signal**2
    unknown = std**2 * (1 - kept) / (kept * std**2 + 1 - kept)  # Var(x_0 | x_t)
    ratio = found.posterior_variance[2:] / assumed[2:]
    squares = (found.of_clean**2 * unknown)[2:] / assumed[2:]
    divergences = 0.5 * (squares + ratio - 1 - np.log(ratio))
    first = 0.5 * (np.log(2 * np.pi * assumed[1]) + unknown[1] / assumed[1])
    last = 1 - kept[-1]
    prior = 0.5 * (kept[-1] * std**2 + last - 1 - np.log(last))
    return prior + divergences.sum() + first


@pytest.mark.parametrize("std", [2.0, 0.5])
@pytest.mark.parametrize("variance", ["large", "small"])
def test_the_bound_is_that_of_the_closed_form_and_below_the_truth(std, variance):
    entropy = 0.5 * np.log(2 * np.pi * np.e * std**2)
    expected = expected_bound(std, variance)
    assert entropy < expected < entropy + 1
    model = DDPM((), BestNoise(std), variance=variance)
    x = std * jax.random.normal(KEY, (20_000,))
    terms = jax.jit(model.bound_terms)(model.init(KEY), x, jax.random.key(1))
    total = np.asarray(terms, np.float64).sum(axis=0)
    assert total.mean() == pytest.approx(expected, abs=4 * total.std() / len(x) ** 0.5)
    assert np.asarray(terms)[2:].min() >= -1e-6  # divergences


def test_drawn_steps_have_the_mean_of_all_terms():
    model = replace(ddpm.mlp((3,), hidden=(8,), num_steps=12), variance="small")
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
    x = jax.random.normal(KEY, (5, 3))
    keys = jax.random.split(jax.random.key(3), 4000)
    terms = jax.jit(jax.vmap(lambda key: model.bound_terms(variables, x, key).sum(axis=0)))(keys)
    for num_samples in (1, 4, 30):
        drawn = jax.jit(jax.vmap(lambda key: model.elbo(variables, x, key, num_samples)))(keys)  # noqa: B023
        spread = (drawn.var(axis=0) + terms.var(axis=0)) ** 0.5 / len(keys) ** 0.5
        error = np.abs(np.asarray(drawn.mean(axis=0) + terms.mean(axis=0)))
        assert (error < 5 * np.asarray(spread)).all()


def test_the_loss_of_the_bound_is_minus_the_bound():
    model = replace(ddpm.mlp((3,), hidden=(8,), num_steps=12, objective="bound"), clip=False)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
    x = jax.random.normal(KEY, (5, 3))
    keys = jax.random.split(jax.random.key(3), 20_000)

    @jax.jit
    @jax.vmap
    def both(key):
        loss, _ = model.ddpm_loss(variables, {"image": x}, key)
        return loss, -model.elbo(variables, x, key, 1).mean()

    loss, minus_bound = (np.asarray(part) for part in both(keys))
    error = (loss.var() + minus_bound.var()) ** 0.5 / len(keys) ** 0.5
    assert abs(loss.mean() - minus_bound.mean()) < 5 * error


def test_the_bound_of_one_level_pixel_is_below_its_probability():
    """T = 2 steps, one pixel of three levels: p(x) by a sum over a grid of x_1 and x_2."""
    model = ddpm.mlp((1,), levels=3, hidden=(8,), num_steps=2, schedule="cosine")
    variables = jax.tree.map(lambda leaf: leaf + 0.2, model.init(KEY))
    points = jnp.linspace(-8, 8, 1601)[:, None]
    width = 16 / 1600
    moves = model.moves
    denoise = model.denoiser(variables)

    def mean(x, t, row):
        return moves.of_clean[row] * denoise(x, jnp.asarray(t)) + moves.of_noisy[row] * x

    density = jnp.exp(-0.5 * points[:, 0] ** 2) / (2 * np.pi) ** 0.5 * width  # of x_2
    std = float(moves.std[0])
    middle = mean(points, 2, 0)
    moved = jnp.exp(-0.5 * ((points.T - middle) / std) ** 2) / (std * (2 * np.pi) ** 0.5) * width
    density = density @ moved  # of x_1
    last = mean(points, 1, 1)
    first_std = float(np.sqrt(model.process.posterior_variance[2]))
    x = jnp.asarray([[0.0], [1.0], [2.0]])
    y = decoder.normalize(x, 3)
    likelihood = jnp.exp(decoder.decoder_log_prob(y, last.T, first_std, 3))  # [3, grid]
    exact = np.asarray(likelihood @ density)
    assert exact.sum() == pytest.approx(1.0, abs=1e-4)
    keys = jax.random.split(KEY, 20_000)
    drawn = jax.jit(jax.vmap(lambda key: model.elbo(variables, x, key, 1)))(keys)
    bound = np.asarray(drawn.mean(axis=0))
    error = np.asarray(drawn.std(axis=0)) / len(keys) ** 0.5
    assert (bound < np.log(exact) + 5 * error).all()
    assert (bound > np.log(exact) - 3).all()


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("std", [0.007, 0.1, 2.0])
def test_probabilities_of_levels_sum_to_one(levels, std):
    y = decoder.normalize(jnp.arange(levels, dtype=jnp.float32), levels)[:, None]
    mean = jnp.linspace(-1.3, 1.3, 53)[None]
    log_prob = decoder.decoder_log_prob(y, mean, std, levels)
    assert np.isfinite(log_prob).all()
    total = np.exp(np.asarray(log_prob, np.float64)).sum(axis=0)
    assert total == pytest.approx(np.ones(53), abs=2e-4)


def test_levels_go_there_and_back():
    x = jnp.arange(17.0)
    y = decoder.normalize(x, 17)
    assert float(y[0]) == -1
    assert float(y[-1]) == 1
    np.testing.assert_array_equal(decoder.rounded(y + 0.05, 17), x)
    assert np.asarray(decoder.denormalize(y, 17)) == pytest.approx(np.asarray(x), abs=1e-5)
    np.testing.assert_array_equal(decoder.rounded(jnp.array([-3.0, 3.0]), 17), [0, 16])
    np.testing.assert_array_equal(decoder.rounded(x, None), x)


def test_the_chain_of_a_key_ends_at_its_samples():
    for ddim in (None, DDIM(4, eta=1.0)):
        model = ddpm.mlp((3,), levels=5, hidden=(8,), num_steps=8, ddim=ddim)
        variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
        strip = np.asarray(model.chain(variables, KEY, 6, 3))
        assert strip.shape == (6, 3, 3)
        sample = np.asarray(model.sample(variables, KEY, 6))
        np.testing.assert_array_equal(np.rint(strip[:, -1]).clip(0, 4), sample)
        assert np.abs(strip[:, 0] - strip[:, -1]).max() > 0.5


RING = MIXTURES["ring"]


def cover(seed):
    """Train on the ring, draw 2500 samples: modes covered, and share of high quality."""
    centres = jnp.asarray(RING.centres)

    def draw(key, num):
        mode_key, noise_key = jax.random.split(key)
        mode = jax.random.randint(mode_key, (num,), 0, len(centres))
        return centres[mode] + RING.std * jax.random.normal(noise_key, (num, 2))

    model = ddpm.mlp((2,), num_steps=100, frequencies=4, variance="small")
    variables = trained(model, draw, steps=2000, seed=seed)
    x = jax.jit(model.sample, static_argnums=2)(variables, jax.random.key(seed + 50), 2500)
    found = measure_modes(x, centres, RING.std)
    return int(found.covered), float(found.high_quality)


def test_the_ring_is_covered():
    modes, high_quality = cover(0)
    assert modes == 8
    assert high_quality > 0.9


@pytest.mark.slow
def test_the_ring_is_covered_in_every_seed_in_two_minutes():
    began = time.monotonic()
    found = [cover(seed) for seed in range(5)]
    assert [modes for modes, _ in found] == [8] * 5
    assert time.monotonic() - began < 120


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective": "best"}, "objective: got 'best', expected one of simple, bound"),
        ({"variance": "medium"}, "variance: got 'medium'"),
        ({"schedule": "sine"}, "schedule: got 'sine'"),
        ({"levels": 1}, "levels: got 1"),
        ({"ddim": DDIM(50)}, "ddim.steps: got 50, expected at most num_steps, 10"),
        ({"num_steps": 0}, "num_steps: got 0"),
    ],
)
def test_settings_that_make_no_model_are_refused(fields, message):
    model = ddpm.mlp((2,), hidden=(4,), num_steps=10)
    with pytest.raises(ConfigError, match=message):
        replace(model, **fields)


def test_the_network_is_told_the_time_and_the_place():
    network = MLPDenoiser((8, 8), frequencies=2)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    variables = network.init(KEY, x, jnp.zeros(4))
    perturbed = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    first = network.apply(perturbed, x, jnp.full(4, 10.0))
    assert first.shape == x.shape
    assert np.abs(first - network.apply(perturbed, x, jnp.full(4, 20.0))).max() > 1e-3
    np.testing.assert_array_equal(network.apply(variables, x, jnp.zeros(4)), np.zeros((4, 3)))
