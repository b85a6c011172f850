"""An optimiser's numbers become the optax transformation they name."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.optimizer import Optimizer

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
        (Optimizer(beta1=0.5, beta2=0.9, epsilon=1e-4), optax.adam(1e-3, 0.5, 0.9, 1e-4)),
    ],
)
def test_the_rule_is_optax_own(optimizer, reference):
    np.testing.assert_allclose(walk(optimizer.build(5)), walk(reference), rtol=1e-6)


def test_clipping_bounds_the_global_norm():
    path = walk(Optimizer("sgd", 1.0, beta1=0.0, clip_norm=0.5).build(1), steps=1)
    assert np.linalg.norm(path[0] - PARAMS) == pytest.approx(0.5, rel=1e-6)


def rates(optimizer, num, steps):
    """The learning rate of each step, read off the moves of plain SGD on the loss p."""
    tx = optimizer.build(steps)
    state, found = tx.init(jnp.zeros(())), []
    for _ in range(num):
        update, state = tx.update(jnp.ones(()), state, jnp.zeros(()))
        found.append(-float(update))
    return found


def test_the_warm_up_is_linear_and_the_cosine_ends_at_zero():
    found = rates(Optimizer("sgd", 0.1, "cosine", 4, beta1=0.0), 13, steps=12)
    assert found[:5] == pytest.approx([0.0, 0.025, 0.05, 0.075, 0.1])
    assert found[8] == pytest.approx(0.05)  # half-way down
    assert found[12] == pytest.approx(0.0, abs=1e-7)
    constant = rates(Optimizer("sgd", 0.1, warmup_steps=2, beta1=0.0), 4, steps=12)
    assert constant == pytest.approx([0.0, 0.05, 0.1, 0.1])


def test_a_schedule_counts_updates_rather_than_micro_batches():
    found = rates(Optimizer("sgd", 0.1, "cosine", beta1=0.0, accumulate=2), 6, steps=8)
    assert found[::2] == [0.0, 0.0, 0.0]
    expected = [0.05 * (1 + np.cos(np.pi * t / 4)) for t in range(3)]
    assert found[1::2] == pytest.approx(expected, rel=1e-5)


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
    ],
)
def test_a_wrong_number_is_named(wrong):
    ((field, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"optimizer.{field}: got {value}, expected"):
        Optimizer(**wrong)
