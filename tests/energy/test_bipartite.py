"""Bipartite machines against sums over all their states, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energy.machines import law, log_sum, log_weights, machine, states

from jaxgen.distributions import Bernoulli, Gaussian
from jaxgen.energy import bipartite

BINARY = Bernoulli()
REAL = Gaussian(0.7)


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def test_states_are_all_of_them():
    found = np.asarray(bipartite.states(5))
    assert sorted(map(tuple, found)) == sorted(map(tuple, states(5)))
    np.testing.assert_array_equal(bipartite.states(5, 8, 4), found[8:12])


@pytest.mark.parametrize(("left", "right"), [(6, 4), (4, 6), (14, 3)])
def test_log_z_is_the_same_from_both_sides(left, right):
    found = machine(left, right)

    @jax.jit
    def sums(found):
        return (
            bipartite.log_partition_by_left(found, BINARY),
            bipartite.log_partition_by_right(found, BINARY),
            bipartite.log_partition(found, BINARY),
        )

    exact = log_sum(log_weights(found))
    assert np.asarray(sums(found)) == pytest.approx(exact, abs=1e-10)


def test_free_energy_is_what_is_left_of_the_joint_and_its_law_sums_to_one():
    found = machine(6, 4)
    joint = log_weights(found)
    x = jnp.asarray(states(6))
    free = np.asarray(bipartite.free_energy(found, BINARY, x))
    assert -free == pytest.approx(log_sum(joint, 1), abs=1e-12)
    log_z = float(bipartite.log_partition(found, BINARY))
    assert np.exp(-free - log_z).sum() == pytest.approx(1, abs=1e-12)
    y = jnp.asarray(states(4))
    pairs = jax.vmap(lambda y: bipartite.joint_energy(found, BINARY, x, jnp.tile(y, (64, 1))))(y)
    np.testing.assert_allclose(-np.asarray(pairs).T, joint, atol=1e-12)


def gaussian_by_hand(found, std):
    """log Z of real left units and each y's mean and weight, by completing the square."""
    y = states(found.weight.shape[1])
    mean = found.left + y @ found.weight.T
    squares = (np.square(mean) - np.square(found.left)).sum(1)
    log_w = y @ found.right + squares / (2 * std**2)
    return log_w + len(found.left) * np.log(std * np.sqrt(2 * np.pi)), mean


def test_the_law_of_real_units_is_a_mixture_of_gaussians():
    found = machine(2, 3)
    log_w, mean = gaussian_by_hand(found, 0.7)
    log_z = float(bipartite.log_partition(found, REAL))
    assert log_z == pytest.approx(log_sum(log_w), abs=1e-10)
    x = np.random.default_rng(1).normal(size=(5, 2))
    squares = np.square((x[:, None] - mean) / 0.7).sum(-1)
    log_normal = -squares / 2 - 2 * np.log(0.7 * np.sqrt(2 * np.pi))
    expected = log_sum(log_normal + log_w - log_z, 1)
    free = np.asarray(bipartite.free_energy(found, REAL, jnp.asarray(x)))
    assert -free - log_z == pytest.approx(expected, abs=1e-10)


def transitions(found):
    """p(x' | x) of one Gibbs sweep by the library's conditionals, [2^L, 2^L]."""
    x, y = states(found.weight.shape[0]), states(found.weight.shape[1])
    up = bipartite.right_logits(found, BINARY, jnp.asarray(x))
    down = bipartite.left_params(found, jnp.asarray(y))

    def probabilities(logits, values):
        logits = np.asarray(logits)
        return np.exp(logits @ values.T - np.logaddexp(0, logits).sum(1)[:, None])

    return probabilities(up, y) @ probabilities(down, x)


def test_a_gibbs_sweep_leaves_the_law_as_it_is():
    found = machine(6, 4, seed=2)
    p = law(found)
    kernel = transitions(found)
    assert kernel.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert p @ kernel == pytest.approx(p, abs=1e-12)
    assert np.linalg.matrix_power(kernel, 2000)[0] == pytest.approx(p, abs=1e-9)


def test_a_sweep_draws_by_these_transitions():
    found = machine(3, 2, seed=3)
    start = jnp.asarray(states(3)[5])
    sweep = jax.jit(partial(bipartite.gibbs, found, BINARY))
    drawn = np.asarray(sweep(jax.random.key(0), jnp.tile(start, (200_000, 1))))
    index = (drawn @ [4, 2, 1]).astype(int)
    frequencies = np.bincount(index, minlength=8) / len(drawn)
    assert frequencies == pytest.approx(transitions(found)[5], abs=5 * 0.5 / len(drawn) ** 0.5)


def test_real_units_are_drawn_with_their_standard_deviation():
    found = machine(2, 2)
    y = jnp.tile(jnp.array([1.0, 0.0]), (100_000, 1))
    drawn = np.asarray(bipartite.draw_left(found, REAL, jax.random.key(0), y))
    mean = found.left + found.weight[:, 0]
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.01)
    assert drawn.std(axis=0) == pytest.approx(0.7, abs=0.01)


def test_sides_are_summable_up_to_twenty_binary_units():
    assert bipartite.is_summable(784, 20, BINARY)
    assert bipartite.is_summable(20, 784, BINARY)
    assert not bipartite.is_summable(21, 21, BINARY)
    assert not bipartite.is_summable(2, 21, REAL)
