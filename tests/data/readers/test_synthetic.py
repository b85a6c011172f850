"""Synthetic sets: what they draw has the probability, and the entropy, that they state."""

import itertools
import math

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.data.readers import linear_mixtures, synthetic

ENTROPY = {"chain": 5.56939, "bars": 3.37909, "banana": 2.14473, "linear_gaussian": 11.3}
ENTROPY["markov"] = 29.72915


def dataset(name):
    return load(Data(name=name, transform="none"))


@pytest.mark.parametrize("name", list(synthetic.SETS))
def test_entropy_is_the_mean_of_minus_log_prob(name):
    data = dataset(name)
    nats = -synthetic.SETS[name].log_prob(data.splits["test"].resident["image"])
    assert nats.shape == (10000,)
    assert abs(nats.mean() - data.entropy) < 4 * nats.std() / math.sqrt(len(nats))


@pytest.mark.parametrize("name", ["chain", "bars", "banana", "markov"])
def test_entropy_is_the_published_number(name):
    assert dataset(name).entropy == pytest.approx(ENTROPY[name], abs=5e-6)


@pytest.mark.parametrize("name", ["chain", "bars"])
def test_probabilities_sum_to_one_and_give_the_entropy(name):
    bits = (np.arange(2**16)[:, None] >> np.arange(16)) & 1
    log_p = synthetic.SETS[name].log_prob(bits.reshape(-1, 4, 4, 1).astype(np.uint8))
    p = np.exp(log_p)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    seen = p > 0
    assert -np.sum(p[seen] * log_p[seen]) == pytest.approx(dataset(name).entropy, abs=1e-12)


def test_bars_are_thirty_patterns_with_their_frequencies():
    x = dataset("bars").splits["test"].resident["image"]
    patterns, counts = np.unique(x, axis=0, return_counts=True)
    assert len(patterns) == 30
    p = np.exp(synthetic.bars_log_prob(patterns))
    assert sorted(p)[-2:] == pytest.approx([1 / 16, 1 / 16])
    chi_square = np.sum((counts - 10000 * p) ** 2 / (10000 * p))
    assert chi_square < 60  # 29 degrees: p = 0.0006


def test_chain_flips_in_raster_order():
    x = dataset("chain").splits["test"].resident["image"].reshape(-1, 16).astype(int)
    flips = np.abs(np.diff(x, axis=1))
    for statistic, p in ((x[:, 0], 0.5), *((flips[:, i], 0.1) for i in range(15))):
        assert abs(statistic.mean() - p) < 4.5 * math.sqrt(p * (1 - p) / len(x))


def test_markov_probabilities_sum_to_one_and_give_the_entropy():
    short = np.array(list(itertools.product(range(4), repeat=5)))  # of 32 there are too many
    log_p = synthetic.markov_log_prob(short)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-12)
    entropy = math.log(4) + 4 * synthetic.MOVE_ENTROPY
    assert -np.sum(np.exp(log_p) * log_p) == pytest.approx(entropy, abs=1e-12)


def test_markov_moves_and_states_have_their_frequencies():
    np.testing.assert_allclose(synthetic.TRANSITIONS.sum(axis=0), 1, atol=1e-15)
    np.testing.assert_allclose(synthetic.TRANSITIONS.sum(axis=1), 1, atol=1e-15)
    x = dataset("markov").splits["test"].resident["image"].astype(int)
    for t in (1, 2, 31):  # the first move, another and the last
        counts = np.bincount(4 * x[:, t - 1] + x[:, t], minlength=16)
        expected = len(x) * synthetic.TRANSITIONS.ravel() / 4
        assert np.sum((counts - expected) ** 2 / expected) < 42  # 15 degrees: p = 0.0002


def test_banana_density_integrates_to_one():
    x1, x2 = np.linspace(-6, 6, 601), np.linspace(-4, 40, 2201)
    grid = np.stack(np.meshgrid(x1, x2, indexing="ij"), axis=-1).reshape(-1, 2)
    total = np.exp(synthetic.banana_log_prob(grid)).sum() * 0.02 * 0.02
    assert total == pytest.approx(1, abs=1e-6)


def test_linear_gaussian_has_its_mean_and_covariance():
    w, b, s = linear_mixtures.linear_gaussian_parameters()
    assert (w.shape, b.shape, s) == ((8, 3), (8,), 0.5)
    x = dataset("linear_gaussian").splits["test"].resident["image"].astype(float)
    covariance = w @ w.T + 0.25 * np.eye(8)
    assert (np.abs(x.mean(0) - b) < 4.5 * np.sqrt(np.diag(covariance) / len(x))).all()
    variances = np.diag(covariance)
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / len(x))
    assert (np.abs(np.cov(x.T) - covariance) < 4.5 * error).all()


def test_linear_gaussian_log_prob_is_scipys():
    from scipy.stats import multivariate_normal

    w, b, s = linear_mixtures.linear_gaussian_parameters()
    exact = multivariate_normal(b, w @ w.T + s**2 * np.eye(8))
    x = dataset("linear_gaussian").splits["validation"].resident["image"]
    np.testing.assert_allclose(
        synthetic.linear_gaussian_log_prob(x), exact.logpdf(x.astype(float)), rtol=1e-9
    )
    assert dataset("linear_gaussian").entropy == pytest.approx(float(exact.entropy()))


def test_sources_are_independent_once_the_mixing_is_undone():
    x = dataset("sources").splits["test"].resident["image"].astype(float)
    s = np.linalg.solve(linear_mixtures.sources_mixing(), x.T)
    assert np.abs(s).mean(axis=1) == pytest.approx(1, abs=0.045)  # of Laplace(0, 1)
    covariance = np.cov(s)
    assert np.diag(covariance) == pytest.approx(2, abs=0.2)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.1


@pytest.mark.parametrize("name", list(synthetic.SETS))
def test_training_is_endless_and_held_out_sets_are_finite_and_stable(name):
    data = dataset(name)
    sizes = {split: s.num for split, s in data.splits.items()}
    assert sizes == {"train": None, "validation": 2000, "test": 10000}
    assert data.splits["train"].resident is None
    assert data.splits["train"].batch(0, 0, 6)["image"].shape == (6, *data.shape)
    again = load.__wrapped__(data.config)
    assert again.record() == data.record()
    assert len({s.sha256 for s in data.splits.values()}) == 3


@pytest.mark.parametrize("name", ["banana", "linear_gaussian", "markov"])
def test_no_training_batch_meets_a_held_out_example(name):
    data = dataset(name)
    held_out = [data.splits[s].resident["image"] for s in ("validation", "test")]
    seen = {x.tobytes() for part in held_out for x in part}
    assert len(seen) == 12000
    for batch_size in (2000, 10000):  # equal sizes, since a draw depends on its size
        for seed, step in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0)):
            drawn = data.splits["train"].batch(seed, step, batch_size)["image"]
            assert not seen & {x.tobytes() for x in drawn}


def test_entropy_follows_the_dequantisation():
    plain, noisy = (load(Data(name="bars", transform=t)) for t in ("levels", "dequantise"))
    assert noisy.entropy == pytest.approx(plain.entropy - 16 * math.log(2))
    assert noisy.bits_per_dim(noisy.entropy) == pytest.approx(plain.bits_per_dim(plain.entropy))
