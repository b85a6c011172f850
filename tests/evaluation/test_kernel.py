"""The kernel distance: unbiased, of the moments up to the third, and the same for the same seed."""

from math import comb

import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.evaluation.kernel import (
    kernel_distance,
    polynomial_kernel,
    squared_mmd,
    subset_size,
)


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_kernel_of_a_pair():
    x, y = draws(3, 5), draws(4, 5, seed=1)
    assert polynomial_kernel(x, y)[2, 1] == pytest.approx((x[2] @ y[1] / 5 + 1) ** 3)


def test_pairs_of_different_examples_by_hand():
    x, y = draws(5, 2), draws(4, 2, seed=1)

    def k(a, b):
        return (a @ b / 2 + 1) ** 3

    def within(x):
        return np.mean([k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j])

    between = np.mean([k(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(within(x) + within(y) - 2 * between, rel=1e-12)


def test_one_feature_compares_three_moments():
    """E k(x, x') = sum_j C(3, j) (E x^j)^2, here over the pairs of different examples."""
    x, y = draws(40, 1), 0.5 + draws(30, 1, seed=1)

    def pairs(x, j):
        return ((x**j).sum() ** 2 - (x ** (2 * j)).sum()) / (len(x) * (len(x) - 1))

    expected = sum(
        comb(3, j) * (pairs(x, j) + pairs(y, j) - 2 * (x**j).mean() * (y**j).mean())
        for j in range(4)
    )
    assert squared_mmd(x, y) == pytest.approx(expected, rel=1e-9)


def test_the_population_value_of_two_normal_numbers():
    """N(0, 1) and N(1/2, 1): sum_j C(3, j) (E x^j - E y^j)^2 = 3.578125."""
    found = [
        squared_mmd(draws(400, 1, seed=2 * i), 0.5 + draws(400, 1, seed=2 * i + 1))
        for i in range(100)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert error < 0.3
    assert np.mean(found) == pytest.approx(3.578125, abs=3 * error)


def test_sets_of_one_distribution_are_at_no_distance_on_average():
    found = [
        squared_mmd(draws(50, 4, seed=2 * i), draws(50, 4, seed=2 * i + 1)) for i in range(300)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error < 0.1
    assert min(found) < 0 < max(found)


def test_a_subset_of_all_is_all():
    x, y = draws(30, 3), draws(30, 3, seed=1) + 1
    mean, std = kernel_distance(x, y, num_subsets=3, size=30)
    assert mean == pytest.approx(squared_mmd(x, y), rel=1e-9)
    assert std == pytest.approx(0, abs=1e-9)


def test_the_mean_over_subsets_is_near_the_whole():
    x, y = draws(400, 3), draws(400, 3, seed=1) + 1
    mean, std = kernel_distance(x, y)
    assert 0 < std < mean
    assert mean == pytest.approx(squared_mmd(x, y), abs=4 * std / np.sqrt(50))


def test_a_seed_fixes_the_subsets():
    x, y = draws(100, 3), draws(100, 3, seed=1)
    assert kernel_distance(x, y, seed=1) == kernel_distance(x, y, seed=1)
    assert kernel_distance(x, y, seed=1) != kernel_distance(x, y, seed=2)


def test_subsets_of_few_examples_differ_and_of_many_hold_a_thousand():
    assert [subset_size(num) for num in (4, 360, 1999, 2000, 10_000)] == [2, 180, 999, 1000, 1000]
    assert kernel_distance(draws(20, 3), draws(20, 3, seed=1))[1] > 0


@pytest.mark.parametrize("size", [1, 11])
def test_a_subset_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ConfigError, match=f"subsets of {size} examples: expected 2 .. 10"):
        kernel_distance(draws(10, 2), draws(20, 2), size=size)


def test_one_example_has_no_pair():
    with pytest.raises(ConfigError, match="pairs of 1"):
        squared_mmd(draws(1, 2), draws(5, 2))
