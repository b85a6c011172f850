"""Tables: parameter counts, closed-form maximum likelihood, and entropies that are known."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.autoregressive import JointTable, MarkovChain, Ordering, tabular
from jaxgen.data import Data, load
from jaxgen.errors import ConfigError


def draws(name, num):
    return load(Data(name)).splits["train"].batch(seed=5, step=0, batch_size=num)["image"]


def nats(model, variables, x):
    return -float(jax.jit(model.log_prob)(variables, jnp.asarray(x, jnp.float32)).mean())


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("window", range(5))
def test_the_number_of_parameters_is_the_formulas(window, levels):
    model = MarkovChain((5,), window, levels)
    n = 5
    m = levels
    counted = sum(leaf.size for leaf in jax.tree.leaves(model.init(jax.random.key(0))))
    assert model.num_parameters == counted
    prefixes = sum(m**t for t in range(window)) + (n - window) * m**window
    assert counted == prefixes * (m - 1)
    if m == 2:
        assert counted == (n - window + 1) * 2**window - 1
    if window == 0:
        assert counted == n * (m - 1)
    if window == 1:
        assert counted == (m - 1) * (1 + (n - 1) * m)
    if window == n - 1:
        assert counted == m**n - 1 == JointTable((5,), m).num_parameters


def test_a_stationary_chain_has_one_table():
    assert MarkovChain((9,), 3, stationary=True).num_parameters == 2**3 - 1 + 2**3


def test_a_table_that_cannot_be_stored_is_refused():
    with pytest.raises(ConfigError, match="at most"):
        JointTable((28, 28, 1))
    with pytest.raises(ConfigError, match=r"window: got 5, expected 0 \.\. 4"):
        MarkovChain((5,), 5)


@pytest.mark.parametrize("kind", ["raster", "random"])
def test_the_longest_window_and_the_joint_table_fit_the_frequencies_exactly(kind):
    """AR(n - 1) = joint frequencies = softmax table, in float64."""
    x = np.random.default_rng(1).binomial(1, 0.3, (4000, 4)).cumsum(axis=1) % 2
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    frequency = np.array([(x == s).all(axis=1).mean() for s in states])
    with jax.enable_x64(True):
        for model in (MarkovChain((4,), 3, ordering=Ordering(kind)), JointTable((4,))):
            log_prob = model.log_prob(tabular.fit(model, x), jnp.asarray(states, jnp.float64))
            np.testing.assert_allclose(np.exp(log_prob), frequency, atol=1e-12)


def test_laplaces_smoothing_is_count_plus_alpha_over_total_plus_two_alpha():
    x = np.array([[1], [1], [0], [1]])
    model = tabular.independent((1,))
    found = tabular.fit(model, x, smoothing=2.0)["table"]["params"]["logits"]
    np.testing.assert_allclose(jax.nn.sigmoid(found[0, 0]), (3 + 2) / (4 + 4), rtol=1e-6)


def test_the_chain_rule_of_the_joint_table_is_its_softmax():
    model = JointTable((2, 3, 1), ordering=Ordering("random"))
    variables = model.init(jax.random.key(0))
    variables = jax.tree.map(lambda v: 200 * v, variables)
    x = np.random.default_rng(0).integers(0, 2, (32, 2, 3, 1)).astype(np.float32)
    params = model.conditionals(variables, x)
    by_chain_rule = model.observation.log_prob(params, x).reshape(32, -1).sum(axis=1)
    np.testing.assert_allclose(model.log_prob(variables, x), by_chain_rule, rtol=1e-4)


def test_gradient_training_reaches_the_closed_form():
    x = jnp.asarray(draws("chain", 2000), jnp.float32)
    model = MarkovChain((4, 4, 1), 1)
    target = nats(model, tabular.fit(model, x), x)
    (player,) = model.players(optax.adam(0.1))

    @jax.jit
    def step(carry, _):
        variables, state = carry
        slopes = jax.grad(lambda v: player.loss(v, {"image": x}, jax.random.key(0))[0])(variables)
        moves, state = player.tx.update(slopes, state)
        return (optax.apply_updates(variables, moves), state), None

    variables = model.init(jax.random.key(0))
    (variables, _), _ = jax.lax.scan(step, (variables, player.tx.init(variables)), length=600)
    assert nats(model, variables, x) == pytest.approx(target, abs=2e-4)


def test_cross_entropies_on_the_chain_are_the_known_ones():
    """AR(1) is the truth; independent elements can learn nothing of fair marginals."""
    train = draws("chain", 20_000)
    test = load(Data("chain")).examples("test")
    entropy = load(Data("chain")).entropy
    num = len(test)
    ar1 = MarkovChain((4, 4, 1), 1)
    found = nats(ar1, tabular.fit(ar1, train, 1.0), test)
    error = 2.5 / math.sqrt(num)  # the standard deviation of -log p is below 2.5 nats
    assert entropy - 4 * error < found < entropy + 0.02 + 4 * error
    none = tabular.independent((4, 4, 1))
    assert nats(none, tabular.fit(none, train, 1.0), test) == pytest.approx(
        16 * math.log(2), abs=0.02
    )


def test_a_longer_window_never_fits_the_training_data_worse():
    train = draws("bars", 5000)
    models = [MarkovChain((4, 4, 1), window) for window in range(7)]
    found = [nats(model, tabular.fit(model, train), train) for model in models]
    assert all(after <= before + 1e-4 for before, after in itertools.pairwise(found))
    assert found[0] - found[-1] > 5


def test_the_joint_table_learns_bars_and_stripes_to_its_entropy():
    train = draws("bars", 100_000)
    data = load(Data("bars"))
    model = JointTable((4, 4, 1))
    found = nats(model, tabular.fit(model, train, 1e-6), data.examples("test"))
    assert abs(found - data.entropy) < 0.01
