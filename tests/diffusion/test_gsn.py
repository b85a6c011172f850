"""GSN: the tabular theorem, walkback by hand, its corruption, and a chain that finds its data."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.diffusion import GSN
from jaxgen.diffusion.corruption import corrupted
from jaxgen.errors import ConfigError
from jaxgen.step import init_state, train_step

KEY = jax.random.key(0)


def states(num):
    """All binary states, the first element the most significant bit."""
    return ((np.arange(2**num)[:, None] >> np.arange(num)[::-1]) & 1).astype(float)


def corruption(num, share):
    """The matrix C[x, x~] of salt and pepper: each bit turns with probability share / 2."""
    flips = np.abs(states(num)[:, None] - states(num)[None]).sum(axis=2)
    return (share / 2) ** flips * (1 - share / 2) ** (num - flips)


def posterior(law, matrix):
    """P(x | x~), [x~, x]."""
    joint = law[:, None] * matrix
    return (joint / joint.sum(axis=0)).T


def test_with_the_true_posterior_the_chain_leaves_the_data_as_they_are():
    """For a symmetric corruption and for one that is not; detailed balance holds too."""
    random = np.random.default_rng(0)
    law = random.dirichlet(np.ones(16))
    skew = random.dirichlet(np.ones(16), size=16)
    for matrix in (corruption(4, 0.6), skew):
        chain = matrix @ posterior(law, matrix)
        assert np.abs(law @ chain - law).max() < 1e-15
        flux = law[:, None] * chain
        assert np.abs(flux - flux.T).max() < 1e-15
    other = corruption(4, 0.6) @ posterior(np.full(16, 1 / 16), corruption(4, 0.6))
    assert np.abs(law @ other - law).max() > 1e-3


def factorised(table):
    """The product of the marginals of each row of P(x | x~)."""
    ones = table @ states(4)  # [x~, 4]
    bits = states(4)[None]
    return (bits * ones[:, None] + (1 - bits) * (1 - ones[:, None])).prod(axis=2)


def stationary(chain):
    return np.linalg.matrix_power(chain, 2000)[0]


def test_a_factorised_output_is_exact_for_independent_data_and_not_for_others():
    matrix = corruption(4, 0.6)
    rates = np.array([0.2, 0.7, 0.5, 0.9])
    independent = np.where(states(4) == 1, rates, 1 - rates).prod(axis=1)
    exact = stationary(matrix @ factorised(posterior(independent, matrix)))
    assert np.abs(exact - independent).max() < 1e-12
    law = np.random.default_rng(3).dirichlet(np.ones(16))
    found = stationary(matrix @ factorised(posterior(law, matrix)))
    assert 0.5 * np.abs(found - law).sum() > 0.05


def test_corruption_turns_half_of_its_share():
    x = jnp.asarray(np.tile([0.0, 1.0], (50_000, 4)), jnp.float32)
    turned = np.asarray(corrupted(KEY, x, 0.4) != x)
    assert turned.mean() == pytest.approx(0.2, abs=4 * (0.16 / x.size) ** 0.5)
    assert turned[:, ::2].mean() == pytest.approx(turned[:, 1::2].mean(), abs=0.01)
    np.testing.assert_array_equal(corrupted(KEY, x, 0.0), x)


def bars():
    """The 14 patterns of bars and stripes of 3x3, and their probabilities."""
    lines = states(3)
    upright = np.repeat(lines[:, None], 3, axis=1).reshape(-1, 9)
    flat = np.repeat(lines[:, :, None], 3, axis=2).reshape(-1, 9)
    patterns, count = np.unique(np.concatenate([upright, flat]), axis=0, return_counts=True)
    return patterns, count / count.sum()


@pytest.mark.parametrize("flip", [0.1, 0.2, 0.3])
def test_the_frequencies_of_pairs_make_a_chain_that_draws_from_the_data(flip):
    """The posterior is a table of 100 000 pairs (x, x~), of the library's corruption."""
    patterns, share = bars()
    random = np.random.default_rng(1)
    chosen = random.choice(len(patterns), size=100_000, p=share)
    noisy = corrupted(KEY, jnp.asarray(patterns[chosen], jnp.float32), 2 * flip)
    index = (np.asarray(noisy) @ 2.0 ** np.arange(9)).astype(int)
    table = np.zeros((512, len(patterns)))
    np.add.at(table, (index, chosen), 1)
    at_all = states(9)[:, ::-1]  # in the order of the index
    turns = np.abs(patterns[:, None] - at_all[None]).sum(axis=2)
    matrix = flip**turns * (1 - flip) ** (9 - turns)  # C[x, x~]
    seen = table.sum(axis=1, keepdims=True)
    learnt = np.where(seen > 0, table / np.maximum(seen, 1), 1 / len(patterns))
    law = np.linalg.matrix_power(matrix @ learnt, 500)[0]
    assert 0.5 * np.abs(law - share).sum() < 0.03


def test_a_walk_of_one_move_is_the_denoising_loss():
    model = GSN((4,), (5,), walkbacks=1, corruption=0.3)
    variables = model.init(KEY)
    x = jnp.asarray(states(4), jnp.float32)
    loss, _ = model.gsn_loss(variables, {"image": x}, jax.random.key(3))
    error = model.denoising_error(variables, x, jax.random.key(3))
    assert float(loss) == pytest.approx(4 * float(error.mean()), rel=1e-6)


