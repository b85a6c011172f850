"""Certificates of adversarial games: sound ones pass, broken ones fail the law they break."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import tiny

from jaxgen import gan, losses
from jaxgen.check import Subject, adversarial, certificate
from jaxgen.experiment import Experiment, Settings
from jaxgen.gan import GAN
from jaxgen.gan.base import RealOrFake


def outcomes(name):
    """Return {law: outcome} of a tiny game."""
    experiment = tiny.experiment(name)
    fields = tiny.batch(name, 16)
    x = fields.pop("image")
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


@dataclass(frozen=True)
class Beside(RealOrFake):
    """A game whose players are both given numbers beside their inputs."""

    shape: tuple[int, ...] = (3,)
    latent_dim: int = 2
    generator: Any = gan.MLPGenerator((4,), (3,))  # noqa: RUF009 (frozen)
    discriminator: Any = gan.Discriminator(gan.MLPTrunk((4,)))  # noqa: RUF009 (frozen)
    prior: str = "normal"
    given: tuple[str, ...] = ("low",)

    @property
    def game(self):
        """The costs of both players."""
        return losses.cost("non_saturating", 0.0)

    def generator_inputs(self):
        """Return z and the numbers."""
        return (jnp.zeros((2, 3)),)

    def discriminator_inputs(self):
        """Return x and the numbers."""
        return (jnp.zeros((2, 4)),)

    def latents(self, key, num):
        """Return z alone."""
        return jax.random.normal(key, (num, 2))

    def decode(self, variables, z, *, low):
        """Return G(z, low)."""
        return RealOrFake.decode(self, variables, jnp.concatenate([z, low], axis=-1))

    def sample(self, variables, key, num, *, low):
        """Return `num` draws."""
        return self.decode(variables, self.latents(key, num), low=low)

    def logits(self, variables, x, *, low):
        """Return the logits of D(x, low)."""
        return RealOrFake.logits(self, variables, jnp.concatenate([x, low], axis=-1))


def test_a_game_is_certified_with_what_it_is_given():
    model = Beside()
    experiment = Experiment(model, Settings(steps=10, batch_size=8))
    variables = jax.jit(model.init)(jax.random.key(0))
    x = tiny.examples(model, 16)
    low = jnp.linspace(-1.0, 1.0, 16)[:, None]
    subject = Subject(experiment, variables, x, jax.random.key(0), {"low": low})
    for law in adversarial.LAWS:
        found = law(subject)
        assert found
        assert all(outcome.passed for outcome in found)


DECODE = GAN.decode
LOGITS = GAN.logits


def mixing(self, variables, z):
    """Decode z with the mean of the batch added: a sample sees the batch."""
    x = DECODE(self, variables, z)
    return x + x.mean(axis=0, keepdims=True)


def blind(self, variables, x):
    """Judge zeros in the place of x: the same verdict on all."""
    return LOGITS(self, variables, jnp.zeros_like(x))


@pytest.mark.parametrize(
    ("method", "broken", "law"),
    [
        ("decode", mixing, "a sample does not depend on the others"),
        ("range", (-1e-3, 1e-3), "samples lie where data lie"),
        ("logits", blind, "D reaches its optimum on frozen points"),
    ],
)
def test_a_broken_game_fails(method, broken, law, monkeypatch):
    monkeypatch.setattr(GAN, method, broken)
    assert not outcomes("gan")[law].passed


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
