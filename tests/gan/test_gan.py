"""The game itself: its costs at its own networks, its statistics, and a fitted discriminator."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen import losses
from jaxgen.errors import ConfigError
from jaxgen.gan import GAN
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.nn.initializer import Initializer
from jaxgen.step import init_state, train_step

KEY = jax.random.key(3)


def small(**settings):
    generator = MLPGenerator((8,), (3,), norm="batch")
    return GAN((3,), 2, generator, Discriminator(MLPTrunk((8,))), **settings)


def batch(num=16):
    return {"image": jax.random.normal(jax.random.key(9), (num, 3))}


def slopes(model, variables):
    """Return the gradients of the generator's loss in its parameters."""

    def loss(params):
        own = {**variables["generator"], "params": params}
        return model.generator_loss({**variables, "generator": own}, batch(), KEY)[0]

    return jax.grad(loss)(variables["generator"]["params"])


def test_at_an_undecided_discriminator_minimax_and_non_saturating_pull_alike():
    model = small()
    variables = model.init(jax.random.key(0))
    head = variables["discriminator"]["params"]["Dense_0"]
    tiny = {"kernel": 1e-4 * head["kernel"], "bias": jnp.zeros(1)}  # D = 1/2 almost everywhere
    params = {**variables["discriminator"]["params"], "Dense_0": tiny}
    variables = {**variables, "discriminator": {"params": params}}
    minimax = slopes(small(cost="minimax"), variables)
    other = slopes(model, variables)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-9), minimax, other
    )
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(minimax)) > 1e-8


class Normalized(nn.Module):
    """A trunk behind a batch normalisation."""

    trunk: nn.Module

    @nn.compact
    def __call__(self, x, *, train):
        """Return the trunk's features."""
        x = nn.BatchNorm(use_running_average=not train, momentum=0.0)(x)
        return self.trunk(x, train=train)


def test_batch_statistics_are_those_of_separate_passes_and_the_real_one_stays():
    model = small()
    assert "batch_stats" in model.init(KEY)["generator"]
    model = replace(model, discriminator=Discriminator(Normalized(MLPTrunk((8,)))))
    variables = model.init(KEY)
    _, (_, mutated) = model.discriminator_loss(variables, batch(), KEY)
    found = jax.tree.leaves(mutated["discriminator"]["batch_stats"])[0]
    np.testing.assert_allclose(found, batch()["image"].mean(axis=0), atol=1e-6)
    _, (_, mutated) = model.generator_loss(variables, batch(), KEY)
    assert set(mutated) == {"generator"}  # D's statistics stay


@pytest.mark.parametrize("share", [False, True])
def test_the_players_draw_noise_of_their_own_unless_they_share(share, monkeypatch):
    model = small(share_samples=share)
    players = model.players(optax.sgd(0.0), optax.sgd(0.0))
    state = init_state(KEY, model.init(KEY), players)
    drawn = []
    generate = GAN.generate

    def watched(self, variables, key, num):
        z_key, _ = jax.random.split(key)
        drawn.append(np.asarray(self.latents(z_key, num)))
        return generate(self, variables, key, num)

    monkeypatch.setattr(GAN, "generate", watched)
    train_step(players, state, batch())
    first, second = drawn
    assert (np.abs(first - second).max() == 0) == share


def test_the_generator_waits_for_the_discriminators_moves():
    model = small(discriminator_moves=3)
    players = model.players(optax.sgd(0.1), optax.sgd(0.1))
    state = init_state(KEY, model.init(KEY), players)
    step = jax.jit(lambda s: train_step(players, s, batch())[0])
    moved = []
    for _ in range(6):
        old = state
        state = step(old)
        change = jax.tree.map(
            lambda a, b: float(jnp.abs(a - b).max()),
            old.variables["generator"]["params"],
            state.variables["generator"]["params"],
        )
        moved.append(max(jax.tree.leaves(change)) > 0)
    assert moved == [True, False, False, True, False, False]


def test_wrong_settings_are_named():
    for settings, message in (
        ({"cost": "x"}, "cost: got 'x'"),
        ({"smoothing": 1.0}, r"smoothing: got 1.0, expected a number in \[0, 1\)"),
        ({"r1": -1.0}, "r1: got -1.0, expected >= 0"),
        ({"discriminator_moves": 0}, "discriminator_moves: got 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            small(**settings)


def fitted(smoothing):
    """Fit D on p = N(0, 1) against q = N(1, 1.5^2).

    Returns:
      The logits on a grid, and the mean of the last 200 losses.
    """
    trunk = MLPTrunk((64, 64), "tanh", initializer=Initializer())
    network = Discriminator(trunk)

    def logits_of(params, x):
        logits, _ = network.apply({"params": params}, x, train=False)
        return logits

    tx = optax.adam(optax.cosine_decay_schedule(3e-3, 2000))

    def step(carry, key):
        params, state = carry
        real_key, fake_key = jax.random.split(key)
        real = jax.random.normal(real_key, (512, 1))
        fake = 1 + 1.5 * jax.random.normal(fake_key, (512, 1))

        def loss(params):
            real_logits = logits_of(params, real)
            fake_logits = logits_of(params, fake)
            return losses.discriminator_cost(real_logits, fake_logits, smoothing=smoothing)

        value, slope = jax.value_and_grad(loss)(params)
        updates, state = tx.update(slope, state)
        return (optax.apply_updates(params, updates), state), value

    params = network.init(KEY, jnp.zeros((1, 1)), train=False)["params"]
    keys = jax.random.split(jax.random.key(1), 2000)
    start = (params, tx.init(params))
    (params, _), values = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))(start)
    grid = jnp.linspace(-2.0, 2.5, 91)[:, None]
    return logits_of(params, grid), values[-200:].mean()


def ratio():
    """Return p / (p + q) on the grid."""
    x = np.linspace(-2.0, 2.5, 91)
    p = np.exp(-0.5 * x**2)
    q = np.exp(-0.5 * ((x - 1) / 1.5) ** 2) / 1.5
    return p / (p + q)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_fitted_discriminator_is_p_over_p_plus_q(smoothing):
    logits, loss = fitted(smoothing)
    error = np.abs(np.asarray(jax.nn.sigmoid(logits)) - (1 - smoothing) * ratio())
    assert error.max() < 0.05
    if not smoothing:
        assert loss == pytest.approx(1.1877, abs=0.02)  # -V* of this pair
