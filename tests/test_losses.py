"""Costs at numbers computed by hand and by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen import losses
from jaxgen.errors import ConfigError

GRID = np.linspace(-14.0, 14.0, 56_001)
PAIRS = {  # (mean, std) of p and of q: JSD, V*, KL(p, q), KL(q, p), squared Hellinger
    "a": ((0, 1), (1, 1), 0.11142148, -1.16345140, 0.5, 0.5, 0.23500619),
    "b": ((0, 1), (2, 1), 0.33683082, -0.71263272, 2.0, 2.0, 0.78693868),
    "c": ((0, 1), (1, 1.5), 0.09929010, -1.18771417, 0.34990955, 0.71953489, 0.22073074),
    "d": ((-1, 0.5), (1, 1), 0.47430741, -0.43767954, 2.31814718, 8.80685282, 1.19621591),
}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def log_density(mean, std, x=GRID):
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def integral(values):
    return np.trapezoid(np.asarray(values, np.float64), GRID)


def expected(cost, log_p, *logits):
    """Integrate a cost of one logit at a time over a density: costs are means over entries."""
    each = jax.vmap(cost)(*[jnp.asarray(x) for x in logits])
    return integral(np.exp(log_p) * np.asarray(each))


def value(log_p, log_q, logits):
    """Return E_p log D + E_q log(1 - D), from the cost of one logit against a sure one."""
    sure = jnp.asarray(-1e9)  # softplus of it is 0
    real = expected(lambda x: losses.discriminator_cost(x, sure), log_p, logits)
    fake = expected(lambda x: losses.discriminator_cost(-sure, x), log_q, logits)
    return -real - fake


@pytest.mark.parametrize("name", PAIRS)
def test_the_value_at_the_best_discriminator_is_twice_the_divergence_less_log_4(name):
    p, q, jsd, best, *_ = PAIRS[name]
    log_p = log_density(*p)
    log_q = log_density(*q)
    found = value(log_p, log_q, log_p - log_q)
    assert found == pytest.approx(best, abs=1e-6)
    assert found == pytest.approx(2 * jsd - np.log(4), abs=1e-6)
    assert value(log_p, log_q, log_p - log_q + 0.1) < found  # any other one is worse


def f_bound(name, log_p, log_q, v):
    row = losses.F_DIVERGENCES[name]
    of_real = np.asarray(row.activation(jnp.asarray(v)))
    of_fake = np.asarray(row.conjugate_of_activation(jnp.asarray(v)))
    return integral(np.exp(log_p) * of_real) - integral(np.exp(log_q) * of_fake)


def best_output(name, log_u):
    """Return v with g(v) = f'(u), in closed form."""
    return {
        "kl": 1 + log_u,
        "reverse_kl": log_u,  # -exp(-v) = -1 / u
        "pearson": 2 * np.expm1(log_u),
        "squared_hellinger": log_u / 2,
        "jensen_shannon": log_u,  # log 2 - softplus(-v) = log 2 + log sigmoid(log u)
        "gan": log_u,
    }[name]


F_TRUTH = {  # of p = N(0, 1), q = N(0.8, 1.3^2)
    "kl": 0.24757137,
    "reverse_kl": 0.40263574,
    "pearson": 0.43345247,
    "squared_hellinger": 0.14728385,
    "jensen_shannon": 0.13763696,
    "gan": -1.24865740,
}


@pytest.mark.parametrize("name", F_TRUTH)
def test_f_divergences_are_their_bounds_at_the_best_critic(name):
    row = losses.F_DIVERGENCES[name]
    log_p = log_density(0, 1)
    log_q = log_density(0.8, 1.3)
    log_u = log_p - log_q
    v = best_output(name, log_u)
    near = np.abs(GRID) < 5  # the tails of u reach beyond what `optimum` is exact for
    np.testing.assert_allclose(
        row.activation(jnp.asarray(v))[near],
        row.optimum(jnp.exp(log_u))[near],
        rtol=1e-6,
        atol=1e-9,
    )
    assert f_bound(name, log_p, log_q, v) == pytest.approx(F_TRUTH[name], abs=1e-6)
    random = np.random.default_rng(0)
    for _ in range(5):  # a bound for every other critic
        other = v + 0.3 * np.sin(GRID * random.uniform(0.2, 2) + random.uniform(0, 6))
        assert f_bound(name, log_p, log_q, other) < F_TRUTH[name]


