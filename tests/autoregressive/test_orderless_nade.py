"""One network for all orders: its loss is unbiased, its contexts are uniform over sizes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import Ordering, orderless_nade


@pytest.fixture(scope="module")
def model():
    return orderless_nade.build((4,), hidden=(8,))


@pytest.fixture(scope="module")
def variables(model):
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0)))
    random = np.random.default_rng(0)
    return jax.tree.unflatten(tree, [x + 0.5 * random.normal(size=x.shape) for x in leaves])


def test_the_loss_is_the_mean_likelihood_over_all_orders(model, variables):
    """Over all D! orders and D positions of D = 4, against the mean of exact likelihoods."""
    x = tiny.examples(model, 6)
    orders = jnp.asarray(list(itertools.permutations(range(4))))
    contexts = jnp.asarray(
        [[[float(i in order[:d]) for i in range(4)] for d in range(4)] for order in orders.tolist()]
    ).reshape(-1, 4)

    def estimate(context):
        return model.context_loss(variables, x, jnp.broadcast_to(context, x.shape)).mean()

    def exact(order):
        return -model.log_prob(variables, x, order=order).mean()

    estimates = jax.jit(jax.vmap(estimate))(contexts)
    exacts = jax.jit(jax.vmap(exact))(orders)
    np.testing.assert_allclose(estimates.mean(), exacts.mean(), rtol=1e-5)
    assert exacts.std() > 1e-2  # orders do differ


def test_contexts_have_uniform_sizes_and_uniform_members():
    draw = jax.jit(orderless_nade.draw_contexts, static_argnums=(1, 2))
    context = np.asarray(draw(jax.random.key(0), 20_000, 5))
    assert set(np.unique(context)) == {0.0, 1.0}
    size = context.sum(axis=1).astype(int)
    np.testing.assert_allclose(np.bincount(size, minlength=6) / 20_000, [0.2] * 5 + [0], atol=0.012)
    for d in range(1, 5):
        np.testing.assert_allclose(context[size == d].mean(axis=0), [d / 5] * 5, atol=0.04)


def test_unknown_values_do_not_reach_the_network(model, variables):
    x = tiny.examples(model, 6)
    context = jnp.asarray(np.random.default_rng(1).integers(0, 2, (6, 4)), jnp.float32)
    logits = jax.jit(model._logits)
    same = logits(variables, jnp.where(context == 1, x, 1 - x), context)
    np.testing.assert_array_equal(logits(variables, x, context), same)


def test_a_zero_that_is_known_differs_from_what_is_unknown(model, variables):
    zero = jnp.zeros((1, 4))
    logits = jax.jit(model._logits)
    assert jnp.abs(logits(variables, zero, zero) - logits(variables, zero, zero + 1)).min() > 1e-3


def test_an_order_may_be_given_in_the_place_of_its_own(model, variables):
    other = orderless_nade.build((4,), hidden=(8,), ordering=Ordering("reversed"))
    x = tiny.examples(model, 6)
    given = jax.jit(model.log_prob)(variables, x, order=jnp.asarray(other.order))
    np.testing.assert_allclose(jax.jit(other.log_prob)(variables, x), given, rtol=1e-6)
    assert jnp.abs(jax.jit(model.log_prob)(variables, x) - given).max() > 1e-2
