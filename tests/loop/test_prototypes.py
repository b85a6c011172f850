"""Two owners, chains and pools through the loop: trained, stopped, gone on with, loaded."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from prototypes import TwoDomains
from tiny_runs import TINY, assert_same

import jaxgen
from jaxgen.data import from_arrays, unpaired_datasets
from jaxgen.energy import RBM
from jaxgen.experiment import Experiment, Optimizer, Settings
from jaxgen.loop import loop
from jaxgen.vae import RingPrior
from jaxgen.vae.adversarial_autoencoder import model as aae

RANDOM = np.random.default_rng(0)


def vectors(name):
    return from_arrays(RANDOM.normal(size=(80, 3)).astype(np.float32), name=name)


def autoencoder():
    return aae.mlp((3,), RingPrior(3), hidden=(4,), critic=(4,)), vectors("codes"), 3


def machine():
    bits = RANDOM.integers(0, 2, (80, 2, 2)).astype(np.uint8)
    return RBM((2, 2, 1), 3, num_chains=8, sweeps=50), from_arrays(bits, levels=2, name="bits"), 1


def domains():
    return TwoDomains(), unpaired_datasets(vectors("a"), vectors("b")), 3


@pytest.mark.parametrize("make", [autoencoder, machine, domains])
def test_a_prototype_is_trained_and_goes_on_bit_for_bit(make, tmp_path):
    model, dataset, num_players = make()
    settings = Settings(**TINY | {"evaluate_every": 100, "sample_every": 100})
    optimizers = (Optimizer(learning_rate=1e-2),) * num_players
    whole = Experiment(model, settings, dataset.config, optimizers)
    part = replace(whole, settings=replace(settings, steps=4))
    state = loop.run(whole, tmp_path / "whole", dataset=dataset)
    loop.run(part, tmp_path / "parts", dataset=dataset)
    assert_same(loop.run(whole, tmp_path / "parts", dataset=dataset), state)
    run = jaxgen.load(tmp_path / "parts", [type(model)], data=dataset)
    assert run.step == 8
    assert run.model == model
    given = {name: run.dataset().batch("test", 4)[name] for name in getattr(model, "given", ())}
    made = np.asarray(run.sample(jax.random.key(0), num=4, **given))
    assert made.shape == (4, *model.shape)
    assert np.isfinite(made).all()
