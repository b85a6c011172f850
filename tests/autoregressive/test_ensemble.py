"""A mixture of orders is a model; an average of logits is none."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import Ensemble, Ordering, ensemble
from jaxgen.errors import ConfigError

NAMES = ("mades", "orderless nades")
STATES = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=6))).reshape(-1, 2, 3, 1)


@pytest.fixture(params=NAMES, scope="module")
def model(request):
    return tiny.experiment(request.param).model


@pytest.fixture(scope="module")
def variables(model):
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0)))
    random = np.random.default_rng(0)
    return jax.tree.unflatten(tree, [x + random.normal(size=x.shape) for x in leaves])


def test_the_probabilities_of_the_mixture_and_of_each_member_sum_to_one(model, variables):
    log_prob = jax.jit(model.log_prob_per_member)(variables, STATES)
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), np.ones(len(model.members)), atol=1e-5)
    total = jnp.exp(jax.jit(model.log_prob)(variables, STATES)).sum()
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert log_prob.std(axis=0).max() > 0.1  # members do differ


def test_averaged_logits_are_no_distribution(model, variables):
    @jax.jit
    def total(variables):
        logits = jnp.stack([m.conditionals(variables, STATES) for m in model.components()])
        log_prob = model.observation.log_prob(logits.mean(axis=0), STATES)
        return jnp.exp(log_prob.sum(axis=(1, 2, 3))).sum()

    assert abs(total(variables) - 1) > 1e-3


def test_a_member_within_is_the_same_as_alone(model, variables):
    """One graph serves all members; each gives what the member gives by itself."""
    x = STATES[::7]
    together = jax.jit(model.log_prob_per_member)(variables, x)
    for member, log_prob in zip(model.components(), together, strict=True):
        np.testing.assert_allclose(jax.jit(member.log_prob)(variables, x), log_prob, rtol=1e-4)


def test_samples_have_the_frequencies_of_the_mixture(model, variables):
    num = 20_000
    sample = jax.jit(model.sample, static_argnames="num")(variables, jax.random.key(0), num=num)
    index = np.asarray(sample).reshape(num, -1) @ 2 ** np.arange(6)[::-1]
    counts = np.bincount(index.astype(int), minlength=64)
    expected = num * np.exp(np.asarray(jax.jit(model.log_prob)(variables, STATES), np.float64))
    often = expected >= 5
    statistic = ((counts - expected) ** 2 / expected)[often].sum()
    assert statistic < often.sum() + 5 * (2 * often.sum()) ** 0.5


def test_completions_keep_what_is_known(model, variables):
    x = tiny.examples(model, 32)
    mask = jnp.asarray(np.random.default_rng(3).random(x.shape) < 0.5)
    complete = jax.jit(model.complete)
    done = complete(variables, jax.random.key(1), x, mask)
    np.testing.assert_array_equal(done[mask], x[mask])
    assert (done != x).any()
    same = complete(variables, jax.random.key(1), jnp.where(mask, x, 0), mask)
    np.testing.assert_array_equal(done, same)


def test_steps_train_the_members_in_turn(variables, model):
    """Without dropout a MADE's loss is that of the member whose turn it is."""
    if hasattr(model.members[0], "network"):
        pytest.skip("its loss is over all orders")
    members = [tiny.made.MADE((2, 3, 1), (12, 10), Ordering("random", i), i) for i in range(3)]
    quiet = Ensemble(tuple(members))
    x = tiny.examples(model)
    key = jax.random.key(0)
    loss = jax.jit(lambda step: quiet.ensemble_loss(variables, {"image": x, "step": step}, key)[0])
    found = [loss(step) for step in range(4)]
    expected = [-jax.jit(member.log_prob)(variables, x).mean() for member in members]
    np.testing.assert_allclose(found, [*expected, expected[0]], rtol=1e-5)


def test_members_differ_in_their_order_alone():
    one = tiny.made.MADE((4,), (8,))
    other = tiny.made.MADE((4,), (9,))
    with pytest.raises(ConfigError, match=r"members\[1\]: got .* but for ordering and seed"):
        Ensemble((one, other))
    with pytest.raises(ConfigError, match="members: got none"):
        Ensemble(())


def test_variants_have_their_own_orders_or_their_own_connections():
    base = tiny.made.MADE((9,), (8,))
    orders = [member.order for member in ensemble.several(base, 3).members]
    assert len(np.unique(orders, axis=0)) == 3
    np.testing.assert_array_equal(orders[0], base.order)
    members = ensemble.several(base, 3, orders=False).members
    assert len(np.unique([m.order for m in members], axis=0)) == 1
    assert len(np.unique([m.structure()["units"] for m in members], axis=0)) == 3
    with pytest.raises(ConfigError, match="OrderlessNADE varies in nothing else"):
        ensemble.several(tiny.orderless_nade.build((4,)), 2, orders=False)
