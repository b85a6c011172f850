"""A new capability and one row: `evaluate`, validation and the best checkpoint have its number."""

import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_runs

from jaxgen.cli.main import main
from jaxgen.evaluation import Measure, Shown, measure, measures
from jaxgen.loop import loop
from jaxgen.loop.validate import score
from jaxgen.nn import MLP
from jaxgen.runs import loaded
from jaxgen.step import Player

KEY = jax.random.key(0)


@runtime_checkable
class Energetic(Protocol):
    """A capability that no model of the library has."""

    def heat(self, variables, x):
        """[B]."""


@dataclass(frozen=True)
class Stove:
    """Its heat rises with every step."""

    shape: tuple[int, ...] = (8, 8, 1)
    stove: nn.Module = MLP((), 1)  # noqa: RUF009 (frozen)

    def init(self, key):
        """Fresh variables {'stove'}."""
        return {"stove": self.stove.init(key, jnp.ones((1, 1)))}

    def players(self, tx: optax.GradientTransformation):
        """One player."""
        return (Player("stove", ("stove",), self.stove_loss, tx),)

    def stove_loss(self, variables, batch, key):
        """Falls for ever."""
        return -self.heat(variables, batch["image"]).mean(), ({}, {})

    def reconstruct(self, variables, x):
        """What the loop draws."""
        return x

    def heat(self, variables, x):
        """[B]."""
        return self.stove.apply(variables["stove"], jnp.ones((len(x), 1)))[:, 0]


def heat(given):
    """The heat of each example."""
    return {"heat": given.model.heat(given.variables, given.x)}


def size(model, variables, key):
    """A number of the model itself, with its error."""
    return {"size": (float(len(variables)), 0.5)}


@pytest.fixture
def row(monkeypatch):
    """Adds the one row; a function of the direction in which the number is better."""

    def add(better):
        new = Measure((Energetic,), heat, (Shown("heat", "joules", better=better),))
        monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, new))

    return add


