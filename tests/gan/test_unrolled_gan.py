"""The generator's total derivative through the discriminator's moves."""

from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.errors import ConfigError
from jaxgen.gan import GAN, UnrolledGAN
from jaxgen.gan.networks import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.train import Player, TrainState, init_state, train_step, update

KEY = jax.random.key(5)


def model(k, **settings):
    generator, trunk = MLPGenerator((6,), (2,), activation="tanh"), MLPTrunk((5,), "tanh")
    return UnrolledGAN((2,), 3, generator, Discriminator(trunk), unrolled=k, **settings)


def batch():
    return {"image": jax.random.normal(jax.random.key(1), (16, 2))}


def state_of(game, tx):
    return init_state(KEY, game.init(KEY), game.players(tx, optax.adam(1e-3)))


def run(game, order="simultaneous", steps=3):
    players = game.players(optax.adam(1e-2, b1=0.5), optax.adam(1e-2, b1=0.5))
    state = init_state(KEY, game.init(KEY), players)
    step = jax.jit(lambda s: train_step(players, s, batch(), order=order)[0])
    for _ in range(steps):
        state = step(state)
    return state


def test_without_unrolled_moves_it_is_the_game_bit_for_bit():
    game = model(0)
    plain = GAN((2,), 3, game.generator, game.discriminator, cost="minimax")
    a, b = run(game), run(plain)
    jax.tree.map(np.testing.assert_array_equal, a.variables, b.variables)
    assert not all(
        np.array_equal(x, y)
        for x, y in zip(*(jax.tree.leaves(s.variables) for s in (a, run(model(2)))), strict=True)
    )


@dataclass(frozen=True)
class Line:
    """f = x y with x the generator and y the discriminator, in float64."""

    rate: float

    def y_loss(self, variables, batch, key):
        """-f."""
        return -variables["x"]["params"] * variables["y"]["params"], ({}, {})


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_unrolled_gradient_ascent_on_x_y_is_known(k):
    """y_K = y + K e x, so that f_K = x y + K e x^2 and its slope y + 2 K e x."""
    rate, x, y = 0.1, 0.7, -0.3
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
    """The loss as a function of the generator's parameters; `cut` forgets the second term."""

    def loss(params):
        variables = {**state.variables, "generator": {"params": params}}
        inner = {**batch(), "step": state.step, "opt_state": state.opt_state}
        if not cut:
            return game.generator_loss(variables, inner, KEY, opponent=opponent)[0]
        moved = replace_state(state, variables)
        for _ in range(game.unrolled):
            moved, _ = update(opponent, moved, batch(), KEY)
        frozen = jax.lax.stop_gradient(moved.variables["discriminator"])
        return GAN.generator_loss(game, {**variables, "discriminator": frozen}, batch(), KEY)[0]

    return loss


def replace_state(state, variables):
    return state.replace(variables=variables)


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
        loss = generator_loss(game, state, opponent)
        assert loss(params) == pytest.approx(float(by_hand(game, state, tx)(params)), rel=1e-9)
        slope = jax.grad(loss)(params)
        by_reference = jax.grad(by_hand(game, state, tx))(params)
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
    """V after two moves of the discriminator, written out without the library's step."""
    x = batch()["image"]
    z = game.latents(jax.random.split(jax.random.split(KEY, 3)[0])[0], len(x))
    discriminator = state.variables["discriminator"]["params"]

    def loss(params):
        samples = game.generator.apply({"params": params}, z, train=True)

        def value(d):
            logits = lambda x: game.discriminator.apply({"params": d}, x, train=True)[0]  # noqa: E731
            return -jax.nn.softplus(-logits(x)).mean() - jax.nn.softplus(logits(samples)).mean()

        d, opt_state = discriminator, state.opt_state["discriminator"]
        for _ in range(2):
            slope = jax.grad(lambda d: -value(d))(d)
            updates, opt_state = tx.update({"discriminator": slope}, opt_state)
            d = optax.apply_updates(d, updates["discriminator"])
        logits = game.discriminator.apply({"params": d}, samples, train=True)[0]
        return -jax.nn.softplus(logits).mean()

    return loss


def test_the_way_through_the_discriminators_moves_counts():
    """Without it this would be a generator against a better discriminator: the common shortcut."""
    tx = optax.adam(0.05, b1=0.5)
    game = model(3)
    state, opponent = state_of(game, tx), game.players(tx, tx)[0]
    params = state.variables["generator"]["params"]
    whole, cut = (
        jax.grad(generator_loss(game, state, opponent, cut=cut))(params) for cut in (False, True)
    )
    ahead = generator_loss(game, state, opponent)(params)
    same = float(generator_loss(game, state, opponent, cut=True)(params))
    assert ahead == pytest.approx(same, rel=1e-6)
    difference = max(
        float(jnp.abs(a - b).max())
        for a, b in zip(*map(jax.tree.leaves, (whole, cut)), strict=True)
    )
    assert difference > 1e-2 * max(float(jnp.abs(x).max()) for x in jax.tree.leaves(whole))


def test_the_discriminator_itself_takes_one_ordinary_step():
    game = model(4)
    plain = GAN((2,), 3, game.generator, game.discriminator, cost="minimax")
    a, b = run(game, steps=1), run(plain, steps=1)
    same = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8)  # noqa: E731
    jax.tree.map(same, a.variables["discriminator"], b.variables["discriminator"])
    jax.tree.map(same, a.opt_state["discriminator"], b.opt_state["discriminator"])


def test_a_negative_number_of_moves_is_refused():
    with pytest.raises(ConfigError, match="unrolled: got -1, expected >= 0"):
        replace(model(0), unrolled=-1)
    assert isinstance(model(0).generator, nn.Module)
