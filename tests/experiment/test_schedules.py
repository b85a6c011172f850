"""Every player's schedule spans the steps of its stage, however seldom the player moves."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.gan import WGANGP, Discriminator, MLPGenerator, MLPTrunk
from jaxgen.step import Player, train_step

KEY = jax.random.key(0)
COSINE = Optimizer("sgd", 1.0, "cosine", beta1=0.0)


@dataclass(frozen=True)
class Slopes:
    """Players that move at the intervals given, each on a parameter of its own with slope -1."""

    every: tuple[int, ...]
    wrapped: bool = False
    shape: tuple[int, ...] = (1,)

    def init(self, key):
        """Return all parameters, 0."""
        return {f"n{i}": {"params": jnp.zeros(())} for i in range(len(self.every))}

    def players(self, *txs):
        """Return a player for each interval; one optimiser may be for all of them."""
        if len(txs) == 1:
            txs *= len(self.every)
        if self.wrapped:
            txs = [optax.chain(optax.identity(), tx) for tx in txs]
        made = []
        for i, (every, tx) in enumerate(zip(self.every, txs, strict=True)):
            made.append(Player(f"p{i}", (f"n{i}",), partial(_slope, f"n{i}"), tx, every))
        return tuple(made)


def _slope(network, variables, batch, key):
    return -variables[network]["params"], ({}, {})


def moves(experiment, steps):
    """How far each player moved in each step."""
    step = jax.jit(partial(train_step, experiment.players(), begin=experiment.begin))
    state = experiment.fresh_state(KEY).replace(step=jnp.asarray(experiment.begin, jnp.int32))
    path = []
    for _ in range(steps):
        old = [state.variables[name]["params"] for name in sorted(state.variables)]
        state, _ = step(state, {"image": jnp.zeros(1)})
        new = [state.variables[name]["params"] for name in sorted(state.variables)]
        path.append([float(b - a) for a, b in zip(old, new, strict=True)])
    return np.array(path).T


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_a_flag_says_in_steps_holds_for_every_player(wrapped):
    model = Slopes((1, 5, 3), wrapped)
    experiment = Experiment(model, Settings(40), optimizers=(replace(COSINE, warmup_steps=10),) * 3)
    often, fifth, third = moves(experiment, 40)
    assert often[10] == pytest.approx(1.0)
    assert often[39] < 0.01
    np.testing.assert_allclose(fifth[::5], often[::5], atol=1e-6)
    np.testing.assert_allclose(third[::3], often[::3], atol=1e-6)
    assert fifth.sum() == pytest.approx(often[::5].sum(), abs=1e-4)


def test_a_stage_has_schedules_of_its_own():
    first = Experiment(Slopes((1,)), Settings(7), optimizers=(COSINE,))
    second = Experiment(Slopes((1, 4)), Settings(20), optimizers=(COSINE,) * 2, after=first)
    often, fourth = moves(second, 20)
    assert often[0] == fourth[0] == 1.0
    np.testing.assert_allclose(fourth[::4], often[::4], atol=1e-6)


def test_players_of_one_optimiser_that_move_at_different_intervals_are_refused():
    with pytest.raises(ConfigError, match=r"optimizers\[0\] is shared .* every \[1, 5\] steps"):
        Experiment(Slopes((1, 5)), Settings(40), optimizers=(COSINE,)).players()
    Experiment(Slopes((5, 5)), Settings(40), optimizers=(COSINE,)).players()


def rate(player, num):
    """The last of the rates of a player's first updates, read off plain SGD."""

    def move(state, _):
        update, state = player.tx.update(jnp.ones(()), state, jnp.zeros(()))
        return state, -update

    scan = jax.jit(lambda state: jax.lax.scan(move, state, length=num)[1])
    return float(scan(player.tx.init(jnp.zeros(())))[-1])


def test_a_generator_that_moves_every_fifth_step_ends_at_the_end_of_its_cosine():
    model = WGANGP((3,), 2, MLPGenerator((4,), (3,)), Discriminator(MLPTrunk((4,))))
    experiment = Experiment(model, Settings(100), optimizers=(COSINE,) * 2)
    critic, generator = experiment.players()
    assert generator.every == 5
    assert rate(generator, 20) == pytest.approx(rate(critic, 96), rel=1e-5)
    assert rate(generator, 20) < 0.01
    warm = replace(experiment, optimizers=(Optimizer("sgd", 1.0, beta1=0.0, warmup_steps=50),) * 2)
    assert [rate(warm.players()[1], num) for num in (6, 11)] == pytest.approx([0.5, 1.0])


def test_by_the_rules_of_before_a_schedule_spans_as_many_moves():
    old = Experiment(Slopes((1, 5)), Settings(40), optimizers=(COSINE,) * 2, rules=1)
    assert moves(old, 40)[1, 35] == pytest.approx((1 + np.cos(np.pi * 7 / 40)) / 2)
    assert not old.counts_alike()
    assert replace(old, model=Slopes((1, 1))).counts_alike()
    assert replace(old, optimizers=(Optimizer(accumulate=4),) * 2).counts_alike()
    with pytest.raises(ConfigError, match=r"rules: got 3"):
        replace(old, rules=3)
