"""An optimiser's numbers become the optax transformation they name."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.experiment.optimizer import Optimizer

PARAMS = jnp.array([1.0, -2.0, 3.0])


def walk(tx, steps=5):
    """The parameters after each step on the loss sum p^4 / 4."""
    params, state, path = PARAMS, tx.init(PARAMS), []
    for _ in range(steps):
        updates, state = tx.update(params**3, state, params)
        params = optax.apply_updates(params, updates)
        path.append(params)
    return np.array(path)


@pytest.mark.parametrize(
    ("optimizer", "reference"),
    [
        (Optimizer(learning_rate=0.01), optax.adam(0.01)),
        (Optimizer(weight_decay=0.1), optax.adamw(1e-3, weight_decay=0.1)),
        (Optimizer("sgd", 0.01), optax.sgd(0.01, momentum=0.9)),
        (Optimizer("sgd", 0.01, beta1=0.0), optax.sgd(0.01)),
        (Optimizer("adagrad", 0.1), optax.adagrad(0.1, eps=1e-8)),
        (Optimizer("adamax", 0.01), optax.adamax(0.01)),
        (Optimizer(beta1=0.5, beta2=0.9, epsilon=1e-4), optax.adam(1e-3, 0.5, 0.9, 1e-4)),
    ],
)
def test_the_rule_is_optax_own(optimizer, reference):
    np.testing.assert_allclose(walk(optimizer.build(5)), walk(reference), rtol=1e-6)


def test_clipping_bounds_the_global_norm():
    path = walk(Optimizer("sgd", 1.0, beta1=0.0, clip_norm=0.5).build(1), steps=1)
    assert np.linalg.norm(path[0] - PARAMS) == pytest.approx(0.5, rel=1e-6)


def rates(optimizer, num, steps, every=1):
    """The learning rate of each move, read off the moves of plain SGD on the loss p."""
    tx = optimizer.build(steps, every=every)

    def move(state, _):
        update, state = tx.update(jnp.ones(()), state, jnp.zeros(()))
        return state, -update

    scan = jax.jit(lambda state: jax.lax.scan(move, state, length=num)[1])
    return scan(tx.init(jnp.zeros(()))).tolist()


def test_the_warm_up_is_linear_and_the_cosine_ends_at_zero():
    found = rates(Optimizer("sgd", 0.1, "cosine", 4, beta1=0.0), 13, steps=12)
    assert found[:5] == pytest.approx([0.0, 0.025, 0.05, 0.075, 0.1])
    assert found[8] == pytest.approx(0.05)  # half-way down
    assert found[12] == pytest.approx(0.0, abs=1e-7)
    constant = rates(Optimizer("sgd", 0.1, warmup_steps=2, beta1=0.0), 4, steps=12)
    assert constant == pytest.approx([0.0, 0.05, 0.1, 0.1])


def test_linear_falls_to_zero_and_step_by_its_factor():
    line = rates(Optimizer("sgd", 0.1, "linear", beta1=0.0), 6, steps=4)
    assert line == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.0, 0.0], abs=1e-7)
    warm = rates(Optimizer("sgd", 0.1, "linear", 2, beta1=0.0), 7, steps=6)
    assert warm == pytest.approx([0.0, 0.05, 0.1, 0.075, 0.05, 0.025, 0.0], abs=1e-7)
    steps = Optimizer("sgd", 0.1, "step", beta1=0.0, decay=0.1, decay_steps=2)
    assert rates(steps, 5, steps=5) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_a_schedule_counts_updates_rather_than_micro_batches():
    found = rates(Optimizer("sgd", 0.1, "cosine", beta1=0.0, accumulate=2), 6, steps=8)
    assert found[::2] == [0.0, 0.0, 0.0]
    expected = [0.05 * (1 + np.cos(np.pi * t / 4)) for t in range(3)]
    assert found[1::2] == pytest.approx(expected, rel=1e-5)


SCHEDULED = (
    Optimizer("sgd", 0.1, "cosine", 7, beta1=0.0),
    Optimizer("sgd", 0.1, "cosine", beta1=0.0),
    Optimizer("sgd", 0.1, "linear", 10, beta1=0.0),
    Optimizer("sgd", 0.1, "step", 3, beta1=0.0, decay_steps=11),
    Optimizer("sgd", 0.1, "constant", 50, beta1=0.0),
)


@pytest.mark.parametrize("optimizer", SCHEDULED)
def test_an_update_takes_the_rate_of_the_step_at_which_it_begins(optimizer):
    by_step = rates(optimizer, 100, steps=100)
    for every, accumulate in ((5, 1), (1, 4), (3, 2), (100, 1)):
        moves = 1 + 99 // every
        accumulated = replace(optimizer, accumulate=accumulate)
        made = rates(accumulated, moves, steps=100, every=every)[accumulate - 1 :: accumulate]
        expected = by_step[:: every * accumulate][: len(made)]
        assert made == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_warm_up_shorter_than_an_accumulation_is_one_all_the_same():
    found = rates(Optimizer("sgd", 0.1, warmup_steps=3, beta1=0.0, accumulate=4), 12, steps=12)
    assert found[3::4] == pytest.approx([0.0, 0.1, 0.1])


def test_an_interval_without_bound_makes_no_step_that_is_no_number():
    optimizer = Optimizer("sgd", 0.1, "cosine", beta1=0.0, accumulate=2**31 - 1)
    rate = optimizer.build(10, every=2**31 - 1)
    update, _ = rate.update(jnp.ones(()), rate.init(jnp.zeros(())), jnp.zeros(()))
    assert float(update) == 0.0


def test_runs_of_before_have_the_schedule_that_they_had():
    for optimizer in SCHEDULED:
        old = optimizer.build_by_moves(100)
        new = optimizer.build(100)
        np.testing.assert_array_equal(walk(old), walk(new))
    four = Optimizer("sgd", 0.1, warmup_steps=3, beta1=0.0, accumulate=4)
    assert walk(four.build_by_moves(12), 4)[3] == pytest.approx(PARAMS - 0.1 * PARAMS**3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"epsilon": -1e-8},
        {"warmup_steps": -1},
        {"weight_decay": -0.1},
        {"clip_norm": -1.0},
        {"beta1": 1.0},
        {"beta2": -0.1},
        {"accumulate": 0},
        {"decay": 0.0},
        {"decay_steps": 0},
    ],
)
def test_a_wrong_number_is_named(wrong):
    ((field, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"optimizer.{field}: got {value}, expected"):
        Optimizer(**wrong)
