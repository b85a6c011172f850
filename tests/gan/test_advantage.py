"""The advantage of a discriminator is an estimate of its divergence, in its own unit."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import losses
from jaxgen.gan import advantage

NAMES = [*losses.COSTS, *(f"f_{name}" for name in losses.F_DIVERGENCES)]
SMOOTHED = [(name, 0.0) for name in NAMES] + [("minimax", 0.1), ("non_saturating", 0.4)]
GRID = np.linspace(-18, 18, 2881)
P = np.asarray([0.4, 0.3, 0.2, 0.1])
Q = np.asarray([0.1, 0.2, 0.3, 0.4])
BOTH = P + Q


def told(name, real, fake, smoothing=0.0):
    """The advantage of some outputs, [..., N] each."""
    game = losses.cost(name, smoothing)

    def one(real, fake):
        return advantage.verdicts(game, real, fake)["advantage"]

    return np.asarray(jnp.vectorize(one, signature="(n),(n)->()")(real, fake))


@pytest.mark.parametrize(("name", "smoothing"), SMOOTHED)
def test_the_best_constant_has_none(name, smoothing):
    found = told(name, GRID[:, None], GRID[:, None], smoothing)
    assert found.max() == pytest.approx(0, abs=2e-3)
    assert found.max() < 1e-5


@pytest.mark.parametrize(("name", "smoothing"), SMOOTHED)
def test_none_is_larger_than_the_largest_and_that_is_reached(name, smoothing):
    game = losses.cost(name, smoothing)
    largest = advantage.largest(game)
    real, fake = np.meshgrid(GRID[::80], GRID[::80])  # whole numbers
    found = told(name, real[..., None], fake[..., None], smoothing)
    if np.isfinite(largest):
        assert found.max() == pytest.approx(largest, abs=0.03)
        assert found.max() < largest + 1e-5
    else:
        assert found.max() > 10


def expectation(name, output):
    """The advantage where data and samples are drawn from P and Q, and D outputs [4]."""
    times = np.rint(10 * np.stack([P, Q])).astype(int)
    return told(name, np.repeat(output, times[0]), np.repeat(output, times[1]))


def test_the_best_discriminator_reaches_the_divergence():
    jsd = (P * np.log(2 * P / BOTH) + Q * np.log(2 * Q / BOTH)).sum() / 2
    assert expectation("minimax", np.log(P / Q)) == pytest.approx(2 * jsd, rel=1e-5)
    squares = ((P - Q) ** 2 / BOTH).sum() / 8
    assert expectation("least_squares", P / BOTH) == pytest.approx(squares, rel=1e-5)
    variation = np.abs(P - Q).sum() / 2
    assert expectation("hinge", np.sign(P - Q)) == pytest.approx(2 * variation, rel=1e-5)
    kl = (P * np.log(P / Q)).sum()
    assert expectation("f_kl", 1 + np.log(P / Q)) == pytest.approx(kl, rel=1e-5)
    assert expectation("f_gan", np.log(P / Q)) == pytest.approx(2 * jsd, rel=1e-5)
    pearson = ((P - Q) ** 2 / Q).sum()
    assert expectation("f_pearson", 2 * (P / Q - 1)) == pytest.approx(pearson, rel=1e-5)


def test_probabilities_are_said_where_an_output_is_one():
    for name, smoothing in SMOOTHED:
        found = advantage.verdicts(losses.cost(name, smoothing), jnp.ones(3), jnp.zeros(3))
        says = name in ("minimax", "non_saturating", "maximum_likelihood")
        assert ("real" in found) == ("fake" in found) == says
        if says:
            assert found["real"] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-6)
            assert found["fake"] == 0.5


def test_smoothing_by_nothing_is_the_game_itself():
    smoothed = losses.cost("minimax")._replace(
        discriminator=partial(losses.discriminator_cost, smoothing=0.0)
    )
    assert advantage.unit(smoothed) == advantage.unit(losses.cost("minimax"))


def test_a_cost_that_is_not_known_has_no_unit():
    game = losses.Cost(lambda real, fake: fake.mean(), lambda fake: fake.mean())
    assert advantage.verdicts(game, jnp.ones(3), jnp.ones(3)) == {}
    assert advantage.largest(game) == np.inf


@pytest.mark.parametrize("name", losses.F_DIVERGENCES)
def test_every_divergence_of_the_table_has_a_unit(name):
    found = advantage.unit(losses.cost(f"f_{name}"))
    assert found is not None
    row = losses.F_DIVERGENCES[name]
    assert found.undecided == pytest.approx(-float(row.f(jnp.ones(()))), abs=1e-6)


@pytest.mark.parametrize("name", ["kl", "pearson", "gan"])
def test_a_divergence_of_ones_own_has_no_unit(name):
    own = losses.F_DIVERGENCES[name]._replace(f=lambda u: 2 * (u - 1))
    game = losses.Cost(partial(losses.f_discriminator, own), partial(losses.f_generator, own))
    assert advantage.unit(game) is None
    assert advantage.verdicts(game, jnp.ones(3), jnp.zeros(3)) == {}
