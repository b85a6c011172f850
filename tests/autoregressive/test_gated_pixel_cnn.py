"""Gated PixelCNN: two stacks without a blind spot, classes, cached sampling."""

import itertools
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.autoregressive import chain_rule, gated_pixel_cnn
from jaxgen.autoregressive.base import drawing
from jaxgen.autoregressive.gated_pixel_cnn import stacks
from jaxgen.distributions.observation import Categorical
from jaxgen.errors import ConfigError
from jaxgen.step import init_state, train_step

CLASSES = 3


def noisy(model, seed=0):
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(seed)))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return tree.unflatten(
        [x + 0.4 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    )


@lru_cache
def conditional():
    model = gated_pixel_cnn.build((3, 3, 1), num_layers=2, features=4, head=4, num_classes=CLASSES)
    return model, noisy(model)


@lru_cache
def log_prob():
    model, _ = conditional()
    return jax.jit(model.log_prob)


def every_state():
    states = np.array(list(itertools.product((0, 1), repeat=9)), np.float32)
    return jnp.asarray(states.reshape(-1, 3, 3, 1))


def classes(function, variables):
    """`variables` with the class tables replaced."""
    params = variables["gated_pixel_cnn"]["params"]
    params = {k: function(v) if k.endswith("_class") else v for k, v in params.items()}
    return {"gated_pixel_cnn": {"params": params}}


def test_the_probabilities_of_all_512_states_sum_to_one_for_every_class():
    _, variables = conditional()
    x = every_state()
    for label in range(CLASSES):
        total = np.exp(np.asarray(log_prob()(variables, x, label=jnp.full(512, label)), np.float64))
        assert abs(total.sum() - 1) < 1e-5


def test_without_class_tables_it_is_the_unconditional_model():
    _, variables = conditional()
    x = every_state()[::7]
    label = jnp.arange(74) % CLASSES
    blank = classes(jnp.zeros_like, variables)
    params = blank["gated_pixel_cnn"]["params"]
    free = gated_pixel_cnn.build((3, 3, 1), num_layers=2, features=4, head=4)
    without = {k: v for k, v in params.items() if not k.endswith("_class")}
    expected = free.log_prob({"gated_pixel_cnn": {"params": without}}, x)
    np.testing.assert_allclose(log_prob()(blank, x, label=label), expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(log_prob()(variables, x, label=label), expected, atol=1e-2)


def test_permuted_labels_with_permuted_tables_change_nothing():
    _, variables = conditional()
    x = every_state()[::7]
    label = jnp.arange(74) % CLASSES
    order = jnp.array([2, 0, 1])
    permuted = classes(lambda table: table[jnp.argsort(order)], variables)
    expected = log_prob()(variables, x, label=label)
    np.testing.assert_allclose(log_prob()(permuted, x, label=order[label]), expected, rtol=1e-6)
    assert not np.allclose(log_prob()(variables, x, label=order[label]), expected, atol=1e-2)


def test_every_class_table_counts():
    """Two stacks, two layers; the last vertical gate is read by nothing and has no table."""
    _, variables = conditional()
    x = every_state()[::7]
    label = jnp.arange(74) % CLASSES
    params = variables["gated_pixel_cnn"]["params"]
    tables = sorted(name for name in params if name.endswith("_class"))
    stacks = ("layer_0_horizontal", "layer_0_vertical", "layer_1_horizontal")
    assert tables == [f"{name}_class" for name in stacks]
    expected = log_prob()(variables, x, label=label)
    for name in tables:
        blank = {"gated_pixel_cnn": {"params": {**params, name: jnp.zeros_like(params[name])}}}
        assert not np.allclose(log_prob()(blank, x, label=label), expected, atol=1e-3), name


def test_a_label_is_required_exactly_where_there_are_classes():
    model, variables = conditional()
    free = gated_pixel_cnn.build((3, 3, 1), num_layers=1, features=4, head=4)
    x = jnp.zeros((2, 3, 3, 1))
    with pytest.raises(ConfigError, match="num_classes 3"):
        model.conditionals(variables, x)
    with pytest.raises(ConfigError, match="num_classes 0"):
        free.conditionals(free.init(jax.random.key(0)), x, label=jnp.zeros(2, int))


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_the_field_is_a_full_rectangle(size, num_layers):
    """By the gradient of one output."""
    model = gated_pixel_cnn.build(
        (9, 9, 1), num_layers=num_layers, features=2, head=4, kernel_size=size
    )
    row = 7
    column = 4
    reach = size // 2 * num_layers
    variables = noisy(model)
    x = jax.random.uniform(jax.random.key(2), (8, 9, 9, 1))

    def output(x):
        return model.conditionals(variables, x)[:, row, column, 0, 0].sum()

    seen = np.abs(np.asarray(jax.jit(jax.grad(output))(x))).sum(axis=0)[..., 0] > 0
    expected = np.zeros((9, 9), bool)
    top = max(0, row - 1 - reach)
    left = max(0, column - reach)
    expected[top:row, left : column + reach + 1] = True
    expected[row, left:column] = True
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(model.network.field()[row * 9 + column].reshape(9, 9), expected)


class ShiftedLink:
    """Convention (b) in the first layer alone: a vertical stack that reads its own row."""

    def __init__(self, convolve):
        self.convolve = convolve
        self.calls = 0

    def __call__(self, x, kernel, live=None):
        """As `causal_conv`."""
        self.calls += 1
        if self.calls == 1:  # the first vertical convolution: undo the step of one row down
            x = jnp.concatenate([x[:, 1:], jnp.zeros_like(x[:, :1])], axis=1)
        return self.convolve(x, kernel, live)


def test_mixing_the_two_conventions_is_caught(monkeypatch):
    """Without the shift of the image the link lets the row itself leak in."""
    model = gated_pixel_cnn.build((4, 4, 1), num_layers=1, features=4, head=4)
    variables = noisy(model)
    x = jax.random.uniform(jax.random.key(0), (1, 4, 4, 1))

    def leaks():
        jacobian = jax.jacrev(lambda x: model.conditionals(variables, x))(x).reshape(16, 16)
        return bool((np.abs(np.asarray(jacobian)) > 0)[~model.dependencies()].any())

    assert not leaks()
    monkeypatch.setattr(stacks, "causal_conv", ShiftedLink(stacks.causal_conv))
    assert leaks()


def _cases():
    rgb = {"observation": Categorical(3), "num_layers": 2, "features": 6, "head": 6}
    settings = {"num_layers": 3, "features": 4, "head": 4, "skips": True, "coordinates": True}
    return [
        gated_pixel_cnn.build((6, 7, 1), kernel_size=5, **settings),
        gated_pixel_cnn.build((3, 4, 1), num_classes=2, num_layers=2, features=4, head=4),
        gated_pixel_cnn.build((2, 3, 3), **rgb),
    ]


@pytest.mark.parametrize("case", range(3))
def test_cached_sampling_is_naive_sampling(case):
    model = _cases()[case]
    variables = noisy(model)
    num = 8
    label = {"label": jnp.arange(num) % 2} if model.num_classes else {}
    choose = drawing(model.observation, jax.random.key(1))
    fast = jax.jit(lambda v: model.generate(v, choose, num, **label))(variables)
    slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, num, **label))(variables)
    np.testing.assert_array_equal(fast, slow)
    assert len(np.unique(np.asarray(fast).reshape(num, -1), axis=0)) > 2


