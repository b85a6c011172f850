"""WaveNet: its field, its conditions, its rings, and what it learns.

The laws of the chain rule, over all states of tiny WaveNets, are in test_chain_rule.py.
"""

import dataclasses
import io
import math
import wave
from functools import lru_cache

import hearing
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.autoregressive import DilatedStack, WaveNet, chain_rule, wavenet
from jaxgen.autoregressive.base import drawing
from jaxgen.data import Data, load
from jaxgen.data.readers import synthetic, tones
from jaxgen.data.readers.wav import PAUSE, encode
from jaxgen.errors import ConfigError
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.loop import loop
from jaxgen.step import evaluation_variables

LEVELS = 5
STRIDE = 4
SMALL = {"levels": LEVELS, "features": 4, "skip": 7}
CONDITIONED = {"num_classes": 3, "context_dim": 2, "context_stride": STRIDE, "context_features": 3}


def loud(model):
    """Random variables of the model's shapes, far from zero, biases too."""
    random = np.random.default_rng(0)

    def draw(x):
        return (0.6 * random.normal(size=x.shape)).astype(np.float32)

    return jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0)))


def codes(length, num=4):
    return np.random.default_rng(0).integers(0, LEVELS, (num, length)).astype(np.float32)


def given(length, num=4):
    """A label and a context for each of `num` examples."""
    context = np.random.default_rng(0).normal(size=(num, length // STRIDE, 2)).astype(np.float32)
    return {"label": np.arange(num) % 3, "context": context}


@lru_cache
def compiled(model, method):
    return jax.jit(getattr(model, method))


@pytest.fixture(scope="module")
def conditioned():
    model = wavenet.build((12,), num_layers=2, num_blocks=2, **SMALL, **CONDITIONED)
    return model, loud(model)


@pytest.mark.parametrize(("dilations", "lags"), [((1, 2, 1, 2), range(1, 9)), ((4,), (1, 2, 5, 6))])
def test_a_sample_reaches_the_field_of_its_formula_and_not_beyond(dilations, lags):
    network = DilatedStack(LEVELS, dilations, 4, 7)
    model = WaveNet((15,), network)
    variables = loud(model)

    def last(x):
        return model.conditionals(variables, x[None])[0, -1]

    slopes = jax.jit(jax.vmap(jax.jacrev(last)))(codes(15, 8) + 0.1)
    reached = np.flatnonzero(np.abs(np.asarray(slopes)).sum(axis=(0, 1)))
    assert model.field == 2 + sum(dilations)
    assert 14 - reached.min() == model.field
    np.testing.assert_array_equal(reached, np.flatnonzero(model.dependencies()[-1]))
    assert sorted(14 - reached) == list(lags)


def test_the_papers_block_sees_1024_samples_back_and_one_of_the_input_convolution():
    assert wavenet.build((1,), num_layers=10, num_blocks=1).field == 1024 + 1
    assert wavenet.build((1,), num_layers=10, num_blocks=3).field == 3 * 1023 + 1 + 1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_loops(model, variables, x, label, context):
    """Logits [T, V] of one example in float64, sample by sample, from the paper's formulas."""
    p = jax.tree.map(lambda v: np.asarray(v, np.float64), variables["wavenet"]["params"])

    def apply(name, v, p=p):
        return v @ p[name]["kernel"] + p[name].get("bias", 0)

    def past(h, t, size):
        return h[t] if t >= 0 else np.zeros(size)

    network = model.network
    width = p["input_present"]["kernel"].shape[1]
    frames = np.concatenate([apply("upsampling", c).reshape(STRIDE, -1) for c in context])
    shifted = [np.zeros(network.levels), *np.eye(network.levels)[x[:-1]]]
    logits = []
    h = [[] for _ in range(len(network.dilations) + 1)]
    for t in range(len(x)):
        before = past(shifted, t - 1, network.levels)
        h[0].append(apply("input_present", shifted[t]) + apply("input_past", before))
        total = 0
        for i, d in enumerate(network.dilations):
            q = p[f"layers_{i}"]
            y = np.concatenate([np.eye(3)[label], frames[t]])
            gates = apply("present", h[i][t], q) + apply("past", past(h[i], t - d, width), q)
            gates += apply("given", y, q)
            z = np.tanh(gates[:width]) * sigmoid(gates[width:])
            total = total + apply("skip", z, q)
            if i < len(network.dilations) - 1:
                h[i + 1].append(h[i][t] + apply("residual", z, q))
        hidden = apply("head", np.maximum(total, 0))
        logits.append(apply("logits", np.maximum(hidden, 0)))
    return np.stack(logits)


def test_logits_are_those_of_the_papers_formulas(conditioned):
    model, variables = conditioned
    x = codes(12)
    conditions = given(12)
    found = compiled(model, "conditionals")(variables, x, **conditions)
    for i in range(4):
        each = (conditions["label"][i], conditions["context"][i])
        expected = by_loops(model, variables, x[i].astype(int), *each)
        np.testing.assert_allclose(found[i], expected, rtol=2e-5, atol=2e-5)


def test_before_the_first_sample_is_nothing_and_not_a_code(conditioned):
    model, variables = conditioned
    params = dict(variables["wavenet"]["params"])
    for name in ("input_present", "input_past"):
        params[name] = {**params[name], "kernel": 0 * params[name]["kernel"]}
    logits = compiled(model, "conditionals")
    seeing = np.asarray(logits(variables, codes(12), **given(12)))
    unseeing = np.asarray(logits({"wavenet": {"params": params}}, codes(12), **given(12)))
    np.testing.assert_array_equal(seeing[:, 0], unseeing[:, 0])
    assert (seeing[:, 1:] != unseeing[:, 1:]).any(axis=-1).all()


def draws(sampler, model, variables, **conditions):
    def run(variables):
        choose = drawing(model.observation, jax.random.key(5))
        return sampler(model, variables, choose, len(conditions["label"]), **conditions)

    return np.asarray(jax.jit(run)(variables))


def test_longer_sequences_begin_as_shorter_ones_and_are_sampled_alike(conditioned):
    """Rings, naive and fixed point, under conditions, beyond the field and the trained length."""
    model, variables = conditioned
    longer = dataclasses.replace(model, shape=(28,))
    assert longer.field < 28
    x = codes(28)
    conditions = given(28)
    short = {"label": conditions["label"], "context": conditions["context"][:, :3]}
    whole = compiled(longer, "conditionals")(variables, x, **conditions)
    start = compiled(model, "conditionals")(variables, x[:, :12], **short)
    np.testing.assert_allclose(whole[:, :12], start, rtol=1e-5, atol=1e-5)

    fast = draws(WaveNet.generate, longer, variables, **conditions)
    for sampler in (chain_rule.naive, chain_rule.jacobi):
        np.testing.assert_array_equal(draws(sampler, longer, variables, **conditions), fast)
    np.testing.assert_array_equal(draws(WaveNet.generate, model, variables, **short), fast[:, :12])
    assert all(len(np.unique(each)) > 1 for each in fast)
    assert len(np.unique(fast, axis=0)) == 4


def test_a_label_matters_at_all_times_and_a_frame_of_context_from_its_first_sample_on(conditioned):
    model, variables = conditioned
    x = codes(12)
    conditions = given(12)

    def logits(**conditions):
        return np.asarray(compiled(model, "conditionals")(variables, x, **conditions))

    plain = logits(**conditions)
    other = logits(**conditions | {"label": (conditions["label"] + 1) % 3})
    assert (other != plain).any(axis=-1).all()
    context = conditions["context"].copy()
    context[:, 1] += 1
    changed = (logits(**conditions | {"context": context}) != plain).any(axis=-1)
    assert not changed[:, :STRIDE].any()
    assert changed[:, STRIDE:].all()


def test_without_its_weights_a_condition_does_nothing(conditioned):
    model, variables = conditioned

    def zero(path, v):
        return 0 * v if "given" in jax.tree_util.keystr(path) else v

    deaf = jax.tree_util.tree_map_with_path(zero, variables)
    bare = wavenet.build((12,), num_layers=2, num_blocks=2, **SMALL)
    params = {name: v for name, v in deaf["wavenet"]["params"].items() if name != "upsampling"}
    expected = compiled(bare, "conditionals")({"wavenet": {"params": params}}, codes(12))
    found = compiled(model, "conditionals")(deaf, codes(12), **given(12))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_loss_takes_label_and_context_from_the_batch_and_without_labels_mixes(conditioned):
    model, variables = conditioned
    x = codes(12)
    conditions = given(12)
    context = conditions.pop("context")
    log_prob = compiled(model, "log_prob")
    own = log_prob(variables, x, **conditions, context=context)
    batch = {"image": x, "context": context, **conditions}
    loss, _ = compiled(model, "likelihood_loss")(variables, batch, jax.random.key(0))
    np.testing.assert_allclose(loss, -own.mean(), rtol=1e-5)
    each = [log_prob(variables, x, label=np.full(4, y), context=context) for y in range(3)]
    mixed = log_prob(variables, x, context=context)
    np.testing.assert_allclose(mixed, np.logaddexp.reduce(each) - math.log(3), rtol=1e-5)


def test_bfloat16_is_close_to_float32():
    full = wavenet.build((12,), num_layers=2, num_blocks=1, **SMALL)
    half = wavenet.build((12,), num_layers=2, num_blocks=1, **SMALL, dtype="bfloat16")
    variables = loud(full)
    a, b = (compiled(model, "conditionals")(variables, codes(12)) for model in (half, full))
    assert a.dtype == jnp.float32
    assert 1e-4 < np.abs(a - b).max() < 0.1 * np.abs(b).max()


def test_wrong_conditions_and_sizes_are_named(conditioned):
    model, variables = conditioned
    x = codes(12)
    conditions = given(12)
    with pytest.raises(ConfigError, match=r"label: got None, expected \[4\]"):
        model.conditionals(variables, x, context=conditions["context"])
    with pytest.raises(ConfigError, match=r"context: got None, expected \[4, 3, 2\]"):
        model.conditionals(variables, x, label=conditions["label"])
    with pytest.raises(ConfigError, match=r"context: got \[4, 2, 2\], expected \[4, 3, 2\]"):
        model.conditionals(variables, x, conditions["label"], conditions["context"][:, :2])
    bare = wavenet.build((12,), num_layers=1, num_blocks=1, **SMALL)
    with pytest.raises(ConfigError, match=r"label: got \[4\], expected None"):
        bare.conditionals(loud(bare), x, label=conditions["label"])
    with pytest.raises(ConfigError, match="context_stride: got 4, expected a divisor"):
        dataclasses.replace(model, shape=(13,))
    with pytest.raises(ConfigError, match=r"sequences \[T\], not \[4, 4, 1\]"):
        wavenet.build((4, 4, 1))
    with pytest.raises(ConfigError, match="num_layers: got 0"):
        wavenet.build((12,), num_layers=0)


@pytest.mark.slow
def test_it_reaches_the_entropy_of_a_markov_source_and_does_not_beat_it(tmp_path):
    """A field of one sample would do; that this one is larger must not help."""
    data = Data("markov", transform="levels")
    model = wavenet.build((32,), levels=4, num_layers=3, num_blocks=1, features=16, skip=32)
    settings = Settings(steps=1500, batch_size=128, ema_decay=0.99)
    optimizers = (Optimizer(learning_rate=3e-3, schedule="cosine"),)
    state = loop.run(Experiment(model, settings, data, optimizers), tmp_path)
    x = load(data).examples("test")
    nats = -np.asarray(jax.jit(model.log_prob)(evaluation_variables(state), x), np.float64)
    gap = nats + synthetic.markov_log_prob(x.astype(int))  # the same examples under both
    error = gap.std() / math.sqrt(len(gap))
    assert -4 * error < gap.mean() < 32 * 0.02
    assert nats.mean() > load(data).entropy - 4 * nats.std() / math.sqrt(len(nats))


@pytest.mark.slow
def test_asked_for_notes_and_instruments_it_plays_them(tmp_path):
    """Melodies longer than those it was trained on, written as WAV, read back and recognised."""
    from experiments.autoregressive.wavenet import wavenet_tones

    experiment = wavenet_tones()
    state = loop.run(experiment, tmp_path)
    random = np.random.default_rng(1)
    slots = 8  # twice as many
    pitch = random.integers(0, 8, (16, slots))
    struck = np.tile([True, False], (16, slots // 2))
    conditions = {"label": np.arange(16) % 4, "context": tones.context(pitch, struck)}
    model = dataclasses.replace(experiment.model, shape=(slots * tones.SLOT,))
    sample = jax.jit(model.sample, static_argnames="num")
    drawn = sample(evaluation_variables(state), jax.random.key(0), num=16, **conditions)
    with wave.open(io.BytesIO(encode(np.asarray(drawn), 256, tones.RATE)), "rb") as file:
        assert file.getframerate() == tones.RATE
        sounds = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    sounds = sounds.reshape(16, -1)[:, : model.shape[0]]
    assert model.shape[0] + PAUSE * tones.RATE == len(drawn[0]) + 2000
    asked = []
    heard = []
    off = []
    for i in range(16):
        for slot in range(0, slots, 2):
            note = sounds[i, slot * tones.SLOT : (slot + 2) * tones.SLOT]
            asked.append((pitch[i, slot], i % 4))
            heard.append(hearing.heard(note))
            if i % 4 < 3:  # a trumpet's third harmonic is louder than its first
                off.append(abs(hearing.loudest_frequency(note) / tones.PITCHES[pitch[i, slot]] - 1))
    right = np.mean(np.array(asked) == np.array(heard), axis=0)
    assert (right >= 0.9).all(), f"share of notes and of instruments: {right}"
    assert np.mean(np.array(off) < 0.02) >= 0.9
