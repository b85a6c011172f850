"""Values that a model is not for are an error at the first batch, and cost nothing later."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
import tiny

from jaxgen import fields, parallel
from jaxgen.data import Data, load
from jaxgen.distributions import Bernoulli, Categorical, Gaussian
from jaxgen.errors import DataError
from jaxgen.evaluation import Real, measure, measure_samples, real_examples
from jaxgen.evaluation.features import raw_values
from jaxgen.evaluation.space import require_same_space
from jaxgen.gan import GAN
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.step import init_state, train_step, update
from jaxgen.vae import vae

DIGITS = load(Data("digits"))
STORED = DIGITS.splits["train"].batch(0, 0, 8)
BITS = (STORED["image"] > 8).astype(np.float32)


def model(observation=None):
    """A tiny VAE of the digits."""
    return vae.mlp((8, 8, 1), latent_dim=1, hidden=(2,), observation=observation or Bernoulli())


def fresh(of):
    """A state and the players that move it; the key is its own, for steps donate it."""
    players = players_of(of)
    key = jax.random.key(0)
    return init_state(key, of.init(key), players), players


def players_of(of):
    names = {"discriminator": optax.sgd(0.1), "generator": optax.sgd(0.1)}
    return of.players(**names) if isinstance(of, GAN) else of.players(optax.sgd(0.1))


def by_jit(step, state, batch):
    mesh = parallel.device_mesh(jax.devices()[:1])
    return parallel.jit_step(step, mesh)(state, batch)


def by_pmap(step, state, batch):
    replicas = parallel.stack_replicas(state, 1)
    return parallel.pmap_step(step, jax.devices()[:1])(replicas, batch)


def by_scan(step, state, batch):
    mesh = parallel.device_mesh(jax.devices()[:1])
    items = {name: np.stack([x, x]) for name, x in batch.items()}
    return parallel.jit_steps(step, mesh, resident=False)(state, {}, items, 0)


def by_index(step, state, batch):
    mesh = parallel.device_mesh(jax.devices()[:1])
    items = np.stack([np.arange(4), np.arange(4, 8)])
    return parallel.jit_steps(step, mesh, resident=True)(state, batch, items, 0)


def by_hand(step, state, batch):
    with jax.disable_jit():
        return step(state, batch)


def by_closure(step, state, batch):
    return by_jit(lambda state, batch: step(state, batch), state, batch)


WAYS = (by_jit, by_pmap, by_scan, by_index, by_hand, by_closure)
WRONG = {
    "stored levels": (STORED["image"], r"got \d+, but VAE is for 0 .. 1"),
    "stored levels as floats": (STORED["image"].astype(np.float32), "but VAE is for 0 .. 1"),
    "symmetric": (2 * BITS - 1, "got -1, but VAE is for 0 .. 1"),
    "whole numbers": (STORED["image"].astype(np.int32), "but VAE is for 0 .. 1"),
    "not a number": (np.where(BITS > 0, np.nan, BITS), "got nan, but expected finite numbers"),
    "infinite": (np.where(BITS > 0, np.inf, BITS), "got inf, but expected finite numbers"),
}


def take(way, images, prepare=None, of=None):
    of = of or model()
    state, players = fresh(of)
    return way(partial(train_step, players, prepare=prepare), state, {"image": images})


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named_at_the_first_batch(name):
    images, message = WRONG[name]
    with pytest.raises(DataError, match=message) as caught:
        fields.require_values(model(), {"image": images})
    assert "prepare=dataset.prepare" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("bad", [-1, -2, 3])
def test_a_label_that_is_no_class_is_named(bad):
    for name in ("conditional gan", "ac gan", "wavenet conditional", "gated pixel cnn conditional"):
        of = tiny.MODELS[name].make()
        num = of.num_classes
        label = np.array([0, 0, bad if bad < 3 else num])
        with pytest.raises(
            DataError, match=rf"example 2 of the batch: got .* is for 0 .. {num - 1}"
        ):
            fields.require_values(of, {"label": label})


@pytest.mark.parametrize("bad", [-2, -7, 3, 1000, np.nan])
def test_a_model_that_names_classes_may_not_know_one(bad):
    of = tiny.MODELS["semi-supervised gan"].make()
    fields.require_values(of, {"label": np.array([-1, 0, of.num_labels - 1])})
    label = np.array([-1, 0, of.num_labels if bad == 3 else bad])
    with pytest.raises(DataError, match=r"example 2 of the batch: got .* is for -1 .. "):
        fields.require_values(of, {"label": label})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_a_loop_looks_at_labels(way):
    of = tiny.MODELS["conditional gan"].make()
    x = np.zeros((8, *of.shape), np.float32)
    label = np.full(8, of.num_classes)
    players = of.players(optax.sgd(0.1), optax.sgd(0.1))
    key = jax.random.key(0)
    state = init_state(key, of.init(key), players)
    with pytest.raises(DataError, match="field 'label', example 0"):
        way(partial(train_step, players), state, {"image": x, "label": label})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_a_loop_looks(way):
    with pytest.raises(DataError, match="example 0 of the batch: got"):
        take(way, STORED["image"].astype(np.float32))


@pytest.mark.parametrize("way", [by_jit, by_pmap, by_scan, by_index])
def test_what_is_prepared_is_taken_prepared_inside_or_before(way):
    take(way, STORED["image"], prepare=DIGITS.prepare)
    take(way, BITS)


def test_bytes_in_a_step_compiled_elsewhere_are_seen_by_their_kind():
    state, players = fresh(model())
    with pytest.raises(DataError, match=r"bytes, as they are stored, but VAE is for 0 .. 1"):
        jax.jit(partial(train_step, players))(state, {"image": STORED["image"]})


def test_the_look_is_at_the_first_batch_alone(monkeypatch):
    seen = []
    monkeypatch.setattr("jaxgen.first_batch.require_values", lambda *_: seen.append(1))
    state, players = fresh(model())
    step = parallel.jit_step(partial(train_step, players), parallel.device_mesh(jax.devices()[:1]))
    for _ in range(3):
        state, _ = step(state, {"image": BITS})
    assert seen == [1]


def test_the_values_of_a_model_are_those_of_its_observation_or_its_samples():
    assert fields.values(model()) == (0, 1, False)
    assert fields.values(model(Categorical(17))) == (0, 16, True)
    assert fields.values(model(Gaussian())) == (-np.inf, np.inf, False)
    generator = MLPGenerator((2,), (8, 8, 1), output="tanh")
    game = GAN((8, 8, 1), 2, generator, Discriminator(MLPTrunk((2,))))
    assert fields.values(game) == (*generator.range, False)
    with pytest.raises(DataError, match=r"but GAN is for -1 .. 1"):
        fields.require_values(game, {"image": STORED["image"]})
    fields.require_values(game, {"image": STORED["image"] / np.float32(8) - 1})


def test_levels_must_be_whole_and_greys_may_be_a_mixture():
    levels = model(Categorical(17))
    fields.require_values(levels, {"image": STORED["image"]})
    with pytest.raises(DataError, match=r"whole numbers in 0 .. 16"):
        fields.require_values(levels, {"image": STORED["image"] / 16})
    fields.require_values(model(), {"image": STORED["image"] / 16})
    fields.require_values(model(), {"label": np.arange(3)})  # not its field


def test_the_measures_of_a_model_look():
    of = model()
    key = jax.random.key(0)
    variables = of.init(key)
    with pytest.raises(DataError, match=r"but VAE is for 0 .. 1"):
        measure(of, variables, {"image": STORED["image"].astype(np.float32)}, key, num_samples=2)


def unit(seed, num=40):
    return np.random.default_rng(seed).integers(0, 17, (num, 4)).astype(np.float32) / 16


KNOWN = Real("test", unit(0), unit(1), "train", unit(1), unit(0), range=(0.0, 1.0))
BY_HAND = Real("test", unit(0), unit(1), "train", unit(1), unit(0))


@pytest.mark.parametrize(
    ("real", "samples"),
    [
        (KNOWN, 255 * unit(2)),
        (KNOWN, np.rint(255 * unit(2)).astype(np.uint8)),
        (KNOWN, 2 * unit(2) - 1),
        (KNOWN, unit(2) + 0.01),
        (BY_HAND, np.rint(255 * unit(2)).astype(np.uint8)),
        (BY_HAND, np.rint(255 * unit(2))),
        (BY_HAND, 16 * unit(2)),
    ],
)
def test_samples_in_another_form_than_the_data_are_refused(real, samples):
    with pytest.raises(DataError, match=r"but real examples lie in"):
        require_same_space(samples, real.reference, real.range)
    if samples.dtype == np.float32:
        with pytest.raises(DataError, match="but real examples lie in"):
            measure_samples(samples, real, raw_values((4,)))


def test_samples_of_a_model_without_bounds_may_lie_outside():
    found = measure_samples(1.5 * unit(2) - 0.2, BY_HAND, raw_values((4,)), floor=False)
    assert np.isfinite([record.value for record in found]).all()
    rounded = unit(2) * np.float32(1 + 1e-6)
    assert measure_samples(rounded, KNOWN, raw_values((4,)), floor=False)


def test_real_examples_know_their_bounds():
    assert real_examples(load(Data("digits", transform="symmetric"))).range == (-1, 1)
    assert real_examples(load(Data("banana", transform="none")), num=20).range is None


@pytest.mark.parametrize("name", WRONG)
def test_a_move_of_one_player_looks_too(name):
    images, message = WRONG[name]
    state, (player,) = fresh(model())
    with pytest.raises(DataError, match=message):
        update(player, state, {"image": images}, jax.random.key(1))
    update(player, state, {"image": BITS}, jax.random.key(1))


@pytest.mark.parametrize("name", ["vae", "iwae", "nade"])
def test_a_compiled_move_knows_bytes(name):
    of = tiny.MODELS[name].make()
    state, (player,) = fresh(of)
    move = jax.jit(partial(update, player))
    bits = np.zeros((4, *of.shape), np.float32)
    with pytest.raises(DataError, match="bytes, as they are stored"):
        move(state, {"image": bits.astype(np.uint8)}, jax.random.key(1))
    move(state, {"image": bits}, jax.random.key(1))
