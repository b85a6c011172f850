"""Checkpoints of every format there ever was load, sample and measure as they did."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxgen
from jaxgen.distributions.observation import Bernoulli
from jaxgen.errors import CheckpointError, ConfigError
from jaxgen.evaluation import mean_and_error
from jaxgen.loop import loop
from jaxgen.runs.formats import FORMAT, migrated

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_checkpoint_of_every_format_loads_samples_and_measures(number):
    folder = GOLDEN / f"format_{number}"
    run = jaxgen.load(folder)
    found = json.loads((GOLDEN / "expected.json").read_text())
    expected = found.get(f"format_{number}", found)
    assert run.experiment.rules == (1 if number < 4 else 2)
    assert run.step == 20
    assert run.model.observation == Bernoulli()
    x = np.asarray(run.sample(jax.random.key(0), 64)).reshape(64, -1)
    np.testing.assert_array_equal(x.sum(axis=1).astype(int), expected["pixels"])
    values = run.elbo(run.dataset().examples("test"), jax.random.key(0))
    elbo = mean_and_error(np.asarray(values))[0]
    assert elbo == pytest.approx(expected["elbo"], rel=1e-5)


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_run_of_every_format_goes_on(number, tmp_path, tfds_dir, capsys):
    folder = shutil.copytree(GOLDEN / f"format_{number}", tmp_path / "run")
    old = jaxgen.load(folder).experiment
    more = replace(old.settings, steps=24), replace(old.data, dir=tfds_dir)
    state = loop.run(replace(old, settings=more[0], data=more[1]), folder)
    assert int(state.step) == 24
    assert jaxgen.load(folder).step == 24
    told = "begun by an older version" in capsys.readouterr().err
    assert told == (number < 4)
    wider = replace(old, model=replace(old.model, latent_dim=3))
    with pytest.raises(ConfigError, match=r"model\.latent_dim is 2 there, 3 here"):
        loop.run(wider, folder)


def test_the_format_in_a_checkpoint_is_the_number_of_its_folder():
    for number in range(1, FORMAT + 1):
        record = GOLDEN / f"format_{number}" / "checkpoints" / "20" / "record" / "metadata"
        assert json.loads(record.read_text())["format"] == number


@pytest.mark.parametrize("record", [None, [], {}, {"format": 0}, {"format": FORMAT + 1},
                                    {"format": "1"}, {"format": 1.5}])  # fmt: skip
def test_a_format_that_is_not_known_is_refused(record):
    with pytest.raises(CheckpointError, match=r"not of a format that is known here \(1\.\.4\)"):
        migrated(record)


def test_migration_changes_names_and_nothing_else():
    parts = [{"type": "vae.Bernoulli"}, {"type": "vae.MLPEncoder"}]
    model = {"type": "vae.VAE", "observation": parts}
    old = {"format": 1, "experiment": {"model": model}, "data": {"name": "vae.Gaussian"}}
    new = migrated(old)
    assert new["experiment"]["model"]["observation"][0] == {"type": "Bernoulli"}
    assert new["experiment"]["model"]["observation"][1] == {"type": "MLPEncoder"}
    assert new["experiment"]["model"]["type"] == "VAE"
    assert new["data"] == old["data"]
    assert migrated(new) == new


def test_a_record_without_rules_of_reading_is_of_the_first_ones():
    before = {"model": {}, "data": {"name": "x"}}
    after = {"model": {}, "data": {"name": "x", "rules": 2}, "after": before}
    new = migrated({"format": FORMAT, "experiment": after})["experiment"]
    assert new["data"]["rules"] == 2
    assert new["after"]["data"]["rules"] == 1
    assert jaxgen.load(GOLDEN / "format_3").experiment.data.rules == 1