def test_without_noise_a_move_is_two_half_steps_of_a_machine():
    """One sigmoid layer: h = sigma(x W + c), p = sigma(h W^T + b)."""
    model = GSN((4,), (3,), corruption=0.0, noise_std=0.0, activation="sigmoid")
    variables = jax.tree.map(lambda leaf: leaf + 0.3, model.init(KEY))
    x = states(4)
    params = {name: np.asarray(value) for name, value in variables["gsn"]["params"].items()}
    h = 1 / (1 + np.exp(-(x @ params["weight_1"] + params["bias_1"])))
    expected = h @ params["weight_1"].T + params["bias_0"]
    found = model.walk(variables, KEY, jnp.asarray(x, jnp.float32), 1)[0]
    assert np.asarray(found) == pytest.approx(expected, abs=1e-5)


def test_odd_layers_are_updated_before_even_ones():
    model = GSN((3,), (4, 2), noise_std=0.0)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
    params = {name: np.asarray(value) for name, value in variables["gsn"]["params"].items()}
    random = np.random.default_rng(2)
    parts = [random.normal(size=(5, size)).astype(np.float32) for size in (3, 4, 2)]
    x, h1, h2 = (jnp.asarray(part) for part in parts)
    new, logits = model.updated(variables, KEY, (x, h1, h2))
    first = np.tanh(
        params["bias_1"] + parts[0] @ params["weight_1"] + parts[2] @ params["weight_2"].T
    )
    second = np.tanh(params["bias_2"] + first @ params["weight_2"])
    assert np.asarray(new[1]) == pytest.approx(first, abs=1e-5)
    assert np.asarray(new[2]) == pytest.approx(second, abs=1e-5)
    visible = params["bias_0"] + first @ params["weight_1"].T
    assert np.asarray(logits) == pytest.approx(visible, abs=1e-5)


def test_the_first_hidden_layer_has_no_noise_and_those_above_have():
    model = GSN((3,), (4, 2), noise_std=1.5)
    variables = model.init(KEY)
    layers = (jnp.ones((4000, 3)), jnp.zeros((4000, 4)), jnp.zeros((4000, 2)))
    new, _ = model.updated(variables, jax.random.key(1), layers)
    assert float(new[1].std(axis=0).max()) < 1e-6
    spread = np.asarray(new[2].std(axis=0))
    assert (spread > 1.5).all()  # after the activation, and some before it
    assert (spread < 1.9).all()


def test_nothing_flows_through_drawn_bits_but_all_else_through_the_walk():
    model = GSN((3,), (4,), walkbacks=2, corruption=0.0)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))

    def last(x):
        return model.walk(variables, KEY, x, 1).sum()

    x = jnp.ones((2, 3))
    assert float(np.abs(jax.grad(last)(x)).max()) == 0  # x was corrupted: a constant
    deep = replace(model, hidden=(4, 3), noise_std=0.0)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, deep.init(KEY))

    def second(h1):
        layers = (x, h1, jnp.zeros((2, 3)))
        layers, _ = deep.move(variables, KEY, layers)
        return deep.move(variables, KEY, layers)[1].sum()

    def through(h2):
        layers = (x, jnp.zeros((2, 4)), h2)
        layers, _ = deep.move(variables, KEY, layers)
        return deep.move(variables, KEY, layers)[1].sum()

    assert float(np.abs(jax.grad(through)(jnp.ones((2, 3)))).max()) > 1e-4
    assert np.isfinite(float(second(jnp.ones((2, 4)))))


def test_a_trained_chain_draws_the_patterns_of_its_data():
    """Bars and stripes: most samples are among the 14 patterns of 512, and all 14 are drawn."""
    patterns, share = bars()
    model = GSN((9,), (60, 60), walkbacks=3, corruption=0.2, noise_std=1.0, moves=60)
    players = model.players(optax.adam(optax.cosine_decay_schedule(5e-3, 1500)))
    state = init_state(KEY, model.init(KEY), players)

    def step(state, key):
        x = jax.random.choice(key, jnp.asarray(patterns), (64,), p=jnp.asarray(share))
        return train_step(players, state, {"image": x.astype(jnp.float32)})

    keys = jax.random.split(jax.random.key(1), 1500)
    state = jax.jit(lambda state: jax.lax.scan(step, state, keys)[0])(state)
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(state.variables, KEY, 3000))
    same = (x[:, None] == patterns[None]).all(axis=2)
    assert same.any(axis=1).mean() > 0.6
    assert same.any(axis=0).all()


def test_the_chain_and_completions():
    model = GSN((2, 2), (5, 4), noise_std=0.5, moves=12)
    variables = jax.tree.map(lambda leaf: leaf + 0.1, model.init(KEY))
    strip = np.asarray(model.chain(variables, KEY, 6, 4))
    assert strip.shape == (6, 4, 2, 2)
    np.testing.assert_array_equal(strip[:, 0], np.full((6, 2, 2), 0.5))
    assert (np.abs(np.diff(strip, axis=1)) > 0).any(axis=(0, 2, 3)).all()
    sample = np.asarray(model.sample(variables, KEY, 6))
    assert set(np.unique(sample)) <= {0.0, 1.0}
    mask = np.array([[True, False], [False, True]])
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (200, 2, 2)), jnp.float32)
    done = np.asarray(jax.jit(model.complete)(variables, KEY, x, mask))
    np.testing.assert_array_equal(done[:, mask], np.asarray(x)[:, mask])
    assert 0 < done[:, ~mask].mean() < 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden": ()}, r"hidden: got \(\), expected at least one layer"),
        ({"walkbacks": 0}, "walkbacks: got 0"),
        ({"corruption": 1.5}, "corruption: got 1.5"),
        ({"noise_std": -1.0}, "noise_std: got -1"),
        ({"activation": "relu"}, "activation: got 'relu', expected one of tanh, sigmoid"),
        ({"moves": 0}, "moves: got 0"),
    ],
)
def test_settings_that_make_no_network_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        replace(GSN((2,), (3,)), **fields)
