"""What the chain rule promises, over the tiny autoregressive models."""

import itertools
import math
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.base import drawing, keeping


@pytest.fixture(params=tiny.AUTOREGRESSIVE | tiny.VARIANTS, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return tiny.experiment(name).model


@pytest.fixture(scope="module")
def variables(name):
    """Return parameters far from a fresh model's, so that elements depend on each other."""
    return strong(name)


@lru_cache
def strong(name):
    """Return fresh parameters with noise of every scale the model starts from, and more."""
    leaves, tree = jax.tree.flatten(tiny.fresh(name).variables)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    noise = [0.5 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, [x + n for x, n in zip(leaves, noise, strict=True)])


def discrete(model):
    return model.observation.values is not None


def states(model):
    """Return every state of a discrete model, [V^D, *shape]."""
    values = model.observation.values
    dim = math.prod(model.shape)
    assert values**dim <= 4096, "a tiny model has at most 4096 states"
    rows = np.array(list(itertools.product(range(values), repeat=dim)), np.float32)
    return jnp.asarray(rows.reshape(-1, *model.shape))


def labels(model):
    """Return each condition to test: none, or every class."""
    num = getattr(model, "num_classes", 0)
    return [{"label": y} for y in range(num)] if num else [{}]


def full(condition, num):
    return {name: jnp.full(num, value) for name, value in condition.items()}


def test_probabilities_of_all_states_sum_to_one(model, variables):
    if not discrete(model):
        pytest.skip("a density: integrated in its own test")
    x = states(model)
    evaluate = jax.jit(model.log_prob)
    for condition in labels(model):
        total = np.exp(np.asarray(evaluate(variables, x, **full(condition, len(x))), np.float64))
        assert abs(total.sum() - 1) < 1e-5
    if getattr(model, "num_classes", 0):
        assert abs(np.exp(np.asarray(evaluate(variables, x), np.float64)).sum() - 1) < 1e-5


def test_samples_have_the_frequencies_of_their_probabilities(model, variables):
    """Chi-square over the states whose expected count is at least 5, the others pooled."""
    if not discrete(model):
        pytest.skip("a density")
    num = 20_000
    condition = labels(model)[-1]
    x = states(model)
    sample = jax.jit(model.sample, static_argnames="num")
    drawn = np.asarray(sample(variables, jax.random.key(3), num, **full(condition, num)))
    weights = model.observation.values ** np.arange(math.prod(model.shape))[::-1]
    counts = np.bincount((drawn.reshape(num, -1) @ weights).astype(int), minlength=len(x))
    log_prob = jax.jit(model.log_prob)(variables, x, **full(condition, len(x)))
    expected = num * np.exp(np.asarray(log_prob, np.float64))
    often = expected >= 5
    seen = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    seen = seen[wanted > 0]
    wanted = wanted[wanted > 0]
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    freedom = len(seen) - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom) + 10


def jacobian(model, variables, x, condition):
    """Return the sum over parameters and examples of |d params_i / d x_j|, [D, D]."""
    one = {name: jnp.full(1, value) for name, value in condition.items()}

    def outputs(x):
        params = model.conditionals(variables, x.reshape(1, *model.shape), **one)
        return params.reshape(-1, params.shape[-1])

    slopes = jax.jit(jax.vmap(jax.jacrev(outputs)))(x.reshape(len(x), -1))
    return np.abs(np.asarray(slopes)).sum(axis=(0, 2))


def test_the_jacobian_is_the_dependency_set(name, model, variables):
    """Exactly zero outside it, and nowhere zero inside."""
    order = model.order
    depends = model.dependencies()
    assert sorted(order) == list(range(math.prod(model.shape)))
    rank = np.argsort(order)
    assert not (depends & (rank[None, :] >= rank[:, None])).any(), "an element sees itself or later"
    x = tiny.examples(model, 8) + 0.1  # off the corners, where rectifiers may be flat
    slopes = jacobian(model, variables, x, labels(model)[-1])
    np.testing.assert_array_equal(slopes > 0, depends)


NUM = 16


@lru_cache
def samplers(name):
    """Return the fast, the naive and the fixed-point sampler, compiled.

    Each takes (variables, key, x, mask).
    """
    model = tiny.experiment(name).model
    condition = full(labels(model)[-1], NUM)

    def slow(sampler, variables, key, x, mask):
        choose = drawing(model.observation, key)
        choose = keeping(choose, x, mask)
        return sampler(model, variables, choose, NUM, **condition)

    fast = jax.jit(lambda v, key, x, mask: model.complete(v, key, x, mask, **condition))
    return fast, *(jax.jit(partial(slow, s)) for s in (chain_rule.naive, chain_rule.jacobi))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_fast_naive_and_fixed_point_samplers_draw_the_same(name, model, variables, share):
    """Samples, and completions of examples of which half is known."""
    mask = jnp.asarray(np.random.default_rng(3).random((NUM, *model.shape)) < share)
    x = tiny.examples(model, NUM)
    args = (variables, jax.random.key(11))
    fast, slow, fixed = (np.asarray(draw(*args, x, mask)) for draw in samplers(name))
    assert len(np.unique(slow)) > 1
    tolerance = 0 if discrete(model) else 2e-4
    np.testing.assert_allclose(fast, slow, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(fixed, slow, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(fast[mask], np.asarray(x)[mask])
    elsewhere = jnp.where(mask, x, 0)  # what is unknown does not matter
    np.testing.assert_array_equal(samplers(name)[0](*args, elsewhere, mask), fast)


@lru_cache
def value_and_slopes(name, dtype):
    """Return log p of a black and a white image, and its gradient, compiled in that precision."""
    model = tiny.experiment(name).model
    if hasattr(getattr(model, "network", None), "dtype"):
        model = replace(model, network=replace(model.network, dtype=dtype))
    condition = full(labels(model)[-1], 2)
    return jax.jit(jax.value_and_grad(lambda v, x: model.log_prob(v, x, **condition).sum()))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_extreme_parameters_and_flat_images_give_finite_numbers(name, model, variables, dtype):
    """Logits of magnitude 1e4, all-black and all-white images: no NaN in values or gradients."""
    values = model.observation.values or 2
    x = jnp.stack([jnp.zeros(model.shape), jnp.full(model.shape, values - 1.0)])
    loud = jax.tree.map(lambda v: (100 * v).astype(dtype).astype(v.dtype), variables)
    value, slopes = value_and_slopes(name, dtype)(loud, x)
    assert not np.isnan(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_conditionals_have_a_row_of_parameters_for_each_element(model, variables):
    x = tiny.examples(model, 4)
    params = jax.jit(model.conditionals)(variables, x, **full(labels(model)[-1], 4))
    assert params.shape == (4, *model.shape, model.observation.num_params)
    assert params.dtype == jnp.float32
