"""The Frechet distance against closed forms, and its moments in whatever batches they come."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from jaxgen.errors import ConfigError
from jaxgen.evaluation.frechet import (
    distance_of_features,
    distance_of_moments,
    frechet_distance,
    merge,
    moments,
    moments_of_batches,
)

RANDOM = np.random.default_rng(0)


def orthogonal(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def covariance(dim, seed):
    root = np.random.default_rng(seed).normal(size=(dim, dim))
    return root @ root.T / dim


def test_two_normal_numbers():
    assert frechet_distance(np.zeros(1), 4 * np.eye(1), 3 * np.ones(1), np.eye(1)) == 10.0


@pytest.mark.parametrize("dim", [1, 3, 64])
def test_isotropic_gaussians(dim):
    mean = RANDOM.normal(size=dim)
    found = frechet_distance(mean, 4 * np.eye(dim), np.zeros(dim), 0.25 * np.eye(dim))
    assert found == pytest.approx((mean**2).sum() + dim * (2 - 0.5) ** 2, rel=1e-12)


def test_commuting_covariances():
    a, b, basis = RANDOM.uniform(size=6), RANDOM.uniform(size=6), orthogonal(6)
    found = frechet_distance(np.zeros(6), basis * a @ basis.T, np.zeros(6), basis * b @ basis.T)
    assert found == pytest.approx(((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)


def test_the_root_of_the_product_itself():
    a, b, mean = covariance(8, 1), covariance(8, 2), RANDOM.normal(size=8)
    expected = (mean**2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(mean, a, np.zeros(8), b) == pytest.approx(expected, abs=1e-9)


def test_a_set_is_at_no_distance_from_itself():
    x = RANDOM.normal(size=(100, 8))
    assert distance_of_features(x, x) == pytest.approx(0, abs=1e-9)
    assert distance_of_features(x, x + 0.5) == pytest.approx(8 * 0.25, rel=1e-9)


def test_it_is_symmetric_and_blind_to_rotations():
    x, y = RANDOM.normal(size=(100, 8)), RANDOM.normal(size=(80, 8)) @ covariance(8, 3) + 1
    turn = orthogonal(8)
    expected = distance_of_features(x, y)
    assert distance_of_features(y, x) == pytest.approx(expected, rel=1e-9)
    assert distance_of_features(x @ turn, y @ turn) == pytest.approx(expected, rel=1e-9)
    assert distance_of_features(x @ turn, y) != pytest.approx(expected, rel=1e-3)


def test_the_covariance_is_the_unbiased_one():
    x = RANDOM.normal(size=(7, 3))
    np.testing.assert_allclose(moments(x).covariance, np.cov(x.T, ddof=1), rtol=1e-12)
    with pytest.raises(ConfigError, match="1 example"):
        _ = moments(x[:1]).covariance


@pytest.mark.parametrize("sizes", [[1000], [1] * 1000, [1, 998, 1], [334, 333, 333]])
def test_batches_change_nothing(sizes):
    # Far from the origin, where the textbook E x x^T - m m^T of float32 has no digit left.
    x = (RANDOM.normal(size=(1000, 4)) + 1e4).astype(np.float32)
    whole = moments(x)
    parts = moments_of_batches(np.split(x, np.cumsum(sizes)[:-1]))
    assert parts.num == 1000
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.covariance, np.cov(x.astype(float).T), atol=1e-6)
    assert distance_of_moments(parts, whole) == pytest.approx(0, abs=1e-6)


def test_merging_is_symmetric():
    a, b = moments(RANDOM.normal(size=(9, 3))), moments(RANDOM.normal(size=(4, 3)) + 2)
    for one, other in zip(merge(a, b), merge(b, a), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_constant_features_leave_the_means():
    x, y = np.full((5, 3), 2.0), np.zeros((6, 3))
    assert distance_of_features(x, y) == pytest.approx(12.0, abs=1e-9)


def test_fewer_examples_than_features_still_have_a_distance():
    x, y = RANDOM.normal(size=(4, 32)), RANDOM.normal(size=(4, 32))
    assert 0 < distance_of_features(x, y) < np.inf


@pytest.mark.parametrize(("dim", "num"), [(8, 1000), (8, 2000), (64, 1000)])
def test_finite_sets_of_one_distribution_are_at_a_known_distance(dim, num):
    """To first order 2 d / N of the means and d (d + 1) / 2 N of the covariances."""
    random = np.random.default_rng(1)
    found = [distance_of_features(*random.normal(size=(2, num, dim))) for _ in range(20)]
    bias = (2 * dim + dim * (dim + 1) / 2) / num
    assert np.mean(found) == pytest.approx(bias, rel=0.15)


def test_a_root_that_cannot_be_found_is_tried_again_beside_the_edge(monkeypatch):
    eigh, singular = np.linalg.eigh, np.diag([1.0, 0.0])

    def fails(a):
        if np.linalg.det(a) == 0:
            raise np.linalg.LinAlgError
        return eigh(a)

    monkeypatch.setattr(np.linalg, "eigh", fails)
    found = frechet_distance(np.ones(2), singular, np.zeros(2), singular)
    assert found == pytest.approx(2.0, abs=1e-5)


def test_what_is_not_finite_is_not_zero():
    broken = np.full((2, 2), np.nan)
    assert np.isnan(frechet_distance(np.zeros(2), broken, np.zeros(2), np.eye(2)))
