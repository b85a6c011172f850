"""Whole certificates of models unlike the library's own: several stages, pools, conditions."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from conditioned import LabelledVAE
from prototypes import Growing

from jaxgen.check import Subject, certificate, training
from jaxgen.evaluation import measure
from jaxgen.experiment import Experiment, Settings
from jaxgen.nn import MLP
from jaxgen.step import Player

PROTOTYPES = (
    "growing",
    "growing, second stage",
    "two domains",
)


def subject(name, num=16):
    """Return a tiny model with fresh variables, and examples of the field that it makes."""
    experiment = tiny.experiment(name)
    fields = tiny.batch(name, num)
    x = fields.pop(getattr(experiment.model, "target", "image"))
    return Subject(experiment, tiny.fresh(name).variables, x, jax.random.key(5), fields)


def second_stage():
    """Return the second stage of a growth after its first, with fresh variables."""
    whole = subject("growing, second stage")
    begun = replace(subject("growing").experiment, model=Growing((2, 2, 1)))
    return replace(whole, experiment=replace(whole.experiment, after=begun))


def failures(laws):
    return [law.law for law in laws if not law.passed]


@pytest.mark.parametrize("name", PROTOTYPES)
def test_the_certificate_of_a_prototype_holds(name):
    laws = certificate(subject(name))
    assert failures(laws) == []
    assert all(np.isfinite(law.figure) for law in laws)


def test_the_certificate_of_a_second_stage_holds():
    whole = second_stage()
    assert whole.experiment.begin == 10
    assert failures(certificate(whole)) == []


@dataclass(frozen=True)
class Faded:
    """A trunk and a layer of zeros behind it fade in while an older layer fades out."""

    shape: tuple[int, ...] = (2,)
    parts: tuple[MLP, ...] = (MLP((), 3), MLP((), 2))
    stopped: bool = False

    def init(self, key):
        """Fresh variables; the head's are zeros."""
        trunk, head = self.parts
        fresh = head.init(key, jnp.zeros((1, 3)))
        return {
            "trunk": trunk.init(key, jnp.zeros((1, 2))),
            "head": jax.tree.map(jnp.zeros_like, fresh),
            "old": head.init(key, jnp.zeros((1, 2))),
        }

    def players(self, tx):
        """One player."""
        return (Player("faded", ("trunk", "head", "old"), self.faded_loss, tx),)

    def faded_loss(self, variables, batch, key):
        """The squared error of what is faded in."""
        trunk, head = self.parts
        h = trunk.apply(variables["trunk"], batch["image"])
        h = jax.lax.stop_gradient(h) if self.stopped else h
        alpha = jnp.minimum(1.0, batch["step"] / 4)
        old = head.apply(variables["old"], batch["image"])
        made = alpha * head.apply(variables["head"], h) + (1 - alpha) * old
        return jnp.square(made - batch["image"]).mean(), ({}, {})


def faded(**changes):
    """Return a subject with its fresh variables."""
    experiment = Experiment(Faded(**changes), Settings(steps=10, batch_size=8))
    variables = jax.jit(experiment.model.init)(jax.random.key(0))
    return Subject(experiment, variables, tiny.examples(experiment.model, 8), jax.random.key(1))


def test_a_fade_and_layers_of_zeros_hold_nothing_still():
    assert failures(training.ownership(faded())) == []
    stopped = failures(training.ownership(faded(stopped=True)))
    assert stopped == ["a player moves what it owns"]


def test_only_parameters_that_are_all_zero_get_noise():
    variables = {
        "a": {"params": {"w": jnp.ones(3), "b": jnp.zeros(3), "c": jnp.array([0.0, 2.0])}},
        "pool": {"state": {"images": jnp.zeros(2)}},
    }
    found = training.without_zeros(variables)
    params = found["a"]["params"]
    assert params["w"].tolist() == [1, 1, 1]
    assert params["c"].tolist() == [0, 2]
    assert (np.asarray(params["b"]) != 0).all()
    assert found["pool"]["state"]["images"].tolist() == [0, 0]


@dataclass(frozen=True)
class Piece:
    """A class of one's own inside a tuple of a stage that is over."""

    width: int = 3


@dataclass(frozen=True)
class Earlier(Faded):
    """The model of the stage before."""

    pieces: tuple[Piece, ...] = (Piece(),)


def test_a_spec_knows_the_classes_of_all_stages():
    whole = faded()
    begun = replace(whole.experiment, model=Earlier())
    later = replace(whole, experiment=replace(whole.experiment, after=begun))
    assert failures(training.specification(later)) == []


LIKELIHOOD = 13  # laws of a model with latent variables


def labelled():
    """Return a class-conditional VAE away from its prior, with examples and their labels."""
    experiment = Experiment(LabelledVAE(), Settings(steps=10, batch_size=8))
    variables = jax.jit(experiment.model.init)(jax.random.key(0))
    variables = tiny.scaled(variables, 2.0)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.integers(0, 2, (16, 2, 2)), jnp.float32)
    label = np.arange(16) % 3
    return Subject(experiment, variables, x, jax.random.key(5), {"label": label})


def test_a_class_conditional_vae_is_certified():
    laws = certificate(labelled())
    assert failures(laws) == []
    assert len(laws) == 8 + LIKELIHOOD


def test_a_class_conditional_vae_is_evaluated():
    whole = labelled()
    found = measure(whole.model, whole.variables, whole.batch, whole.key, num_samples=10)
    values = found.means()
    assert values["elbo"] <= values["iwae_10"] < 0


@dataclass(frozen=True)
class Mislabelled(LabelledVAE):
    """Its weights are those of another class than its terms."""

    def log_weights(self, variables, x, key, num_samples, *, label):
        """Of the next class."""
        label = (label + 1) % self.kinds
        return LabelledVAE.log_weights(self, variables, x, key, num_samples, label=label)


def test_a_bound_of_another_class_fails():
    whole = labelled()
    variables = tiny.scaled(whole.variables, 3.0)
    experiment = replace(whole.experiment, model=Mislabelled())
    wrong = replace(whole, experiment=experiment, variables=variables)
    assert "ELBO = E log w" in failures(certificate(wrong))