@pytest.mark.parametrize("name", F_TRUTH)
def test_a_row_of_the_table_agrees_with_itself(name):
    row = losses.F_DIVERGENCES[name]
    u = jnp.linspace(0.05, 6.0, 200)
    slope = jax.vmap(jax.grad(row.f))(u)
    np.testing.assert_allclose(row.optimum(u), slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(row.conjugate(slope), u * slope - row.f(u), rtol=1e-9, atol=1e-9)
    assert row.threshold == pytest.approx(float(jax.grad(row.f)(1.0)))
    v = jnp.linspace(-4.0, 4.0, 100)
    composed = row.conjugate(row.activation(v))
    np.testing.assert_allclose(row.conjugate_of_activation(v), composed, rtol=1e-9, atol=1e-9)
    assert (jnp.diff(row.activation(v)) > 0).all()  # larger outputs say real


def test_the_gan_row_is_the_game_itself():
    real = jnp.asarray([0.3, -2.0, 5.0])
    fake = jnp.asarray([1.0, -0.5, -7.0])
    row = losses.F_DIVERGENCES["gan"]
    for own, other in (
        (losses.f_discriminator(row, real, fake), losses.discriminator_cost(real, fake)),
        (losses.f_generator(row, fake), losses.minimax_cost(fake)),
        (losses.f_generator_alternative(row, fake), losses.non_saturating_cost(fake)),
    ):
        assert float(own) == pytest.approx(float(other), abs=1e-12)


def test_costs_of_the_generator_at_hand_computed_numbers():
    logit = jnp.log(jnp.asarray([1 / 4, 3.0]))  # D = 0.2 and 0.75
    assert losses.minimax_cost(logit) == pytest.approx((np.log(0.8) + np.log(0.25)) / 2)
    assert losses.non_saturating_cost(logit) == pytest.approx(-(np.log(0.2) + np.log(0.75)) / 2)
    assert losses.maximum_likelihood_cost(logit) == pytest.approx(-(0.25 + 3.0) / 2)
    assert losses.discriminator_cost(logit, logit) == pytest.approx(
        -(np.log(0.2) + np.log(0.75) + np.log(0.8) + np.log(0.25)) / 2
    )
    assert losses.least_squares_discriminator(jnp.asarray([0.5]), jnp.asarray([2.0])) == 2.125
    assert losses.least_squares_generator(jnp.asarray([3.0])) == 2.0
    assert losses.hinge_discriminator(jnp.asarray([0.25]), jnp.asarray([-0.5])) == 1.25
    assert losses.wasserstein_critic(jnp.asarray([2.0]), jnp.asarray([0.5])) == -1.5
    assert losses.wasserstein_generator(jnp.asarray([0.5])) == -0.5


def test_what_is_an_exponential_is_clipped_at_a_logit_of_20():
    top = np.exp(20.0)
    beyond = jnp.asarray([20.5, 23.0, 1e4])
    assert losses.LARGEST_LOGIT == 20
    assert losses.maximum_likelihood_cost(beyond) == pytest.approx(-top)
    assert losses.maximum_likelihood_cost(jnp.asarray([19.5])) == pytest.approx(-np.exp(19.5))
    rows = losses.F_DIVERGENCES
    np.testing.assert_allclose(rows["kl"].conjugate_of_activation(beyond), top / np.e)
    np.testing.assert_allclose(rows["reverse_kl"].activation(-beyond), -top)
    hellinger = rows["squared_hellinger"]
    np.testing.assert_allclose(hellinger.activation(-beyond), 1 - top)
    np.testing.assert_allclose(hellinger.conjugate_of_activation(beyond), top - 1)


def test_pairs_of_costs_are_those_of_their_games():
    fake = jnp.asarray([0.3, -1.2])
    for name, generator in {
        "minimax": losses.minimax_cost,
        "non_saturating": losses.non_saturating_cost,
        "maximum_likelihood": losses.maximum_likelihood_cost,
        "least_squares": losses.least_squares_generator,
        "hinge": losses.wasserstein_generator,
        "wasserstein": losses.wasserstein_generator,
    }.items():
        assert losses.cost(name).generator(fake) == generator(fake)
    smoothed = losses.cost("minimax", 0.1)
    expected = losses.discriminator_cost(fake, fake, smoothing=0.1)
    assert smoothed.discriminator(fake, fake) == expected
    assert smoothed.generator(fake) == losses.minimax_cost(fake)
    for name, row in losses.F_DIVERGENCES.items():
        assert losses.cost(f"f_{name}").generator(fake) == losses.f_generator(row, fake)


def test_penalties_of_pictures_are_over_all_their_elements():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3, 1)))
    w = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 1)))

    def critic(x):
        return (x * w[None]).sum(axis=(1, 2, 3))

    norm = float(jnp.sqrt(jnp.square(w).sum()))
    assert losses.r1_penalty(critic, x) == pytest.approx(norm**2 / 2)
    found = losses.gradient_penalty(critic, x, x + 1, jax.random.key(0))
    assert found == pytest.approx((norm - 1) ** 2, abs=1e-9)


