"""The restricted Boltzmann machine: its gradient, its rules of learning, a known entropy."""

from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from energy.machines import law, machine, states, variables_of

from jaxgen.distributions import Bernoulli, Gaussian
from jaxgen.energy import RBM
from jaxgen.errors import ConfigError
from jaxgen.step import init_state, train_step

KEY = jax.random.key(0)


def expectations(found, weights):
    """The gradient's statistics under probabilities of the 64 states of x, by sums."""
    p = 1 / (1 + np.exp(-(states(6) @ found.weight + found.right)))
    return {
        "weight": (weights[:, None] * states(6)).T @ p,
        "visible": weights @ states(6),
        "hidden": weights @ p,
    }


def test_the_exact_gradient_is_data_minus_model():
    """Of the loss of 'exact', which is -log p(v), against sums over all states, in float64."""
    model = RBM((2, 3), 4, learning="exact")
    x = np.random.default_rng(4).integers(0, 2, (10, 2, 3)).astype(float)
    found = machine(6, 4)
    with jax.enable_x64(True):

        def loss(params):
            return model.rbm_loss({"rbm": {"params": params}}, {"image": jnp.asarray(x)}, KEY)[0]

        params = variables_of(found)["rbm"]["params"]
        value, slopes = jax.jit(jax.value_and_grad(loss))(params)
    index = (x.reshape(10, 6) @ 2.0 ** np.arange(5, -1, -1)).astype(int)
    data = np.bincount(index, minlength=64) / 10
    assert float(value) == pytest.approx(-(data @ np.log(law(found))), abs=1e-10)
    positive, negative = expectations(found, data), expectations(found, law(found))
    for name, slope in slopes.items():
        assert np.asarray(slope) == pytest.approx(negative[name] - positive[name], abs=1e-9)


@pytest.mark.parametrize("learning", ["cd", "pcd"])
def test_the_gradient_of_drawn_phases_is_positive_minus_negative(learning):
    """Nothing flows through the chains; what moves on are the chains of 'pcd' alone."""
    model = RBM((6,), 4, learning=learning, steps=3, num_chains=5)
    found = machine(6, 4)
    chains = jnp.asarray(states(6)[::13], jnp.float32)
    more = {"chains": {"state": {"visible": chains}}} if learning == "pcd" else {}
    variables = variables_of(found, **more)
    x = jnp.asarray(states(6)[[1, 17, 40, 41]], jnp.float32)

    def loss(params):
        own = {**variables, "rbm": {"params": params}}
        return model.rbm_loss(own, {"image": x}, KEY)

    (slopes, (_, mutated)) = jax.jit(jax.grad(loss, has_aux=True))(variables["rbm"]["params"])
    drawn = np.asarray(model.negative(variables, KEY, x))
    assert len(drawn) == (4 if learning == "cd" else 5)
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    both = [np.asarray(x), drawn]
    hidden = [1 / (1 + np.exp(-(rows @ found.weight + found.right))) for rows in both]
    expected = drawn.T @ hidden[1] / len(drawn) - np.asarray(x).T @ hidden[0] / len(x)
    assert np.asarray(slopes["weight"]) == pytest.approx(expected, abs=1e-5)
    assert ("chains" in mutated) == (learning == "pcd")
    if learning == "pcd":
        np.testing.assert_array_equal(mutated["chains"]["state"]["visible"], drawn)


def test_contrastive_divergence_of_many_sweeps_is_the_likelihood():
    """Its expected negative phase, by the matrix power of the sweep, becomes the model's."""
    model = RBM((3,), 2, learning="cd", steps=60)
    found = machine(3, 2, seed=5)
    x = jnp.tile(jnp.array([1.0, 0.0, 1.0]), (40_000, 1))
    drawn = np.asarray(jax.jit(model.negative)(variables_of(found), KEY, x))
    frequencies = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8) / len(drawn)
    assert frequencies == pytest.approx(law(found), abs=0.015)


def bars(side=3):
    """Bars and stripes: all patterns of the larger set, and their probabilities."""
    lines = states(side)
    upright = np.repeat(lines[:, None], side, axis=1).reshape(-1, side * side)
    flat = np.repeat(lines[:, :, None], side, axis=2).reshape(-1, side * side)
    patterns, count = np.unique(np.concatenate([upright, flat]), axis=0, return_counts=True)
    return patterns, count / count.sum()


