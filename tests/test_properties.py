"""Identities that hold for any numbers: specs, averages, schedules and grids of images."""

import json
import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jaxgen.autoregressive.nade import NADE
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.data import Data
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.experiment.spec import from_json, to_json
from jaxgen.figures import images
from jaxgen.gan import dcgan
from jaxgen.runs.loaded import known_classes
from jaxgen.step import Player, evaluation_variables, init_state, train_step
from jaxgen.vae import vae

often = hypothesis_settings(deadline=None, max_examples=200, derandomize=True)
counts, small, seeds = st.integers(1, 2**31 - 1), st.integers(1, 9), st.integers(0, 2**32 - 1)
positive, not_negative = st.floats(1e-30, 1e30), st.floats(0, 1e30)
fractions = st.floats(0, 1 - 1e-7)
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)
EVERY = {f"{name}_every": counts for name in ("log", "evaluate", "sample", "checkpoint")}
# How things are built, not the things: Hypothesis forbids strategies to use `random`, which
# jaxtyping's checks do.
SETTINGS = st.builds(
    partial,
    st.just(Settings),
    steps=counts,
    batch_size=st.integers(1, 2**20),
    seed=seeds,
    precision=st.sampled_from(["float32", "bfloat16"]),
    ema_decay=fractions,
    **EVERY,
)
DATA = st.builds(
    partial,
    st.just(Data),
    name=names,
    transform=st.sampled_from(["binarise", "levels", "none"]),
    dir=st.none() | names,
    download=st.booleans(),
    **{name: st.none() | small for name in ("threshold", "image_size", "length", "labels")},
)
OPTIMIZER = st.builds(
    partial,
    st.just(Optimizer),
    name=st.sampled_from(["adam", "sgd", "adagrad"]),
    schedule=st.sampled_from(["constant", "cosine"]),
    warmup_steps=st.integers(0, 2**31 - 1),
    accumulate=counts,
    **dict.fromkeys(("learning_rate", "epsilon"), positive),
    **dict.fromkeys(("beta1", "beta2"), fractions),
    **dict.fromkeys(("weight_decay", "clip_norm"), not_negative),
)
SHAPE = st.sampled_from([(8, 8, 1), (4, 6, 3)])
MODEL = st.one_of(
    st.builds(
        partial,
        st.just(vae.mlp),
        SHAPE,
        latent_dim=small,
        hidden=st.lists(small, max_size=3).map(tuple),
        beta=not_negative,
        free_bits=not_negative,
    ),
    st.builds(
        partial,
        st.just(NADE),
        SHAPE,
        small,
        st.builds(Ordering, st.sampled_from(["raster", "column", "random"]), seeds),
        st.sampled_from(["sigmoid", "relu"]),
    ),
    st.builds(
        partial,
        st.just(dcgan.build),
        SHAPE,
        latent_dim=small,
        features=small,
        smallest=st.just(2),
        r1=not_negative,
    ),
)


@often
@given(MODEL, SETTINGS, DATA, st.lists(OPTIMIZER, max_size=2).map(tuple))
def test_an_experiment_is_its_spec(build, settings, data, optimizers):
    made = tuple(optimizer() for optimizer in optimizers)
    experiment = Experiment(build(), settings(), data(), made)
    text = json.dumps(to_json(experiment))
    assert from_json(json.loads(text), known_classes()) == experiment


@lru_cache
def averaged_step(decay):
    """A compiled step of SGD on a linear loss, with an average."""

    def loss(variables, batch, key):
        return variables["net"]["params"] * batch["slope"], ({}, {})

    players = (Player("p", ("net",), loss, optax.sgd(1.0)),)
    step = jax.jit(partial(train_step, players, ema_decay=decay))

    def walk(start, slopes):
        """The parameter over the steps, and the average of each."""
        variables = {"net": {"params": jnp.float32(start)}}
        states = [init_state(jax.random.key(0), variables, players, ema=decay > 0)]
        for slope in slopes:
            states.append(step(states[-1], {"slope": jnp.float32(slope)})[0])
        averages = [evaluation_variables(state) for state in states]
        return [
            np.array([float(each["net"]["params"]) for each in of])
            for of in ([state.variables for state in states], averages)
        ]

    return walk


numbers = st.floats(-8, 8, width=16)
decays = st.sampled_from([0.25, 0.5, 0.9, 0.999])


