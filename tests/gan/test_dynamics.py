"""V(x, y) = x y, the smallest game: what simultaneous and alternating moves do to it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.step import Player, init_state, train_step

RATE = 0.1
STEPS = 1000


@dataclass(frozen=True)
class Bilinear:
    """A game in which x minimises x y and y maximises it; both begin at (1, 0)."""

    def init(self, key):
        """Return the start, on the unit circle."""
        return {"x": {"params": jnp.ones(())}, "y": {"params": jnp.zeros(())}}

    def players(self, x, y):
        """Return the two players; x moves first."""
        return (Player("x", ("x",), self.x_loss, x), Player("y", ("y",), self.y_loss, y))

    def x_loss(self, variables, batch, key):
        """Return V."""
        return variables["x"]["params"] * variables["y"]["params"], ({}, {})

    def y_loss(self, variables, batch, key):
        """Return -V."""
        return -variables["x"]["params"] * variables["y"]["params"], ({}, {})


def path(order):
    """Return (x, y) after each step, [STEPS, 2]."""
    game = Bilinear()
    players = game.players(optax.sgd(RATE), optax.sgd(RATE))
    start = init_state(jax.random.key(0), game.init(None), players)

    def step(state, _):
        state, _ = train_step(players, state, {}, order=order)
        return state, jnp.stack([state.variables[name]["params"] for name in "xy"])

    _, points = jax.jit(lambda state: jax.lax.scan(step, state, length=STEPS))(start)
    return np.asarray(points, np.float64)


def test_simultaneous_moves_spiral_out():
    radius = np.hypot(*path("simultaneous").T)
    assert radius[-1] == pytest.approx((1 + RATE**2) ** (STEPS / 2), rel=1e-4)
    assert radius[-1] == pytest.approx(144.7728, rel=1e-4)


def test_alternating_moves_stay_on_an_ellipse():
    x, y = path("alternating").T
    radius = np.hypot(x, y)
    assert 0.976 - 1e-3 <= radius.min() < 0.98
    assert 1.02 < radius.max() <= 1.026 + 1e-3
    np.testing.assert_allclose(x**2 + y**2 - RATE * x * y, 1.0, rtol=1e-4)  # conserved