@pytest.fixture
def known(monkeypatch):
    """The command line takes back its hook, and knows the class."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    classes = loaded.known_classes
    monkeypatch.setattr(loaded, "known_classes", lambda extra=(): classes((*extra, Stove)))


@pytest.mark.parametrize(("better", "best"), [(+1, 8), (-1, 4)])
def test_a_row_is_all_that_a_new_measure_needs(
    better, best, row, known, tmp_path, tfds_dir, capsys
):
    row(better)
    folder = tmp_path / "stove"
    experiment = partial(tiny_runs.experiment, dir=tfds_dir, model=Stove())
    loop.run(experiment(evaluate_every=4, sample_every=100), folder)

    validation = [line for line in tiny_runs.metrics(folder) if line["split"] == "validation"]
    assert [line["step"] for line in validation] == [4, 8]
    assert validation[0]["heat"] < validation[1]["heat"]

    assert tiny_runs.best(folder)["step"] == best

    assert main(["evaluate", str(folder), "--split", "validation"]) == 0
    (record,) = json.loads((folder / "evaluation.json").read_text())
    assert (record["metric"], record["unit"]) == ("heat", "joules")
    assert record["value"] == pytest.approx(validation[1]["heat"], rel=1e-5)
    assert "joules" in capsys.readouterr().out


def test_the_score_knows_which_way_is_better_and_what_comes_first(row):
    assert score({"kl": 3.0, "elbo": -9.0, "iwae_20": -8.0}) == -8.0
    assert score({"squared_error": 2.0}) == -2.0
    assert score({"iwae_20": -8.0, "log_prob": -7.0, "squared_error": 2.0}) == -7.0
    assert np.isnan(score({"diversity": 0.5, "accuracy": 0.9, "heat": 3.0}))
    row(-1)
    assert score({"heat": 3.0}) == -3.0
    assert score({"heat": 3.0, "log_prob": -7.0}) == -7.0


def test_the_numbers_that_choose_a_checkpoint_are_these():
    """A change of these changes which checkpoint a run keeps."""
    assert measures.directions(20) == {
        "log_prob": 1,
        "log_prob_ais": 1,
        "mean_field_bound": 1,
        "mean_field_bound_ais": 1,
        "log_prob_nce": 1,
        "iwae_20": 1,
        "elbo_by_steps": 1,
        "denoising_error": -1,
        "squared_error": -1,
    }


@dataclass(frozen=True)
class Unnormalised:
    """A density up to its constant, of which an estimate is had once."""

    shape: tuple[int, ...] = (2,)

    def energy(self, variables, x):
        """[B]."""
        return x.sum(axis=-1)

    def log_partition(self, variables, key):
        """The logarithm of the constant, and its standard error."""
        return 2.5, 0.125


@runtime_checkable
class Partitioned(Protocol):
    """Has both."""

    def energy(self, variables, x):
        """[B]."""

    def log_partition(self, variables, key):
        """[]."""


def test_a_number_of_the_model_is_estimated_once_with_its_own_error(monkeypatch):
    calls = []

    def once(given):
        calls.append((len(given.x), given.num_samples))
        return {"log_z": given.model.log_partition(given.variables, given.key)}

    def log_prob(given):
        return {"log_p": -given.model.energy(given.variables, given.x) - given.found["log_z"]}

    shown = (Shown("log_p", "nats", better=+1, bits=True), Shown("log_z", "nats"))
    row = Measure((Partitioned,), log_prob, shown, once=once)
    monkeypatch.setattr(measures, "MEASURES", (row,))
    x = np.arange(500, dtype=np.float32).reshape(250, 2)
    found = measure(Unnormalised(), {}, {"image": x}, KEY, num_samples=1)
    assert calls == [(250, 1)]  # and not once a batch
    assert found.means() == {"log_p": pytest.approx(-499 - 2.5), "log_z": 2.5}
    table = found.records(
        split="test", protocol=lambda how: how, seed=0, bits_per_dim=lambda nats: nats / 2
    )
    assert [record.metric for record in table] == ["log_p", "log_p_bits_per_dim", "log_z"]
    assert (table[2].value, table[2].standard_error) == (2.5, 0.125)


@dataclass(frozen=True)
class Captioned:
    """A density that is given the caption, makes sound, and says what it was given."""

    given: tuple[str, ...] = ("caption",)
    target: str = "sound"

    def log_prob(self, variables, x, *, caption):
        """[B]."""
        return -x.sum(axis=-1) - caption

    def log_weights(self, variables, x, key, num_samples, *, caption):
        """[S, B]."""
        return jnp.broadcast_to(-x.sum(axis=-1) - 2 * caption, (num_samples, len(x)))

    def squared_error(self, variables, x, *, caption):
        """[B]."""
        return caption + 0 * x[:, 0]

    def elbo(self, variables, x, key, num_samples=1, *, caption):
        """[B]."""
        return self.log_weights(variables, x, key, num_samples, caption=caption).mean(axis=0)


def test_the_target_and_the_conditions_go_to_every_method():
    sound = np.ones((3, 2), np.float32)
    batch = {"sound": sound, "caption": np.asarray([1.0, 2.0, 3.0], np.float32), "image": None}
    found = measure(Captioned(), {}, batch, KEY, num_samples=4).means()
    assert found["log_prob"] == pytest.approx(-4)
    assert found["elbo"] == found["iwae_4"] == pytest.approx(-6)
    assert found["gap"] == pytest.approx(2)
    assert found["squared_error"] == pytest.approx(2)


@dataclass(frozen=True)
class Namer:
    """Is always sure of class 1."""

    num_labels: int = 2

    def classify(self, variables, x):
        """[B, 2]."""
        return jnp.broadcast_to(jnp.asarray([-9.0, 0.0]), (len(x), 2))


def test_the_accuracy_needs_labels():
    x = np.zeros((4, 1), np.float32)
    labelled = {"image": x, "label": np.asarray([0, 1, 1, 1])}
    assert measure(Namer(), {}, labelled, KEY, num_samples=1).means() == {"accuracy": 0.75}
    assert measure(Namer(), {}, {"image": x}, KEY, num_samples=1).means() == {}
    assert measure(Namer(0), {}, labelled, KEY, num_samples=1).means() == {}


def told(found):
    """The table of numbers, by name."""
    table = found.records(
        split="test", protocol=lambda how: how, seed=0, bits_per_dim=lambda nats: None
    )
    return {record.metric: record for record in table}


@pytest.mark.parametrize("unknown", [1, 12, 99])
def test_an_unknown_class_is_no_error(unknown):
    label = np.where(np.arange(100) < unknown, -1, 1)
    label[-1] = 0 if unknown < 99 else 1
    found = measure(Namer(), {}, {"image": np.zeros((100, 1)), "label": label}, KEY, num_samples=1)
    num = 100 - unknown
    expected = 1.0 if num == 1 else (num - 1) / num
    assert found.means() == {"accuracy": pytest.approx(expected)}
    record = told(found)["accuracy"]
    assert (record.num, record.value) == (num, pytest.approx(expected))


def test_without_any_known_class_there_is_no_accuracy():
    batch = {"image": np.zeros((4, 1)), "label": np.full(4, -1)}
    found = measure(Namer(), {}, batch, KEY, num_samples=1)
    assert found.means() == {}
    assert told(found) == {}


@dataclass(frozen=True)
class OfClasses:
    """Has the density -x of class 0, -9 of class 1, in all of one element."""

    given: tuple[str, ...] = ("label",)
    optional: tuple[str, ...] = ("label",)

    def log_prob_per_class(self, variables, x, *, label=None):
        """[2, B]."""
        return jnp.stack([-x[:, 0], jnp.full(len(x), -9.0)])

    def log_prob(self, variables, x, *, label=None):
        """[B]."""
        return -x[:, 0]


def test_the_density_of_an_unknown_class_is_the_marginal_alone():
    x = np.asarray([[1.0], [2.0], [3.0], [20.0]], np.float32)
    label = np.asarray([0, -1, 0, -1])
    found = measure(OfClasses(), {}, {"image": x, "label": label}, KEY, num_samples=1)
    means = found.means()
    marginal = np.logaddexp(-x[:, 0], -9) - np.log(2)
    assert means["log_prob"] == pytest.approx(marginal.mean(), rel=1e-5)
    assert means["log_prob_given_label"] == pytest.approx(-2)
    assert means["bayes_accuracy"] == 1.0
    assert {name: record.num for name, record in told(found).items()} == {
        "log_prob": 4,
        "log_prob_given_label": 2,
        "bayes_accuracy": 2,
    }
