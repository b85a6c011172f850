"""Certificates of adversarial games: sound ones pass, broken ones fail the law they break."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
import tiny

from jaxgen import losses
from jaxgen.check import Subject, adversarial, certificate
from jaxgen.gan import GAN


def outcomes(name, model=None):
    """{law: outcome} of a tiny game, or of a model in its place."""
    experiment = tiny.experiment(name)
    fields = tiny.batch(name, 16)
    x = fields.pop("image")
    if model is not None:
        experiment = replace(experiment, model=model)
    subject = Subject(experiment, tiny.fresh(name).variables, x, jax.random.key(0), fields)
    return {law.law: law for law in certificate(subject)}


NAMES = ["gan", "gan virtual", "conditional gan", "dcgan", "semi-supervised gan"]


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_game_passes(name):
    found = outcomes(name)
    assert [law for law in found.values() if not law.passed] == []
    judged = {"-V = E softplus(-l) + E softplus(l)", "D reaches its optimum on frozen points"}
    assert (judged <= set(found)) == (name != "conditional gan")
    assert "a sample does not depend on the others" in found


class Mixing(GAN):
    """Its samples see the batch."""

    def decode(self, variables, z):
        """Adds the mean of the batch."""
        x = GAN.decode(self, variables, z)
        return x + x.mean(axis=0)


class Escaping(GAN):
    """Its samples leave their range."""

    range = (-1e-3, 1e-3)


class Blind(GAN):
    """Its discriminator does not see its input."""

    def logits(self, variables, x):
        """The same verdict on all."""
        return GAN.logits(self, variables, jnp.zeros_like(x))


def as_class(cls):
    model = tiny.experiment("gan").model
    return cls(**{name: getattr(model, name) for name in model.__dataclass_fields__})


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (Mixing, "a sample does not depend on the others"),
        (Escaping, "samples lie where data lie"),
        (Blind, "D reaches its optimum on frozen points"),
    ],
)
def test_a_broken_game_fails(cls, law):
    assert not outcomes("gan", as_class(cls))[law].passed


@pytest.mark.parametrize(
    ("cost", "wrong", "law"),
    [
        (
            "non_saturating_cost",
            lambda fake: -jax.nn.sigmoid(fake).mean(),
            "slopes: non-saturating = minimax (1 - D) / D",
        ),
        (
            "maximum_likelihood_cost",
            lambda fake: -jnp.exp(fake / 2).mean(),
            "slopes: maximum likelihood = minimax / (1 - D)",
        ),
        (
            "discriminator_cost",
            lambda real, fake: jax.nn.softplus(real).mean() + jax.nn.softplus(fake).mean(),
            "-V = E softplus(-l) + E softplus(l)",
        ),
    ],
)
def test_a_wrong_cost_fails(cost, wrong, law, monkeypatch):
    whole = tiny.experiment("gan")
    variables = tiny.scaled(tiny.fresh("gan").variables, 3.0)  # verdicts far from 1/2
    subject = Subject(whole, variables, tiny.examples(whole.model, 16), jax.random.key(0))
    assert all(found.passed for found in adversarial.value(subject))
    monkeypatch.setattr(losses, cost, wrong)
    assert [found.law for found in adversarial.value(subject) if not found.passed] == [law]
