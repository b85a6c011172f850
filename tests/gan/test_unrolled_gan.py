"""The generator's total derivative through the discriminator's moves."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.gan import GAN, RealOrFake, UnrolledGAN
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.step import Player, TrainState, init_state, train_step, update

KEY = jax.random.key(5)


def model(k, **settings):
    generator = MLPGenerator((6,), (2,), activation="tanh")
    discriminator = Discriminator(MLPTrunk((5,), "tanh"))
    return UnrolledGAN((2,), 3, generator, discriminator, unrolled=k, **settings)


def batch():
    return {"image": jax.random.normal(jax.random.key(1), (16, 2))}


def state_of(game, tx):
    players = game.players(tx, optax.adam(1e-3))
    return jax.jit(lambda: init_state(KEY, game.init(KEY), players))()


def run(game, order="simultaneous", steps=3):
    players = game.players(optax.adam(1e-2, b1=0.5), optax.adam(1e-2, b1=0.5))
    state = jax.jit(lambda: init_state(KEY, game.init(KEY), players))()
    step = jax.jit(lambda s: train_step(players, s, batch(), order=order)[0])
    for _ in range(steps):
        state = step(state)
    return state


def test_without_unrolled_moves_it_is_the_game_bit_for_bit():
    game = model(0)
    plain = GAN((2,), 3, game.generator, game.discriminator, cost="minimax")
    found = run(game).variables
    jax.tree.map(np.testing.assert_array_equal, found, run(plain).variables)
    unrolled = run(model(2)).variables
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(unrolled), strict=True)
    assert not all(np.array_equal(x, y) for x, y in pairs)


@dataclass(frozen=True)
class Line:
    """The game f = x y with x the generator and y the discriminator, in float64."""

    rate: float

    def y_loss(self, variables, batch, key):
        """Return -f."""
        return -variables["x"]["params"] * variables["y"]["params"], ({}, {})


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_unrolled_gradient_ascent_on_x_y_is_known(k):
    # y_K = y + K e x, so that f_K = x y + K e x^2 and its slope y + 2 K e x
    rate = 0.1
    x = 0.7
    y = -0.3
    player = Player("y", ("y",), Line(rate).y_loss, optax.sgd(rate))

    def unrolled(x):
        variables = {"x": {"params": x}, "y": {"params": jnp.asarray(y)}}
        opt_state = {"y": player.tx.init({"y": jnp.asarray(y)})}
        state = TrainState(jnp.zeros((), jnp.int32), KEY, variables, opt_state)
        for _ in range(k):
            state, _ = update(player, state, {}, KEY)
        return state.variables["x"]["params"] * state.variables["y"]["params"]

    assert unrolled(x) == pytest.approx(x * y + k * rate * x**2, rel=1e-5)
    assert jax.grad(unrolled)(x) == pytest.approx(y + 2 * k * rate * x, rel=1e-5)


def generator_loss(game, state, opponent, *, cut=False):
    """Return the loss as a function of G's parameters; `cut` forgets the second term."""

    def loss(params):
        variables = {**state.variables, "generator": {"params": params}}
        inner = {**batch(), "step": state.step, "opt_state": state.opt_state}
        if not cut:
            return game.generator_loss(variables, inner, KEY, opponent=opponent)[0]
        moved = state.replace(variables=variables)
        for _ in range(game.unrolled):
            moved, _ = update(opponent, moved, batch(), KEY)
        frozen = jax.lax.stop_gradient(moved.variables["discriminator"])
        variables = {**variables, "discriminator": frozen}
        return RealOrFake.generator_loss(game, variables, batch(), KEY)[0]

    return loss


@pytest.mark.parametrize("adam", [False, True])
def test_two_moves_equal_a_reference_by_hand_and_finite_differences(adam):
    with jax.enable_x64(True):
        tx = optax.adam(0.05, b1=0.5) if adam else optax.sgd(0.1)
        game = model(2)
        state = jax.tree.map(
            lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x,
            state_of(game, tx),
        )
        opponent = game.players(tx, optax.sgd(0.1))[0]
        params = state.variables["generator"]["params"]
        loss = jax.jit(generator_loss(game, state, opponent))
        slope = jax.jit(jax.grad(generator_loss(game, state, opponent)))(params)
        value_and_slope = jax.jit(jax.value_and_grad(by_hand(game, state, tx)))
        value, by_reference = value_and_slope(params)
        assert loss(params) == pytest.approx(float(value), rel=1e-9)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12),
            slope,
            by_reference,
        )
        for name in ("Dense_0", "Dense_1"):
            kernel = params[name]["kernel"]
            for place in ((0, 0), (1, 1)):
                ends = [
                    loss({**params, name: {**params[name], "kernel": kernel.at[place].add(step)}})
                    for step in (1e-5, -1e-5)
                ]
                expected = float(ends[0] - ends[1]) / 2e-5
                assert slope[name]["kernel"][place] == pytest.approx(expected, rel=1e-4, abs=1e-9)


def by_hand(game, state, tx):
    """Return the loss after two moves of the discriminator, without the library's step."""
    x = batch()["image"]
    fake_key, _, _ = jax.random.split(KEY, 3)
    z_key, _ = jax.random.split(fake_key)
    z = game.latents(z_key, len(x))

    def loss(params):
        samples = game.generator.apply({"params": params}, z, train=True)

        def logits(d, x):
            return game.discriminator.apply({"params": d}, x, train=True)[0]

        def value(d):
            real = logits(d, x)
            fake = logits(d, samples)
            return -jax.nn.softplus(-real).mean() - jax.nn.softplus(fake).mean()

        d = state.variables["discriminator"]["params"]
        opt_state = state.opt_state["discriminator"]
        for _ in range(2):
            slope = jax.grad(lambda d: -value(d))(d)
            updates, opt_state = tx.update({"discriminator": slope}, opt_state)
            d = optax.apply_updates(d, updates["discriminator"])
        return -jax.nn.softplus(logits(d, samples)).mean()

    return loss


def test_the_way_through_the_discriminators_moves_counts():
    # without it this would be a generator against a better discriminator: the common shortcut
    tx = optax.adam(0.05, b1=0.5)
    game = model(3)
    state = state_of(game, tx)
    opponent, _ = game.players(tx, tx)
    params = state.variables["generator"]["params"]
    whole = generator_loss(game, state, opponent)
    cut = generator_loss(game, state, opponent, cut=True)
    value, slope = jax.jit(jax.value_and_grad(whole))(params)
    value_of_cut, slope_of_cut = jax.jit(jax.value_and_grad(cut))(params)
    assert value == pytest.approx(float(value_of_cut), rel=1e-6)
    change = jax.tree.map(lambda a, b: a - b, slope, slope_of_cut)
    assert largest(change) > 1e-2 * largest(slope)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def test_the_discriminator_itself_takes_one_ordinary_step():
    game = model(4)
    plain = GAN((2,), 3, game.generator, game.discriminator, cost="minimax")
    a = run(game, steps=1)
    b = run(plain, steps=1)
    same = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8)
    jax.tree.map(same, a.variables["discriminator"], b.variables["discriminator"])
    jax.tree.map(same, a.opt_state["discriminator"], b.opt_state["discriminator"])


def test_a_negative_number_of_moves_is_refused():
    with pytest.raises(ConfigError, match="unrolled: got -1, expected >= 0"):
        replace(model(0), unrolled=-1)
