"""The moving average: what it counts, what it holds, and that it is the players' own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.step import Player, init_state, train_step

KEY = jax.random.key(0)
NOTHING = {"image": jnp.zeros((1,))}


def drifting(tx, every=1, name="p", owns=("net",)):
    """A player whose parameter has the gradient -1, with statistics that follow it."""

    def loss(variables, batch, key):
        params = variables[owns[0]]["params"]
        return -params, ({}, {owns[0]: {"batch_stats": params}})

    return Player(name, owns, loss, tx, every)


def walk(players, steps, decay, start=0.0, *, networks=("net",), compiled=True, frozen=()):
    """The states of a run, the first one included."""
    variables = {name: {"params": jnp.asarray(start, float)} for name in networks}
    for name in networks:
        variables[name]["batch_stats"] = jnp.asarray(start, float)
    state = init_state(KEY, variables, players, ema=True, frozen=frozen)
    step = partial(train_step, players, ema_decay=decay)
    step = jax.jit(step) if compiled else step
    states = [state]
    for _ in range(steps):
        states.append(step(states[-1], NOTHING)[0])
    return states


def numbers(states, of="ema", network="net", collection="params"):
    """One number of each state."""
    return np.array([float(getattr(state, of)[network][collection]) for state in states])


def test_the_average_lags_by_its_decay_in_updates_whatever_makes_one():
    # A parameter that rises by 1 an update is d / (1 - d) ahead of its average.
    for steps, players in (
        (150, (drifting(optax.sgd(1.0)),)),
        (600, (drifting(Optimizer("sgd", 1.0, beta1=0.0, accumulate=4).build(600)),)),
        (750, (drifting(optax.sgd(1.0), every=5),)),
        (900, (drifting(optax.MultiSteps(optax.sgd(1.0), 2).gradient_transformation(), 3),)),
        (450, (drifting(optax.chain(optax.MultiSteps(optax.sgd(1.0), 3)
                                    .gradient_transformation())),)),
    ):  # fmt: skip
        state = walk(players, steps, 0.9)[-1]
        assert int(state.ema_updates["net"]) == 150
        lag = float(state.variables["net"]["params"]) - float(state.ema["net"]["params"])
        assert lag == pytest.approx(9, abs=0.05)


def test_initial_weights_have_no_part_and_the_first_update_is_the_average():
    states = walk((drifting(optax.sgd(1.0)),), 3, 0.999, start=1e6)
    assert numbers(states[:2]).tolist() == [1e6, 1e6 + 1]
    assert (numbers(states[1:]) > 1e6).all()
    assert numbers(states, collection="batch_stats")[1] == 1e6


@pytest.mark.parametrize("value", [0.1, -3.7e-5, 1e30, 0.0])
def test_the_average_of_what_stays_is_what_stays(value):
    states = walk((drifting(optax.sgd(0.0)),), 12, 0.9, start=value)
    assert set(numbers(states)) == {float(jnp.asarray(value))}


def test_between_updates_the_average_stands_still():
    tx = Optimizer("sgd", 1.0, beta1=0.0, accumulate=2).build(12)
    states = walk((drifting(tx, every=2),), 9, 0.5)
    assert numbers(states, "variables").tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    found = numbers(states)
    assert [int(state.ema_updates["net"]) for state in states] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert len(set(found)) == 3
    assert found[7] == found[9] == pytest.approx(0.2 * 1 + 0.8 * 2)


def test_a_network_of_two_owners_has_one_update_a_step_in_which_either_made_one():
    slow = drifting(optax.sgd(1.0), every=3, name="slow")
    accumulated = Optimizer("sgd", 1.0, beta1=0.0, accumulate=2).build(12)
    fast = drifting(accumulated, name="fast")
    states = walk((slow, fast), 6, 0.5)
    # slow at steps 0 and 3; fast at 1, 3 and 5
    assert numbers(states, "variables").tolist() == [0, 1, 2, 2, 4, 4, 5]
    assert [int(state.ema_updates["net"]) for state in states] == [0, 1, 2, 2, 3, 3, 4]


def test_networks_of_different_players_count_apart():
    players = (
        drifting(optax.sgd(1.0), name="a", owns=("x",)),
        drifting(optax.sgd(1.0), every=4, name="b", owns=("y",)),
    )
    state = walk(players, 8, 0.5, networks=("x", "y"))[-1]
    assert {name: int(n) for name, n in state.ema_updates.items()} == {"x": 8, "y": 2}


def test_a_frozen_network_keeps_the_weights_that_its_average_has():
    (player,) = (drifting(optax.sgd(1.0)),)
    states = walk((player,), 0, 0.5, networks=("net", "other"), frozen=("other",))
    average = {**states[0].ema, "other": {**states[0].ema["other"], "params": jnp.asarray(7.0)}}
    state, _ = train_step((player,), states[0].replace(ema=average), NOTHING, ema_decay=0.5)
    assert float(state.ema["other"]["params"]) == 7.0


def fitted(told, batches):
    """The average after a least-squares fit to all batches, in float64."""

    def loss(variables, batch, key):
        x = batch["image"]  # [B, 3]
        rest = x @ variables["net"]["params"] - jnp.sin(x)
        return jnp.square(rest).mean(), ({}, {})

    with jax.enable_x64(True):
        players = (Player("p", ("net",), loss, Optimizer(**told).build(len(batches))),)
        state = init_state(KEY, {"net": {"params": jnp.eye(3)}}, players, ema=True)
        step = jax.jit(partial(train_step, players, ema_decay=0.9))
        for batch in batches:
            state, _ = step(state, {"image": jnp.asarray(batch)})
        return np.asarray(state.ema["net"]["params"])


@pytest.mark.parametrize(
    "told",
    [
        {"name": "sgd", "learning_rate": 0.1, "beta1": 0.0},
        {"schedule": "cosine", "warmup_steps": 8, "clip_norm": 0.01, "weight_decay": 0.1},
        {"name": "adagrad", "schedule": "linear"},
    ],
)
def test_four_micro_batches_are_one_batch_of_four_in_the_evaluated_weights(told):
    examples = np.random.default_rng(0).normal(size=(24, 4, 3))
    of_updates = told | {"warmup_steps": told.get("warmup_steps", 0) // 4}
    small = fitted(told | {"accumulate": 4}, examples)
    large = fitted(of_updates, examples.reshape(6, 16, 3))
    assert small.dtype == np.float64
    np.testing.assert_allclose(small, large, rtol=1e-13, atol=1e-15)


def test_runs_of_before_go_on_with_the_average_that_they_had():
    experiment = Experiment(
        tiny.tiny("adversarial autoencoder").make(),
        Settings(9, ema_decay=0.5),
        optimizers=(Optimizer(),) * 3,
        rules=1,
    )
    state = experiment.fresh_state(KEY)
    assert state.ema_updates is None
    assert jax.tree.structure(state) == jax.tree.structure(experiment.abstract_state())
    player = drifting(optax.sgd(1.0), every=2)
    first = walk((player,), 0, 0.5)[0].replace(ema_updates=None)
    states = [first]
    for _ in range(3):
        states.append(train_step((player,), states[-1], NOTHING, ema_decay=0.5)[0])
    assert numbers(states).tolist() == [0, 0.5, 0.75, 1.375]