@often
@given(decays, numbers, st.lists(numbers, min_size=1, max_size=6))
def test_an_average_moves_by_the_decay_once_it_is_warm(decay, start, slopes):
    found, averages = averaged_step(decay)(start, slopes)
    np.testing.assert_allclose(found, start - np.cumsum([0, *slopes]), atol=1e-4)
    assert averages[0] == found[0]
    assert averages[1] == found[1]
    for n in range(1, len(found)):
        weight = max(1 - decay, 4 / (n + 3))
        expected = averages[n - 1] + weight * (found[n] - averages[n - 1])
        np.testing.assert_allclose(averages[n], expected, rtol=1e-5, atol=1e-4)


@often
@given(decays, numbers, st.integers(1, 6))
def test_an_average_of_what_stays_is_the_same(decay, start, num):
    _, averages = averaged_step(decay)(start, [0.0] * num)
    np.testing.assert_array_equal(averages, np.float32(start))


@often
@given(numbers, st.lists(numbers, min_size=1, max_size=6))
def test_without_decay_the_average_is_a_copy(start, slopes):
    found, averages = averaged_step(0.0)(start, slopes)
    np.testing.assert_array_equal(found, averages)


TIMES = np.arange(64)
rates = st.floats(1e-6, 10)


def schedule(optimizer, steps):
    """The learning rate at TIMES."""
    rate = optimizer._schedule(steps, optimizer.warmup_steps, 1)
    values = rate(TIMES) if callable(rate) else rate
    return np.broadcast_to(np.asarray(values), TIMES.shape) / optimizer.learning_rate


def assert_warms_up(found, warmup):
    """From 0 to 1 in a straight line."""
    np.testing.assert_allclose(found[: warmup + 1], TIMES[: warmup + 1] / warmup, atol=1e-5)


@often
@given(rates, st.integers(0, 40), st.integers(1, 60))
def test_a_constant_rate_warms_up_and_stays(rate, warmup, steps):
    found = schedule(Optimizer(learning_rate=rate, warmup_steps=warmup), steps)
    np.testing.assert_allclose(found[warmup:], 1, rtol=1e-5)
    if warmup:
        assert_warms_up(found, warmup)


@often
@given(rates, st.integers(0, 30), st.integers(1, 60))
def test_a_cosine_rate_warms_up_and_falls_to_zero(rate, warmup, steps):
    found = schedule(Optimizer(learning_rate=rate, warmup_steps=warmup, schedule="cosine"), steps)
    end = max(steps, warmup + 1)
    if warmup:
        assert_warms_up(found, warmup)
    assert math.isclose(found[warmup], 1, rel_tol=1e-5)
    assert (np.diff(found[warmup:]) <= 1e-6).all()
    np.testing.assert_allclose(found[end:], 0, atol=1e-6)
    turn = np.pi * (TIMES[warmup:end] - warmup) / (end - warmup)
    np.testing.assert_allclose(found[warmup:end], (1 + np.cos(turn)) / 2, atol=1e-5)


@often
@given(
    num=st.integers(1, 40),
    columns=st.none() | st.integers(1, 12),
    padding=st.integers(0, 5),
    shape=st.sampled_from([(3, 3, 1), (2, 4, 3), (5, 1, 1)]),
    least=st.sampled_from([1, 4, 9]),
)
def test_a_grid_has_every_picture_once_and_nothing_else(num, columns, padding, shape, least):
    factor = max(1, math.ceil(least / max(shape[:2])))
    height, width = factor * shape[0], factor * shape[1]
    pictures = np.broadcast_to(np.arange(1, num + 1).reshape(-1, 1, 1, 1) / 255, (num, *shape))
    found = images.grid(pictures, columns, padding, least)
    across = columns or math.ceil(math.sqrt(num))
    down = math.ceil(num / across)
    assert found.shape == (
        down * (height + padding) + padding,
        across * (width + padding) + padding,
        3,
    )
    rest = np.ones(found.shape[:2], bool)
    for number in range(1, num + 1):
        rows, places = np.nonzero((found == number).all(axis=-1))
        top, left = rows.min(), places.min()
        assert len(rows) == height * width
        assert (rows.max() - top + 1, places.max() - left + 1) == (height, width)
        row, place = divmod(number - 1, across)
        assert (top, left) == (
            padding + row * (height + padding),
            padding + place * (width + padding),
        )
        rest[rows, places] = False
    assert (found[rest] == images.BACKGROUND).all()
