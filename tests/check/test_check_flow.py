"""Certificates of flows: sound ones pass, each broken one fails the law it breaks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
import tiny

from jaxgen.check import Subject, certificate, flow, untested
from jaxgen.flow import ICA, NICE, RealNVP

INVERSE = "the inverse of f(x) is x"
JACOBIAN = "log |det| is that of the Jacobian"
DENSITY = "log p(x) = log p(z) + log |det|"
PRIOR = "the prior integrates to 1"


def subject(name):
    """A tiny flow away from the identity, and 16 examples."""
    experiment = tiny.experiment(name)
    variables = tiny.scaled(tiny.perturbed(name).variables, 2.0)
    return Subject(experiment, variables, tiny.examples(experiment.model, 16), jax.random.key(5))


def failures(whole):
    return {law.law for each in flow.LAWS for law in each(whole) if not law.passed}


@pytest.mark.parametrize("name", ["real nvp", "nice", "ica"])
def test_a_sound_flow_passes(name):
    laws = certificate(subject(name))
    assert [law.law for law in laws if not law.passed] == []
    assert {INVERSE, JACOBIAN, DENSITY, PRIOR} <= {law.law for law in laws}
    assert untested(subject(name)) == []


def test_a_jacobian_that_is_too_large_is_left_open():
    model = ICA((33, 32))
    experiment = replace(tiny.experiment("ica"), model=model)
    variables = jax.jit(model.init)(jax.random.key(0))
    large = Subject(experiment, variables, tiny.examples(model, 2), jax.random.key(5))
    assert flow.determinant(large) == []
    assert [each.question for each in untested(large)] == [
        "whether its log-determinant is the Jacobian's"
    ]


def half_determinant(self, variables, x):
    z, log_det = FORWARD(self, variables, x)
    return z, 0.5 * log_det


def shifted(self, variables, z):
    return INVERSE_OF(self, variables, z) + 0.1


def without_determinant(self, variables, x):
    return self.latent_log_prob(self.encode(variables, x))


def unnormalised(self, z):
    return -0.5 * jnp.square(z).sum(axis=-1)


FORWARD = RealNVP.forward
INVERSE_OF = RealNVP.inverse


@pytest.mark.parametrize(
    ("method", "wrong", "law"),
    [
        ("forward", half_determinant, JACOBIAN),
        ("inverse", shifted, INVERSE),
        ("log_prob", without_determinant, DENSITY),
        ("latent_log_prob", unnormalised, PRIOR),
    ],
)
@pytest.mark.parametrize(("cls", "name"), [(RealNVP, "real nvp"), (NICE, "nice"), (ICA, "ica")])
def test_what_is_wrong_fails_its_law_alone(cls, name, method, wrong, law, monkeypatch):
    monkeypatch.setattr(cls, method, wrong)
    assert failures(subject(name)) == {law}
