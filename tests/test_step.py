"""The fold over players: order, rests, ownership, what a loss is given and what a move reports."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen.errors import ConfigError
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.step import Player, evaluation_variables, init_state, train_step, update

SGD = optax.sgd(0.1)
KEY = jax.random.key(0)
NOTHING = {"image": jnp.zeros((1,))}


def number(value):
    return {"params": jnp.asarray(value)}


def bilinear(every=1):
    """V = x y: x minimises, y maximises."""

    def product(variables):
        return variables["x"]["params"] * variables["y"]["params"]

    return (
        Player("x", ("x",), lambda v, b, k: (product(v), ({}, {})), SGD, every),
        Player("y", ("y",), lambda v, b, k: (-product(v), ({}, {})), SGD),
    )


def radii(order, steps):
    """The distance from the equilibrium over the steps, from (1, 0), in float64."""
    with jax.enable_x64(True):
        players = bilinear()
        state = init_state(KEY, {"x": number(1.0), "y": number(0.0)}, players)

        def one(state, _):
            state, _ = train_step(players, state, NOTHING, order=order)
            return state, jnp.hypot(*(state.variables[n]["params"] for n in ("x", "y")))

        return np.asarray(jax.jit(lambda s: jax.lax.scan(one, s, length=steps)[1])(state))


def test_simultaneous_moves_on_xy_spiral_outwards():
    found = radii("simultaneous", 1000)
    np.testing.assert_allclose(found, 1.01 ** (0.5 * np.arange(1, 1001)), rtol=1e-9)
    assert found[-1] == pytest.approx(144.772773, abs=1e-5)


def test_alternating_moves_on_xy_stay_on_an_ellipse():
    found = radii("alternating", 1000)
    assert 0.975 < found.min() < 0.977
    assert 1.025 < found.max() < 1.027


def test_alternating_players_see_the_moves_before_their_own():
    state = init_state(KEY, {"x": number(1.0), "y": number(2.0)}, bilinear())
    both, _ = train_step(bilinear(), state, NOTHING, order="simultaneous")
    turns, _ = train_step(bilinear(), state, NOTHING, order="alternating")
    assert [float(both.variables[n]["params"]) for n in "xy"] == pytest.approx([0.8, 2.1])
    assert [float(turns.variables[n]["params"]) for n in "xy"] == pytest.approx([0.8, 2.08])


def counting_player(every):
    """Momentum, a statistic that counts the moves, and a loss that is the parameter itself."""

    def loss(variables, batch, key):
        count = variables["net"]["statistics"] + 1
        return variables["net"]["params"], ({"seen": batch["step"]}, {"net": {"statistics": count}})

    return Player("p", ("net",), loss, optax.sgd(0.1, momentum=0.9), every)


def test_a_player_moves_on_the_steps_divisible_by_every():
    players = (counting_player(3),)
    state = init_state(KEY, {"net": {**number(1.0), "statistics": jnp.zeros(())}}, players)
    moved = []
    for _ in range(7):
        before = state
        state, metrics = train_step(players, state, NOTHING)
        moved.append(bool(before.variables["net"]["params"] != state.variables["net"]["params"]))
        assert float(metrics["loss"]) == float(before.variables["net"]["params"])
        assert int(metrics["seen"]) == int(before.step)
        assert int(state.step) == int(before.step) + 1
        if not moved[-1]:
            tiny.assert_same(before.variables, state.variables)
            tiny.assert_same(before.opt_state, state.opt_state)
    assert moved == [True, False, False, True, False, False, True]
    assert int(state.variables["net"]["statistics"]) == 3


def test_update_moves_whatever_every_says_and_does_not_count():
    player = counting_player(3)
    state = init_state(KEY, {"net": {**number(1.0), "statistics": jnp.zeros(())}}, (player,))
    state = state.replace(step=jnp.asarray(1, jnp.int32))
    moved, metrics = update(player, state, NOTHING, KEY)
    assert int(moved.step) == 1
    assert float(moved.variables["net"]["params"]) == pytest.approx(0.9)
    assert set(metrics) == {"seen", "loss"}


def test_a_stage_counts_its_steps_from_where_it_began():
    players = (counting_player(3),)
    state = init_state(KEY, {"net": {**number(1.0), "statistics": jnp.zeros(())}}, players)
    state = state.replace(step=jnp.asarray(10, jnp.int32))
    moved, metrics = train_step(players, state, NOTHING, begin=7)
    assert int(metrics["seen"]) == 3
    assert float(moved.variables["net"]["params"]) == pytest.approx(0.9)


@pytest.mark.parametrize(("value", "turn", "taken"), [(2, 0, 1), (np.nan, 0, 0), (2, 3, 0)])
def test_a_guarded_step_is_taken_if_it_is_finite_and_its_turn(value, turn, taken):
    def loss(variables, batch, key):
        return variables["x"]["params"] * batch["image"].sum(), ({}, {})

    players = (Player("p", ("x",), loss, SGD),)
    state = init_state(KEY, {"x": number(1.0)}, players)
    batch = {"image": jnp.full(1, value, jnp.float32), "turn": jnp.asarray(turn)}
    new, metrics = train_step(players, state, batch, guard=True)
    assert bool(metrics["finite"]) == bool(taken)
    assert int(new.step) == taken
    assert float(new.variables["x"]["params"]) == pytest.approx(0.8 if taken else 1.0)


def test_parameters_keep_their_dtype_whatever_the_optimiser_computes_in():
    def single(updates, params):
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), updates)

    players = (replace(bilinear()[0], tx=optax.stateless(single)), bilinear()[1])
    variables = {"x": {"params": jnp.ones((), jnp.bfloat16)}, "y": number(2.0)}
    state, _ = train_step(players, init_state(KEY, variables, players), NOTHING)
    assert state.variables["x"]["params"].dtype == jnp.bfloat16


def test_simultaneous_players_of_one_network_are_refused():
    players = (bilinear()[0], Player("z", ("x", "y"), bilinear()[1].loss, SGD))
    state = init_state(KEY, {"x": number(1.0), "y": number(2.0)}, players)
    with pytest.raises(ConfigError, match=r"'simultaneous', but \['x'\] has two owners"):
        train_step(players, state, NOTHING, order="simultaneous")
    moved, _ = train_step(players, state, NOTHING, order="alternating")
    assert float(moved.variables["x"]["params"]) == pytest.approx(0.8 + 0.1 * 2.0)


@pytest.mark.parametrize("networks", [("x",), ("x", "y", "z")])
def test_networks_and_owners_must_agree(networks):
    with pytest.raises(ConfigError, match=r"players own \['x', 'y'\], the model has"):
        init_state(KEY, {name: number(0.0) for name in networks}, bilinear())


@pytest.mark.parametrize(("ema", "decay"), [(True, 0.0), (False, 0.9)])
def test_an_average_needs_both_a_decay_and_a_place(ema, decay):
    variables = {"x": number(1.0), "y": number(2.0)}
    state = init_state(KEY, variables, bilinear(), ema=ema)
    with pytest.raises(ConfigError, match=f"ema_decay={decay}"):
        train_step(bilinear(), state, NOTHING, ema_decay=decay)


def test_evaluation_uses_the_average_where_there_is_one():
    variables = {"x": number(1.0), "y": number(2.0)}
    state = init_state(KEY, variables, bilinear(), ema=True)
    for _ in range(2):
        state, _ = train_step(bilinear(), state, NOTHING, ema_decay=0.5)
    raw = float(state.variables["x"]["params"])
    average = float(state.ema["x"]["params"])
    assert raw == pytest.approx(0.592)
    assert average == pytest.approx(0.2 * 0.8 + 0.8 * 0.592)

    def found(state, weights=None):
        return float(evaluation_variables(state, weights)["x"]["params"])

    assert found(state) == found(state, "average") == average
    assert found(state, "parameters") == raw
    without = state.replace(ema=None)
    assert found(without) == found(without, "parameters") == raw
    with pytest.raises(ConfigError, match="--weights average: the run keeps none"):
        found(without, "average")


def test_metrics_bear_the_players_name_when_there_are_several():
    state = init_state(KEY, {"x": number(1.0), "y": number(2.0)}, bilinear())
    _, metrics = train_step(bilinear(), state, NOTHING)
    assert set(metrics) == {"x/loss", "y/loss"}


def test_players_data_and_steps_draw_different_noise():
    def draw(variables, batch, key):
        return variables["x"]["params"], ({"u": jax.random.uniform(key), "d": batch["d"]}, {})

    players = tuple(Player(name, ("x",), draw, SGD) for name in "ab")
    state = init_state(KEY, {"x": number(1.0)}, players)

    def prepare(batch, key):
        return {**batch, "d": jax.random.uniform(key)}

    seen = []
    for _ in range(3):
        state, metrics = train_step(players, state, NOTHING, prepare=prepare)
        assert float(metrics["a/d"]) == float(metrics["b/d"])
        seen += [float(metrics[name]) for name in ("a/u", "b/u", "a/d")]
    assert len(set(seen)) == 9


def test_accumulated_micro_batches_are_one_step_on_the_whole_batch():
    def loss(variables, batch, key):
        return ((variables["x"]["params"] - batch["image"]) ** 2).mean(), ({}, {})

    def run(accumulate, batches):
        optimizer = Optimizer("sgd", 0.1, beta1=0.0, accumulate=accumulate)
        players = (Player("p", ("x",), loss, optimizer.build(10)),)
        state = init_state(KEY, {"x": number(1.0)}, players)
        path = []
        for image in batches:
            state, _ = train_step(players, state, {"image": image})
            path.append(float(state.variables["x"]["params"]))
        return path

    image = jnp.arange(12.0).reshape(2, 6)
    (whole,) = run(1, [image.reshape(-1)])
    first, second = run(2, list(image))
    assert first == 1.0
    assert second == pytest.approx(whole, rel=1e-6)