def test_slopes_of_the_three_costs_are_multiples_of_each_other():
    # d non-saturating = (1 - D) / D d minimax, d maximum likelihood = d minimax / (1 - D)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=100) * 3)
    d = jax.nn.sigmoid(logits)

    def slope(cost):
        return jax.vmap(jax.grad(cost))(logits)

    minimax = slope(losses.minimax_cost)
    np.testing.assert_allclose(minimax, -d, rtol=1e-9)
    np.testing.assert_allclose(slope(losses.non_saturating_cost), minimax * (1 - d) / d, rtol=1e-9)
    np.testing.assert_allclose(slope(losses.maximum_likelihood_cost), minimax / (1 - d), rtol=1e-9)


def test_slopes_over_densities_are_those_of_the_divergences():
    # p = N(0, 1), q = N(0.7, 1), D = D*: x moves with q's mean, D stays
    theta = 0.7
    log_q = log_density(theta, 1)
    d_logit = np.full_like(GRID, -theta)  # of log p - log q in x
    logits = jnp.asarray(log_density(0, 1) - log_q)

    def slope(cost):
        in_logit = np.asarray(jax.vmap(jax.grad(cost))(logits))
        return integral(np.exp(log_q) * in_logit * d_logit)

    assert slope(losses.minimax_cost) == pytest.approx(0.3115489, abs=1e-6)
    assert slope(losses.non_saturating_cost) == pytest.approx(0.3884511, abs=1e-6)
    clipped = integral(np.exp(log_q) * np.asarray(jnp.exp(logits)) * (logits > 20)) * theta
    assert slope(losses.maximum_likelihood_cost) == pytest.approx(theta - clipped, abs=1e-6)


def test_smoothing_moves_the_optimum_and_its_absence_changes_nothing():
    real = jnp.asarray([0.2, 3.0])
    fake = jnp.asarray([-1.0, 0.4])
    plain = losses.discriminator_cost(real, fake)
    assert losses.discriminator_cost(real, fake, smoothing=0.0) == plain
    target = 0.9 * jax.nn.softplus(-real) + 0.1 * jax.nn.softplus(real)
    smoothed = losses.discriminator_cost(real, fake, smoothing=0.1)
    assert smoothed == pytest.approx(float(target.mean() + jax.nn.softplus(fake).mean()))

    def alone(x):
        return losses.discriminator_cost(x, jnp.asarray(-1e9), smoothing=0.1)

    assert jax.grad(alone)(jnp.log(9.0)) == pytest.approx(0.0, abs=1e-12)  # log 0.9 / 0.1

    def both(x):
        return losses.discriminator_cost(x, x, smoothing=0.1)

    best = jnp.log(0.45 / 0.55)
    assert jax.grad(both)(best) == pytest.approx(0.0, abs=1e-12)
    assert both(best) == pytest.approx(1.376278, abs=1e-6)


def test_least_squares_and_hinge_have_their_optima():
    p = 0.3  # density of the point in the data
    q = 0.5  # and among the samples
    a = -1.0
    b = 1.0

    def cost(x):
        real = losses.least_squares_discriminator(x, jnp.asarray(a), a=a, b=b)
        fake = losses.least_squares_discriminator(jnp.asarray(b), x, a=a, b=b)
        return p * real + q * fake

    assert jax.grad(cost)((b * p + a * q) / (p + q)) == pytest.approx(0.0, abs=1e-12)
    hinge = jax.grad(losses.hinge_discriminator, argnums=(0, 1))
    assert hinge(jnp.asarray(1.5), jnp.asarray(-1.5)) == (0.0, 0.0)
    assert hinge(jnp.asarray(0.5), jnp.asarray(0.5)) == (-1.0, 1.0)