@lru_cache
def trained(learning, num_steps, rate, batch):
    """The exact cross-entropy of bars 3x3 after so many steps in one compiled scan."""
    patterns, share = bars()
    model = RBM((9,), 12, learning=learning)
    decay = optax.linear_schedule(rate, 0.0, num_steps)
    tx = optax.sgd(rate if learning == "exact" else decay, 0.9 if learning == "exact" else 0.0)
    players = model.players(tx)
    variables = model.init(jax.random.key(3))
    scaled = 10 * variables["rbm"]["params"]["weight"]  # N(0, 0.1^2)
    variables["rbm"]["params"]["weight"] = scaled
    state = init_state(KEY, variables, players)
    everything = np.repeat(patterns, np.rint(share * 16).astype(int), axis=0)

    def step(state, key):
        drawn = jax.random.choice(key, jnp.asarray(patterns), (batch,), p=jnp.asarray(share))
        x = jnp.asarray(everything) if learning == "exact" else drawn
        return train_step(players, state, {"image": x})[0], None

    keys = jax.random.split(jax.random.key(1), num_steps)
    state, _ = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys))(state, keys)
    log_z = model.log_partition(state.variables)
    log_prob = -model.energy(state.variables, jnp.asarray(patterns, jnp.float32)) - log_z
    return float(-(share * np.asarray(log_prob)).sum())


def test_the_exact_gradient_reaches_the_entropy_of_bars():
    assert bars()[1] @ -np.log(bars()[1]) == pytest.approx(2.59930, abs=1e-5)
    assert 2.5993 < trained("exact", 1000, 0.2, 16) < 2.65


def test_persistent_chains_come_near_the_entropy_of_bars():
    assert 2.5993 < trained("pcd", 5000, 0.2, 20) < 3.1


def test_codes_and_reconstructions_are_conditional_means():
    model = RBM((2, 3), 4, Gaussian(0.5))
    found = machine(6, 4)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)), jnp.float32)
    code = np.asarray(model.encode(variables_of(found), x))
    logits = np.asarray(x).reshape(5, 6) / 0.25 @ found.weight + found.right
    assert code == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-5)
    back = np.asarray(model.reconstruct(variables_of(found), x))
    expected = code @ found.weight.T + found.left
    assert back == pytest.approx(expected.reshape(5, 2, 3), abs=1e-5)


def test_completion_draws_from_the_conditional_and_keeps_what_is_known():
    model = RBM((3,), 2, sweeps=60)
    found = machine(3, 2, seed=6)
    mask = np.array([True, False, False])
    x = jnp.tile(jnp.array([1.0, 1.0, 1.0]), (20_000, 1))
    done = np.asarray(jax.jit(model.complete)(variables_of(found), KEY, x, mask))
    assert (done[:, 0] == 1).all()
    expected = law(found)[4:]  # states that begin with 1
    frequencies = np.bincount((done[:, 1:] @ [2, 1]).astype(int), minlength=4) / len(done)
    assert frequencies == pytest.approx(expected / expected.sum(), abs=0.02)


def test_samples_have_the_law_of_the_machine():
    model = RBM((3,), 2, sweeps=60)
    found = machine(3, 2, seed=7)
    sample = jax.jit(model.sample, static_argnums=2)
    drawn = np.asarray(sample(variables_of(found), KEY, 20_000))
    frequencies = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8) / len(drawn)
    assert frequencies == pytest.approx(law(found), abs=0.02)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learning": "ml"}, "learning: got 'ml', expected one of cd, pcd, exact"),
        ({"observation": Gaussian()}, "observation.std: got None"),
        ({"learning": "exact"}, "neither 25 visible nor 21 hidden"),
        ({"steps": 0}, "steps: got 0"),
        ({"hidden": 0}, "hidden: got 0"),
        ({"num_chains": 0}, "num_chains: got 0"),
    ],
)
def test_settings_that_make_no_machine_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        replace(RBM((5, 5), 21), **fields)


def test_a_log_z_that_is_too_long_a_sum_is_refused():
    model = RBM((5, 5), 21)
    assert not model.is_tractable
    assert RBM((5, 5), 20).is_tractable
    assert RBM((4, 5), 500, Bernoulli()).is_tractable
    assert not RBM((4, 5), 500, Gaussian(1.0)).is_tractable
    with pytest.raises(ConfigError, match="log Z of 25 and 21 units"):
        model.log_partition(model.init(KEY))
