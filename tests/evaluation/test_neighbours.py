"""Balls and nearest neighbours: exact where they must be, and the same in blocks of any size."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxgen.errors import ConfigError
from jaxgen.evaluation import neighbours
from jaxgen.evaluation.neighbours import (
    density_coverage,
    expected_coverage,
    nearest,
    precision_recall,
    radii,
    two_sample_accuracy,
)


def draws(num, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float32)


@pytest.fixture(params=[1, 700, 2**22])
def block(request, monkeypatch):
    """Distances at once: a row at a time, a few rows, all."""
    monkeypatch.setattr(neighbours, "_BLOCK", request.param)


def all_four(real, samples):
    return (*precision_recall(real, samples), *density_coverage(real, samples))


def by_definition(real, samples):
    """The four numbers from whole matrices of distances."""
    between = cdist(real, samples)
    within = lambda x, k: np.sort(cdist(x, x), axis=1)[:, k]  # noqa: E731 (column 0 is x itself)
    in_real = between <= within(real, 3)[:, None]
    in_samples = between <= within(samples, 3)[None]
    in_open = between < within(real, 5)[:, None]
    return (
        in_real.any(axis=0).mean(),
        in_samples.any(axis=1).mean(),
        in_open.sum() / (5 * len(samples)),
        in_open.any(axis=1).mean(),
    )


def test_the_four_numbers_by_definition(block):
    real, samples = draws(60), 0.7 * draws(50, seed=1) + 1
    expected = by_definition(real, samples)
    assert all(0.2 < number < 0.98 for number in expected[:2])
    np.testing.assert_allclose(all_four(real, samples), expected, rtol=1e-12)


@pytest.mark.parametrize("order", ["same", "reversed"])
def test_samples_that_are_the_real_examples_have_all_four_exactly(block, order):
    real = np.random.default_rng(0).normal(size=(200, 37))  # whose sums depend on their order
    assert all_four(real, real if order == "same" else real[::-1]) == (1.0, 1.0, 1.0, 1.0)


def test_samples_far_away_have_nothing():
    assert all_four(draws(100), draws(100, seed=1) + 1e3) == (0.0, 0.0, 0.0, 0.0)


def test_one_of_two_modes_is_precise_and_recalls_half():
    mode = np.asarray([50.0, 0, 0, 0], np.float32)
    real = np.concatenate([draws(500), draws(500, seed=1) + mode])
    precision, recall, density, coverage = all_four(real, draws(1000, seed=2))
    assert precision > 0.93
    assert 0.45 <= recall <= 0.5
    assert 0.47 <= coverage <= 0.5
    assert density == pytest.approx(1.0, abs=0.1)


def test_sets_of_one_distribution():
    pairs = [(draws(1000, seed=2 * i), draws(1000, seed=2 * i + 1)) for i in range(4)]
    found = [(*precision_recall(*pair, k=5), *density_coverage(*pair)) for pair in pairs]
    expected = (0.98, 0.98, 1.0, expected_coverage(1000, 1000))
    np.testing.assert_allclose(np.mean(found, axis=0), expected, atol=0.015)


def test_the_coverage_to_expect():
    assert expected_coverage(10**8, 10**8) == pytest.approx(0.96875)

    found = [
        density_coverage(draws(40, seed=2 * i), draws(20, seed=2 * i + 1))[1] for i in range(200)
    ]
    assert np.mean(found) == pytest.approx(expected_coverage(40, 20), abs=0.02)


def test_an_outlier_among_the_real_raises_precision_and_not_density():
    real, samples = draws(200), draws(200, seed=1) + 8
    before, after = (all_four(r, samples) for r in (real, np.concatenate([real, [[200, 0, 0, 0]]])))
    assert before[0] == 0
    assert after[0] > 0.9
    assert after[2] < 1


def test_a_radius_leaves_out_the_example_itself_but_not_its_copy():
    x = np.asarray([[0.0], [0.0], [1.0], [3.0]])
    np.testing.assert_array_equal(radii(x, 1), [0, 0, 1, 4])
    np.testing.assert_array_equal(radii(x, 2), [1, 1, 1, 9])


def test_equal_examples_are_at_distance_zero_exactly():
    x = np.random.default_rng(0).normal(size=(50, 37)) + 10
    assert (radii(np.tile(x, (4, 1)), 3) == 0).all()
    assert (radii(np.tile(x, (4, 1)), 4) > 0).all()


def test_the_nearest_training_example(block):
    train, x = draws(300), draws(50, seed=1)
    index, distance = nearest(x, train)
    whole = cdist(x, train)
    np.testing.assert_array_equal(index, whole.argmin(axis=1))
    np.testing.assert_allclose(distance, whole.min(axis=1), rtol=1e-6)


def test_a_copy_is_at_distance_zero_however_far_from_the_origin():
    train = draws(300) + 1e3
    index, distance = nearest(train[[7, 100]], train)
    assert index.tolist() == [7, 100]
    assert distance.tolist() == [0.0, 0.0]


def test_two_sets_of_one_distribution_cannot_be_told_apart(block):
    assert two_sample_accuracy(draws(500), draws(500, seed=1)) == pytest.approx(0.5, abs=0.06)


def test_two_sets_apart_can():
    assert two_sample_accuracy(draws(50), draws(50, seed=1) + 100) == 1.0


def test_copies_are_nearer_than_anything_else():
    assert two_sample_accuracy(draws(100), draws(100)) == 0.0


def test_a_tie_counts_half():
    assert two_sample_accuracy(np.zeros((5, 2)), np.zeros((5, 2))) == 0.5


def test_sets_that_do_not_fit_the_question_are_refused():
    with pytest.raises(ConfigError, match="expected as many"):
        two_sample_accuracy(draws(5), draws(6))
    with pytest.raises(ConfigError, match="more than 3"):
        precision_recall(draws(3), draws(10))
    with pytest.raises(ConfigError, match="more than 5"):
        density_coverage(draws(5), draws(10))


def test_the_memory_is_bounded(monkeypatch):
    """3000 x 3000 distances are 72 MB in float64; in blocks of 2^16 a small part of that."""
    monkeypatch.setattr(neighbours, "_BLOCK", 2**16)
    real, samples = draws(3000), draws(3000, seed=1)
    tracemalloc.start()
    precision_recall(real, samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
