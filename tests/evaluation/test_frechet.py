"""The Frechet distance against closed forms, against sixty digits, and in whatever batches."""

from decimal import Decimal, localcontext

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


def nuclear_norm(columns):
    """Sum of the singular values of a matrix of Decimals, by Jacobi's rotations of its columns."""
    columns = [list(column) for column in columns]
    for _ in range(40):
        rotated = False
        for i in range(len(columns)):
            for j in range(i):
                a, b = columns[i], columns[j]
                aa, bb = (sum(v * v for v in c) for c in (a, b))
                ab = sum(v * w for v, w in zip(a, b, strict=True))
                if abs(ab) <= Decimal("1e-55") * (aa * bb).sqrt():
                    continue
                rotated = True
                zeta = (bb - aa) / (2 * ab)
                tangent = (1 if zeta >= 0 else -1) / (abs(zeta) + (1 + zeta * zeta).sqrt())
                cosine = 1 / (1 + tangent * tangent).sqrt()
                sine = cosine * tangent
                columns[i] = [cosine * v - sine * w for v, w in zip(a, b, strict=True)]
                columns[j] = [sine * v + cosine * w for v, w in zip(a, b, strict=True)]
        if not rotated:
            break
    return sum(sum(v * v for v in column).sqrt() for column in columns)


def oracle(x, y):
    """The distance of two sets of features in sixty digits, as the definition has it."""
    with localcontext(prec=70):
        sets = []
        for features in (x, y):
            rows = [[Decimal(float(v)) for v in row] for row in features]
            mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
            centred = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
            trace = sum(v * v for row in centred for v in row) / (len(rows) - 1)
            sets.append((mean, centred, trace, len(rows) - 1))
        (m_1, a, trace_1, n_1), (m_2, b, trace_2, n_2) = sets
        product = [[sum(v * w for v, w in zip(r, t, strict=True)) for r in a] for t in b]
        overlap = nuclear_norm(product) / (Decimal(n_1) * Decimal(n_2)).sqrt()
        of_means = sum((v - w) ** 2 for v, w in zip(m_1, m_2, strict=True))
        return float(of_means + trace_1 + trace_2 - 2 * overlap)


def low_rank(num, dim, rank, seed, scale=1.0):
    random = np.random.default_rng(seed)
    return (
        scale * random.normal(size=(num, rank)) @ np.random.default_rng(9).normal(size=(rank, dim))
    )


def changed(x, share, seed):
    """Copies, of whose values some share is inverted."""
    return np.where(np.random.default_rng(seed).random(x.shape) < share, x.max() - x, x)


PIXELS = (RANDOM.random((7, 40)) < 0.4).astype(np.float32)
BYTES = RANDOM.integers(0, 256, (8, 30)).astype(np.float32)
PAIRS = {
    "of full rank": (RANDOM.normal(size=(9, 3)), RANDOM.normal(size=(8, 3)) + 1),
    "fewer than features": (RANDOM.normal(size=(4, 12)), RANDOM.normal(size=(5, 12))),
    "rank 3, scale 1e3": (low_rank(8, 12, 3, 1, 1e3), low_rank(8, 12, 3, 2, 1e3)),
    "rank 1 against rank 3": (low_rank(8, 12, 1, 1), low_rank(6, 12, 3, 2)),
    "a thousandth apart": (low_rank(8, 12, 3, 1, 1e3), 1.000001 * low_rank(8, 12, 3, 1, 1e3)),
    "shifted by 1 at scale 1e3": (low_rank(8, 4, 3, 1, 1e3), low_rank(8, 4, 3, 1, 1e3) + 0.5),
    "copies, pixels changed": (PIXELS, changed(PIXELS, 0.02, 1)),
    "bytes, one changed": (BYTES, BYTES + np.eye(8, 30, dtype=np.float32)),
    "constant features": (
        np.hstack([PIXELS, np.ones((7, 4))]),
        np.hstack([PIXELS, np.ones((7, 4))])[:5],
    ),
    "large means": (RANDOM.normal(size=(6, 4)) + 1e7, RANDOM.normal(size=(7, 4)) + 1e7),
    "of all magnitudes": (
        low_rank(8, 6, 6, 3) * 10.0 ** np.arange(-6, 6, 2),
        low_rank(8, 6, 6, 4) * 10.0 ** np.arange(-6, 6, 2),
    ),
    "tiny": (1e-12 * RANDOM.normal(size=(6, 3)), 1e-12 * RANDOM.normal(size=(6, 3))),
    "one feature": (RANDOM.normal(size=(9, 1)), RANDOM.normal(size=(9, 1))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_it_agrees_with_sixty_digits(name):
    x, y = PAIRS[name]
    expected = oracle(x, y)
    assert distance_of_features(x, y) == pytest.approx(expected, rel=1e-8)
    assert distance_of_features(y, x) == pytest.approx(expected, rel=1e-8)
    halves = moments_of_batches([x[:3], x[3:]])
    assert distance_of_moments(halves, moments(y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(("num", "dim", "rank"), [(300, 8, 8), (300, 40, 3), (20, 100, 20)])
def test_equal_sets_are_at_distance_zero_at_any_scale(scale, num, dim, rank):
    x = low_rank(num, dim, rank, 1, scale) + 100 * scale
    mixed = np.random.default_rng(2).permutation(x)
    trace = x.var(axis=0, ddof=1).sum()
    assert distance_of_features(x, x) < 1e-20 * trace
    assert distance_of_features(x, mixed) < 1e-14 * trace
    shifted = x.copy()
    shifted[:, 0] += 1.0
    assert distance_of_features(x, shifted) == pytest.approx(1.0, rel=1e-6)


def test_covariances_of_low_rank_have_no_root_of_rounding():
    x, y = PAIRS["rank 3, scale 1e3"]
    a, b = moments(x), moments(y)
    found = frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert found == pytest.approx(distance_of_features(x, y), rel=1e-10)


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
    one, other = merge(a, b), merge(b, a)
    assert one.num == other.num
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-12)


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
    found = [distance_of_features(*random.normal(size=(2, num, dim))) for _ in range(640 // dim)]
    bias = (2 * dim + dim * (dim + 1) / 2) / num
    assert np.mean(found) == pytest.approx(bias, rel=0.15)


def test_what_is_not_finite_is_not_zero():
    broken = np.full((2, 2), np.nan)
    assert np.isnan(frechet_distance(np.zeros(2), broken, np.zeros(2), np.eye(2)))


@pytest.mark.parametrize("scale", [1e-140, 1e100, 1e150])
def test_numbers_of_any_size_have_their_distance(scale):
    random = np.random.default_rng(4)
    x = random.normal(size=(40, 5))
    y = 1 + 2 * random.normal(size=(30, 5))
    expected = distance_of_features(x, y)
    assert distance_of_features(scale * x, scale * y) / scale**2 == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300])
def test_a_distance_beyond_all_numbers_is_infinite(scale):
    random = np.random.default_rng(5)
    x = scale * random.normal(size=(20, 3))
    assert distance_of_features(x, -x[:10]) == np.inf
