"""PixelCNN: its field with the blind spot, colours, position, cached sampling."""

import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.autoregressive import chain_rule, gated_pixel_cnn, pixel_cnn
from jaxgen.autoregressive.base import drawing
from jaxgen.distributions.observation import Categorical
from jaxgen.errors import ConfigError


def noisy(model, seed=0):
    """Variables far from a fresh model's, so that pixels depend on each other."""
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(seed)))
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    return tree.unflatten(
        [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    )


def slopes(model, num=16):
    """|d params_i / d x_j| summed over parameters and examples, [D, D]."""
    dim = math.prod(model.shape)
    x = jax.random.uniform(jax.random.key(5), (num, *model.shape))
    variables = noisy(model)

    def outputs(x):
        return model.conditionals(variables, x[None]).reshape(dim, -1)

    jacobian = jax.jit(jax.vmap(jax.jacrev(outputs)))(x)
    return np.abs(np.asarray(jacobian, np.float64)).reshape(num, dim, -1, dim).sum(axis=(0, 2))


@lru_cache
def plain():
    return pixel_cnn.build((9, 9, 1), num_layers=2, features=16, head=8)


@lru_cache
def gated():
    return gated_pixel_cnn.build((9, 9, 1), num_layers=4, features=4, head=4)


@lru_cache
def seen(name):
    model = {"plain": plain, "gated": gated}[name]()
    return slopes(model) > 0


@pytest.mark.parametrize("name", ["plain", "gated"])
def test_the_field_is_what_the_structure_says(name):
    model = {"plain": plain, "gated": gated}[name]()
    np.testing.assert_array_equal(seen(name), model.dependencies())


@pytest.mark.parametrize(("name", "blind"), [("plain", True), ("gated", False)])
def test_the_plain_stack_has_a_blind_spot_and_the_gated_one_none(name, blind):
    """Of the rows above the pixel (4, 3), columns 8 and beyond of row 2, say, lie in it."""
    field = seen(name)[4 * 9 + 3].reshape(9, 9)
    above = field[:4, 3 - 3 : 3 + 4 + 1]  # in reach of four layers of the gated one: 4 columns
    assert above.all() != blind
    edges = [field[4 - k].nonzero()[0].max() for k in (1, 2, 3)]
    assert edges == ([3 + k + 2 for k in (1, 2, 3)] if blind else [3 + 4] * 3)


def test_depth_does_not_remove_the_blind_spot():
    for num_layers in (3, 15):
        field = pixel_cnn.build((9, 30, 1), num_layers=num_layers).network.field()
        row = field[5 * 30 + 2].reshape(9, 30)
        for k in (1, 2, 3):
            assert row[5 - k].nonzero()[0].max() == 2 + k + 2


@lru_cache
def colours():
    model = pixel_cnn.build(
        (2, 2, 3), observation=Categorical(3), num_layers=1, features=24, head=24
    )
    return model, noisy(model)


def test_colours_are_drawn_in_the_order_red_green_blue():
    model, _ = colours()
    last = slopes(model)[-3:, -3:] > 0  # of one pixel, what each colour reads of the three
    np.testing.assert_array_equal(last, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])


def test_cached_sampling_is_naive_sampling():
    """Several rows, columns and layers, so that every entry of the caches is used and replaced."""
    grey = pixel_cnn.build((9, 10, 1), num_layers=2, features=4, head=4, coordinates=True)
    for model, variables in ((grey, noisy(grey)), colours()):
        drawn = [_draw(sampler, model, variables) for sampler in (_fast, chain_rule.naive)]
        np.testing.assert_array_equal(*drawn)
        assert len(np.unique(drawn[0].reshape(8, -1), axis=0)) == 8


def _fast(model, variables, choose, num):
    return model.generate(variables, choose, num)


def _draw(sampler, model, variables, num=8):
    choose = drawing(model.observation, jax.random.key(1))
    return np.asarray(jax.jit(lambda v: sampler(model, v, choose, num))(variables))


def test_cached_parameters_are_those_of_the_whole_image():
    """Numbers, not draws: a small error in a cache would rarely change a draw."""
    model, variables = colours()
    kept = []
    values = jnp.asarray(np.random.default_rng(0).integers(0, 3, (4, 12)), jnp.float32)

    def choose(site, params):
        jax.debug.callback(lambda s, p: kept.append((int(s), np.array(p))), site, params)
        return values[:, site]

    x = jax.block_until_ready(jax.jit(lambda v: model.generate(v, choose, 4))(variables))
    jax.effects_barrier()
    np.testing.assert_array_equal(x.reshape(4, 12), values)
    whole = np.asarray(model.conditionals(variables, x)).reshape(4, 12, -1)
    assert sorted(site for site, _ in kept) == list(range(12))
    for site, params in kept:
        np.testing.assert_allclose(params, whole[:, site], rtol=1e-5, atol=1e-5)


def test_without_coordinates_a_shifted_image_has_shifted_parameters():
    """And with them it has not: a convolution alone does not know where a pixel is."""
    inner = jnp.zeros((1, 24, 24, 1)).at[:, 11:13, 11:13].set(1.0)
    for coordinates in (False, True):
        model = pixel_cnn.build(
            (24, 24, 1), num_layers=1, features=4, head=4, coordinates=coordinates
        )
        conditionals = jax.jit(partial(model.conditionals, noisy(model)))
        moved = conditionals(jnp.roll(inner, 1, axis=2))[:, 9:16, 9:16]
        same = np.allclose(moved, conditionals(inner)[:, 9:16, 8:15], atol=1e-5)
        assert same != coordinates


def test_dropout_is_of_training_alone():
    model = pixel_cnn.build((3, 3, 1), num_layers=1, features=8, head=4, dropout=0.5)
    variables = noisy(model)
    batch = {"image": jnp.ones((2, 3, 3, 1))}
    losses = [model.likelihood_loss(variables, batch, jax.random.key(i))[0] for i in (0, 1)]
    assert losses[0] != losses[1]
    a, b = (model.log_prob(variables, batch["image"]) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((3, 3, 3), {"features": 16}, "features 16"),
        ((3, 3, 3), {"features": 18, "head": 32}, "head 32"),
        ((9,), {}, r"\[9\]"),
        ((3, 3, 1), {"num_layers": 0}, "num_layers"),
    ],
)
def test_sizes_that_cannot_be_are_refused(shape, settings, message):
    with pytest.raises(ConfigError, match=message):
        pixel_cnn.build(shape, **settings)
