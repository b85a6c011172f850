"""Balls and nearest neighbours: exact where they must be, and the same in blocks of any size."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxgen.errors import ConfigError
from jaxgen.evaluation import distances, neighbours
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
    monkeypatch.setattr(distances, "_BLOCK", request.param)


def all_four(real, samples):
    return (*precision_recall(real, samples), *density_coverage(real, samples))


def by_definition(real, samples):
    """The four numbers from whole matrices of the differences of examples, in float64."""
    real = np.asarray(real, np.float64)
    between = cdist(real, samples, "sqeuclidean")
    among = cdist(real, real, "sqeuclidean")

    def radius(x, k):
        return np.sort(cdist(x, x, "sqeuclidean"), axis=1)[:, k]  # column 0 is x itself

    in_real = between <= radius(real, 3)[:, None]
    in_samples = between <= radius(np.asarray(samples, np.float64), 3)[None]
    edge = radius(real, 5)[:, None]
    share = (5 - (among < edge).sum(axis=1)) / (among == edge).sum(axis=1)
    held = (between < edge) + share[:, None] * (between == edge)
    return (
        in_real.any(axis=0).mean(),
        in_samples.any(axis=1).mean(),
        held.sum() / (5 * len(samples)),
        held.any(axis=1).mean(),
    )


def test_the_four_numbers_by_definition(block):
    real, samples = draws(60), 0.7 * draws(50, seed=1) + 1
    expected = by_definition(real, samples)
    assert all(0.2 < number < 0.98 for number in expected[:2])
    np.testing.assert_allclose(all_four(real, samples), expected, rtol=1e-12)


@pytest.mark.parametrize("order", ["same", "reversed"])
def test_samples_that_are_the_real_examples_have_all_four_exactly(block, order):
    real = np.random.default_rng(0).normal(size=(60, 37))  # whose sums depend on their order
    assert all_four(real, real if order == "same" else real[::-1]) == (1.0, 1.0, 1.0, 1.0)


def test_samples_far_away_have_nothing():
    assert all_four(draws(100), draws(100, seed=1) + 1e3) == (0.0, 0.0, 0.0, 0.0)


def blank(num, seed):
    """A tenth of the examples are the same."""
    x = draws(num, 8, seed)
    x[np.random.default_rng(seed + 100).random(num) < 0.1] = 0
    return x


def binary(num, seed, dim=12, share=0.3):
    return (np.random.default_rng(seed).random((num, dim)) < share).astype(np.float32)


REPEATED = {
    "a tenth are blank": blank,
    "all are equal": lambda num, seed: np.full((num, 3), 0.7, np.float32),
    "binary": binary,
    "binary, none twice": lambda num, seed: binary(num, seed, dim=100),
    "levels": lambda num, seed: np.random.default_rng(seed).integers(0, 4, (num, 5)).astype(float),
    "two points": lambda num, seed: np.repeat([[0.1, 0.2], [5.3, 5.1]], num // 2, axis=0),
    "fewer points than k": lambda num, seed: np.resize(np.eye(4) * np.pi, (num, 4)),
    "each value twice": lambda num, seed: np.repeat(draws(num // 2, 3, seed), 2, axis=0),
}


@pytest.mark.parametrize("name", REPEATED)
def test_two_equal_sets_score_as_equal_whatever_repeats_in_them(name):
    real = REPEATED[name](200, 0)
    mixed = np.random.default_rng(1).permutation(real)
    assert all_four(real, mixed) == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", REPEATED)
def test_two_sets_of_one_distribution_score_as_equal_whatever_repeats_in_them(name):
    real, samples = REPEATED[name](600, 0), REPEATED[name](600, 1)
    found = all_four(real, samples)
    np.testing.assert_allclose(found, by_definition(real, samples), rtol=1e-12)
    assert min(found) > 0.7
    assert found[2] < 1.1


@pytest.mark.parametrize("block", [1, 100], indirect=True)
def test_blocks_do_not_change_who_shares_a_surface(block):
    real, samples = blank(40, 0), blank(40, 1)
    np.testing.assert_allclose(
        density_coverage(real, samples), by_definition(real, samples)[2:], rtol=1e-12
    )


def test_repeats_in_one_set_alone():
    plain, repeated = draws(300, 8, 3), blank(300, 0)
    blanks = (repeated == 0).all(axis=1).mean()
    # No sample is blank: of the blank real examples none is covered.
    assert density_coverage(repeated, plain)[1] == pytest.approx(0.97 * (1 - blanks), abs=0.03)
    for real, samples in ((repeated, plain), (plain, repeated)):
        found = all_four(real, samples)
        np.testing.assert_allclose(found, by_definition(real, samples), rtol=1e-12)
    one_example = np.repeat(plain[:1], 300, axis=0)
    assert density_coverage(plain, one_example)[1] < 0.05


def test_places_on_the_surface():
    """Around 0 lie 1, -1 and 1: with k = 2 the centre has one place, the surface the other."""
    balls = neighbours.balls_around(np.asarray([[0.0], [1.0], [-1.0], [1.0], [9.0]]), 2)
    assert (balls.radius[0], balls.places[0], balls.surface[0]) == (1, 1, 3)
    assert (balls.radius[1], balls.places[1], balls.surface[1]) == (1, 0, 1)  # no equal distances
    assert (balls.radius[4], balls.places[4], balls.surface[4]) == (64, 1, 2)


def apart(num, seed, distance=2e6):
    x = np.random.default_rng(seed).normal(size=(num, 5))
    x[::2] += distance
    return x


def with_one_far(num, seed, value=1e9):
    x = np.random.default_rng(seed).normal(size=(num, 5))
    x[num // 2] = value * (1 + 1e-3 * seed)
    return x


FAR = {
    "two clusters": apart,
    "two clusters farther apart": lambda num, seed: apart(num, seed, 1e12),
    "one example far away": with_one_far,
    "one example farther away": lambda num, seed: with_one_far(num, seed, -1e15),
    "all far from the origin": lambda num, seed: draws(num, 5, seed).astype(float) - 1e9,
    "near each other": lambda num, seed: 0.3 + 1e-12 * draws(num, 5, seed).astype(float),
    "of all magnitudes": lambda num, seed: np.exp(8.0 * draws(num, 5, seed)).astype(float),
    "a heavy tail": lambda num, seed: np.random.default_rng(seed).standard_cauchy((num, 5)) ** 3,
    "tiny": lambda num, seed: 1e-30 * draws(num, 5, seed),
    "huge": lambda num, seed: 1e30 * draws(num, 5, seed),
    "clusters of whole numbers": lambda num, seed: np.rint(10 * apart(num, seed)),
    "clusters in float32": lambda num, seed: apart(num, seed, 1e4).astype(np.float32),
}


@pytest.mark.parametrize("name", FAR)
def test_far_points_do_not_spoil_near_ones(name):
    real, samples = FAR[name](300, 0), FAR[name](300, 1)
    found = all_four(real, samples)
    np.testing.assert_allclose(found, by_definition(real, samples), rtol=1e-12)
    assert all(number > 0.8 for number in found)
    expected = [_own_share(real, samples), _own_share(samples, real)]
    assert two_sample_accuracy(real, samples) == pytest.approx(np.mean(expected), rel=1e-12)
    index, distance = nearest(samples, real)
    whole = cdist(samples, real)
    np.testing.assert_array_equal(index, whole.argmin(axis=1))
    np.testing.assert_allclose(distance, whole.min(axis=1), rtol=1e-9)


def _own_share(x, y):
    among = cdist(x, x, "sqeuclidean")
    np.fill_diagonal(among, np.inf)
    own = among.min(axis=1)
    other = cdist(x, y, "sqeuclidean").min(axis=1)
    return ((own < other) + (own == other) / 2).mean()


def test_what_float64_cannot_square_is_far_and_spoils_nothing():
    real, samples = draws(300).astype(float), draws(300, seed=1).astype(float)
    expected = density_coverage(real, samples)
    real[0] = 1e200
    assert density_coverage(real, samples) == pytest.approx(expected, abs=0.02)


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


def test_two_sets_of_one_distribution_cannot_be_told_apart():
    assert two_sample_accuracy(draws(500), draws(500, seed=1)) == pytest.approx(0.5, abs=0.06)


def test_blocks_do_not_change_the_accuracy(block):
    assert two_sample_accuracy(draws(30), draws(30, seed=1)) == pytest.approx(0.38333, abs=1e-4)


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
    monkeypatch.setattr(distances, "_BLOCK", 2**16)
    real, samples = draws(3000), draws(3000, seed=1)
    tracemalloc.start()
    precision_recall(real, samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