def test_penalties_of_a_linear_critic():
    w = jnp.asarray([3.0, 4.0])

    def critic(x):
        return x @ w + 7.0

    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    key = jax.random.key(0)
    assert losses.gradient_penalty(critic, x, x + 1, key) == pytest.approx(16.0, abs=1e-6)
    assert losses.r1_penalty(critic, x) == pytest.approx(12.5, abs=1e-6)

    def first(x):
        return x[:, 0]

    assert losses.gradient_penalty(first, x, x + 1, key) == pytest.approx(0.0, abs=1e-6)
    flat = jax.grad(lambda s: losses.gradient_penalty(lambda x: s * x[:, 0], x, x, key))(0.0)
    assert np.isfinite(flat)


def test_the_penalty_is_taken_between_the_two_at_a_point_of_its_own_for_each_example():
    real = jnp.zeros((64, 3))
    fake = jnp.ones((64, 3))

    def critic(x):
        return jnp.square(x).sum(axis=-1) / 2  # its slope is x itself

    found = losses.gradient_penalty(critic, real, fake, jax.random.key(0))
    fraction = jax.random.uniform(jax.random.key(0), (64, 1))
    norms = np.sqrt(3) * (1 - np.asarray(fraction))
    assert found == pytest.approx(np.mean((norms - 1) ** 2), abs=1e-9)
    assert np.unique(fraction).size == 64


def test_second_derivatives_of_the_penalty_are_right():
    w1 = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)))
    w2 = jnp.asarray(np.random.default_rng(2).normal(size=4))
    x = jnp.asarray(np.random.default_rng(3).normal(size=(5, 3)))

    def penalty(w):
        def critic(x):
            return jnp.tanh(x @ w) @ w2

        return losses.gradient_penalty(critic, x, x[::-1], jax.random.key(1))

    slope = jax.grad(penalty)(w1)
    step = 1e-6
    for i, j in ((0, 0), (1, 2), (2, 3)):
        moved = [penalty(w1.at[i, j].add(sign * step)) for sign in (1, -1)]
        assert slope[i, j] == pytest.approx(float(moved[0] - moved[1]) / (2 * step), rel=1e-5)


def test_features_match_where_the_batches_are_the_same():
    real = jnp.asarray([[1.0, 2.0], [3.0, 6.0]])
    fake = jnp.asarray([[0.0, 1.0], [2.0, 3.0]])
    assert losses.feature_matching(real, real[::-1]) == 0.0
    assert losses.feature_matching(real, fake) == pytest.approx((1 + 4) / 2)
    assert losses.feature_matching(real, fake, absolute=True) == pytest.approx((1 + 2) / 2)
    assert (jax.grad(losses.feature_matching)(real, fake) == 0).all()


def test_historical_averaging_follows_the_mean():
    history = np.random.default_rng(0).normal(size=(7, 3))
    mean = {"w": jnp.zeros(3)}
    for count, params in enumerate(history, start=1):
        mean = losses.mean_so_far(mean, {"w": jnp.asarray(params)}, count)
        if count == 1:
            assert losses.historical_averaging({"w": jnp.asarray(params)}, mean) == 0.0
    np.testing.assert_allclose(mean["w"], history.mean(axis=0), rtol=1e-9)
    last = {"w": jnp.asarray(history[-1])}
    squares = np.square(history[-1] - history.mean(axis=0)).sum()
    assert losses.historical_averaging(last, mean) == pytest.approx(squares)
    slope = jax.grad(losses.historical_averaging)(last, mean)["w"]
    np.testing.assert_allclose(slope, 2 * (history[-1] - history.mean(axis=0)), rtol=1e-9)


@pytest.mark.parametrize("name", [*losses.COSTS, *(f"f_{row}" for row in losses.F_DIVERGENCES)])
def test_costs_are_finite_at_large_logits(name):
    game = losses.cost(name)
    for size in (1e2, 1e4):
        logits = jnp.asarray([-size, size], jnp.float32)
        slopes = jax.grad(lambda x: game.discriminator(x, x[::-1]) + game.generator(x))(logits)
        assert np.isfinite(game.discriminator(logits, logits[::-1]))
        assert np.isfinite(slopes).all()


def test_a_wrong_name_and_a_cost_without_labels_are_one_line():
    with pytest.raises(ConfigError, match=r"cost: got 'wgan', expected one of minimax, "):
        losses.cost("wgan")
    with pytest.raises(ConfigError, match=r"smoothing: got 0.1, but cost 'hinge' has no labels"):
        losses.cost("hinge", 0.1)
