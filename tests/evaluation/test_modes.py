"""Modes of known mixtures: what a perfect sampler gets, what a collapsed one, what none."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data.readers.mixtures import MIXTURES
from jaxgen.evaluation.modes import (
    covered,
    divergence_from_uniform,
    label_counts,
    measure_modes,
    mode_counts,
    stacked_label,
)

RING, GRID = (
    (jnp.asarray(MIXTURES[name].centres), MIXTURES[name].std) for name in ("ring", "grid")
)


def mixture(key, centres, std, num=2500):
    """Exact draws: a mode each, then a Gaussian."""
    mode_key, noise_key = jax.random.split(key)
    mode = jax.random.randint(mode_key, (num,), 0, len(centres))
    return centres[mode] + std * jax.random.normal(noise_key, (num, centres.shape[1]))


@pytest.mark.parametrize(("name", "radius"), [("ring", 2.0), ("small_ring", 1.0)])
def test_the_rings_have_eight_centres_apart(name, radius):
    centres = np.asarray(MIXTURES[name].centres)
    assert len(np.unique(centres.round(6), axis=0)) == 8
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1)[~np.eye(8, dtype=bool)]
    assert gaps.min() == pytest.approx(2 * radius * math.sin(math.pi / 8), rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), radius, rtol=1e-9)


def test_the_grid_is_that_of_the_papers():
    line = [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert sorted(MIXTURES["grid"].centres) == [(x, y) for x in line for y in line]


@pytest.mark.parametrize("name", MIXTURES)
def test_what_the_sampler_draws_is_of_high_quality(name):
    x = MIXTURES[name].draw(np.random.default_rng(0), 2500)
    found = measure_modes(x, jnp.asarray(MIXTURES[name].centres), MIXTURES[name].std)
    assert found.covered == len(MIXTURES[name].centres)
    assert found.high_quality == pytest.approx(0.9889, abs=0.01)
    assert found.reverse_kl < 0.01


@pytest.mark.parametrize(("centres", "std"), [RING, GRID])
def test_exact_draws_cover_all_modes(centres, std):
    found = measure_modes(mixture(jax.random.key(0), centres, std), centres, std)
    assert found.covered == len(centres)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.01)
    assert 0 <= found.reverse_kl < 0.01


@pytest.mark.parametrize(("centres", "std"), [RING, GRID])
def test_one_mode_is_as_far_from_uniform_as_can_be(centres, std):
    found = measure_modes(mixture(jax.random.key(0), centres[3:4], std), centres, std)
    assert found.covered == 1
    assert found.reverse_kl == pytest.approx(math.log(len(centres)), abs=1e-5)


def test_a_sample_counts_where_it_is_nearest_and_only_if_it_is_near():
    centres = jnp.asarray([[0.0, 0.0], [1.0, 0.0]])
    x = jnp.asarray([[0.0, 0.29], [0.31, 0.0], [0.75, 0.0], [1.0, 0.1], [1.0, -0.1]])
    assert mode_counts(x, centres, 0.3).tolist() == [1, 3]
    found = measure_modes(x, centres, 0.1)
    assert found.high_quality == pytest.approx(0.8)
    shares = np.asarray([0.25, 0.75])
    assert found.reverse_kl == pytest.approx((shares * np.log(2 * shares)).sum(), rel=1e-5)


def test_more_deviations_may_be_allowed():
    centres = jnp.zeros((1, 2))
    x = jnp.asarray([[0.5, 0.0]])
    assert measure_modes(x, centres, 0.1).high_quality == 0
    assert measure_modes(x, centres, 0.1, within=10.0).high_quality == 1


def test_no_sample_of_high_quality_counts_as_the_worst():
    centres, std = GRID
    found = measure_modes(jnp.full((10, 2), 1.0), centres, std)
    assert (int(found.covered), float(found.high_quality)) == (0, 0.0)
    assert found.reverse_kl == pytest.approx(math.log(25))


def test_seeds_may_be_mapped_over():
    centres, std = RING
    keys = jax.random.split(jax.random.key(0), 5)
    x = jax.vmap(lambda key: mixture(key, centres, std, 200))(keys)
    x = x.at[2].set(100.0)  # a run that has left all modes
    mapped = jax.jit(jax.vmap(lambda x: measure_modes(x, centres, std)))(x)
    for i in range(5):
        for one, all_seeds in zip(measure_modes(x[i], centres, std), mapped, strict=True):
            assert all_seeds.shape == (5,)
            np.testing.assert_allclose(all_seeds[i], one, rtol=1e-5, atol=1e-7)
    assert mapped.covered.tolist() == [8, 8, 0, 8, 8]


def test_the_divergence_of_a_perfect_sampler_is_at_its_floor():
    counts = np.random.default_rng(0).multinomial(26_000, np.full(1000, 1e-3), size=20)
    found = jax.vmap(divergence_from_uniform)(jnp.asarray(counts)).mean()
    assert found == pytest.approx(999 / (2 * 26_000), rel=0.05)  # the mean of a chi-square


def test_an_even_histogram_is_uniform():
    assert divergence_from_uniform(jnp.full(10, 7)) == 0


def test_stacked_digits_are_counted_by_their_labels():
    digits = jnp.asarray([[7, 0, 4], [7, 0, 4], [9, 9, 9], [0, 0, 0]])
    label = stacked_label(digits)
    assert label.tolist() == [704, 704, 999, 0]
    counts = label_counts(label, 1000)
    assert covered(counts) == 3
    shares = np.asarray([0.5, 0.25, 0.25])
    expected = (shares * np.log(1000 * shares)).sum()
    assert divergence_from_uniform(counts) == pytest.approx(expected, rel=1e-5)


def test_two_channels_of_two_classes():
    assert stacked_label(jnp.asarray([[1, 0], [0, 1]]), base=2).tolist() == [2, 1]


def test_a_label_that_is_no_mode_is_none():
    counts = label_counts(jnp.asarray([0, -1, 2, 2, 3, 99, -4]), 3)
    assert counts.tolist() == [1, 0, 2]
