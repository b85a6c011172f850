"""The state before the first step: who owns which network, and what is taken over by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.state import Player, all_finite, by_name, choose, init_state, owned_params

KEY = jax.random.key(0)
VARIABLES = {
    "x": {"params": jnp.ones(2), "batch_stats": jnp.zeros(2)},
    "y": {"params": jnp.ones(3)},
    "pool": {"pool": jnp.zeros(1)},
}


def player(*owns):
    return Player("p", owns, lambda variables, batch, key: (jnp.zeros(()), ({}, {})), optax.adam(1))


def test_a_network_with_parameters_is_owned_or_frozen_and_not_both():
    init_state(KEY, VARIABLES, (player("x"),), frozen=("y",))
    init_state(KEY, VARIABLES, (player("x", "y"),))
    init_state(KEY, VARIABLES, (player("x", "pool"), player("y")))
    names = r"the model has \['pool', 'x', 'y'\]"
    for owns, frozen, message in (
        (("x",), (), rf"players own \['x'\], {names}"),
        (("x",), ("y", "z"), rf"players own \['x'\], frozen \['y', 'z'\], {names}"),
        (("x", "z"), ("y",), rf"players own \['x', 'z'\], frozen \['y'\], {names}"),
        (("x",), ("x", "y"), r"\['x'\] are frozen, but a player owns them"),
    ):
        with pytest.raises(ConfigError, match=message):
            init_state(KEY, VARIABLES, (player(*owns),), frozen=frozen)


def test_a_fresh_state_has_taken_no_step_and_its_average_is_a_copy():
    whole = player("x", "y")
    assert whole.every == 1
    state = init_state(KEY, VARIABLES, (whole,), ema=True)
    assert (state.step.shape, state.step.dtype, int(state.step)) == ((), jnp.int32, 0)
    assert state.ema_updates == dict.fromkeys(VARIABLES, 0)
    assert state.ema["x"]["params"] is not VARIABLES["x"]["params"]  # a step donates the one
    jax.tree.map(np.testing.assert_array_equal, state.ema, VARIABLES)
    plain = init_state(KEY, VARIABLES, (whole,))
    assert (plain.ema, plain.ema_updates) == (None, None)
    moments = jax.tree.leaves(state.opt_state["p"])
    assert sorted({leaf.shape for leaf in moments}) == [(), (2,), (3,)]
    assert set(owned_params(VARIABLES, player("x", "pool"))) == {"x"}


def test_what_has_the_same_name_shape_and_dtype_is_taken_over():
    fresh = {
        "same": jnp.zeros(2),
        "longer": jnp.zeros(3),
        "other": jnp.zeros(2, jnp.int32),
        "new": jnp.zeros(1),
    }
    old = {
        "same": jnp.ones(2),
        "longer": jnp.ones(2),
        "other": jnp.ones(2),
        "gone": jnp.ones(1),
    }
    found = by_name({"net": fresh}, {"net": old})["net"]
    expected = {**fresh, "same": old["same"]}
    assert set(found) == set(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert found["other"].dtype == jnp.int32


def test_one_of_two_states_is_chosen_as_a_whole():
    one = init_state(KEY, VARIABLES, (player("x", "y"),))
    other = jax.tree.map(lambda leaf: leaf + 1, one.replace(key=jnp.zeros(1)))
    one = one.replace(key=jnp.ones(1))
    for condition, expected in ((True, one), (False, other)):
        found = choose(jnp.asarray(condition), one, other)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_one_number_that_is_not_finite_is_seen():
    tree = {"a": jnp.ones(3), "b": jnp.arange(3)}
    assert all_finite(tree)
    for wrong in (jnp.nan, jnp.inf, -jnp.inf):
        assert not all_finite({**tree, "c": jnp.asarray([0.0, wrong])})