def test_a_batch_with_labels_trains_on_them():
    """Two classes that differ in every pixel: given the class, far less is left to learn."""
    x = jnp.repeat(jnp.array([0.0, 1.0]), 8).reshape(16, 1, 1, 1) * jnp.ones((16, 2, 2, 1))
    label = jnp.repeat(jnp.arange(2), 8)

    def trained(num_classes):
        model = gated_pixel_cnn.build(
            (2, 2, 1), num_layers=1, features=4, head=4, num_classes=num_classes
        )
        players = model.players(optax.adam(0.05))
        state = init_state(jax.random.key(1), model.init(jax.random.key(0)), players)
        step = jax.jit(lambda s: train_step(players, s, {"image": x, "label": label}))
        for _ in range(60):
            state, metrics = step(state)
        return float(metrics["loss"])

    assert trained(2) < 0.2
    assert trained(0) > 0.6  # at least log 2: which class it is


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((3, 3, 3), {"features": 4}, "features 4"),
        ((3, 3, 1), {"kernel_size": 4}, "kernel_size: got 4"),
        ((9,), {}, r"\[9\]"),
    ],
)
def test_sizes_that_cannot_be_are_refused(shape, settings, message):
    with pytest.raises(ConfigError, match=message):
        gated_pixel_cnn.build(shape, **settings)
