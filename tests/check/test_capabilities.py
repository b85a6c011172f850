"""A law asks what a model can do, never whose class it is."""

import ast
from dataclasses import replace
from pathlib import Path

import jax
import pytest
import tiny

from jaxgen import check
from jaxgen.check.capabilities import (
    Amortised,
    ChainRule,
    ChangeOfVariables,
    Contrastive,
    Layered,
    Mixture,
    TwoSided,
)
from jaxgen.check.law import Subject

FAMILIES = {
    Amortised: {"vae", "vae weighted", "iwae", "linear gaussian"},
    ChainRule: {"nade", "made deep", "pixel cnn", "row lstm", "joint table"},
    Contrastive: {"rbm", "rbm cd", "rbm exact", "rbm gaussian"},
    Layered: {"dbm"},
    TwoSided: {"rbm", "rbm cd", "rbm exact", "rbm gaussian", "dbm"},
    ChangeOfVariables: {"real nvp", "nice", "ica"},
    Mixture: {"mades", "orderless nades"},
}
# A law that compares a method with the one of jaxgen's own base says so by name.
OF_A_BASE = {"jaxgen.gan.base"}


def laws_of(model):
    """Return the laws that ask for no more than the model has."""
    return [law for needs, law in check._LAWS if all(isinstance(model, need) for need in needs)]


def rewritten(model):
    """Return the same model as a class of nobody's: all methods, no base."""
    namespace = {}
    for cls in reversed(type(model).__mro__[:-1]):
        namespace |= vars(cls)
    for name in ("__dict__", "__slots__", "__weakref__", "__abstractmethods__", "_abc_impl"):
        namespace.pop(name, None)
    own = type("Own", (), namespace)
    made = object.__new__(own)
    for name in type(model).__dataclass_fields__:
        object.__setattr__(made, name, getattr(model, name))
    return made


@pytest.mark.parametrize("name", ["vae", "iwae", "nade", "pixel cnn", "rbm", "dbm", "autoencoder"])
def test_a_class_without_our_bases_is_under_the_same_laws(name):
    model = tiny.MODELS[name].make()
    own = rewritten(model)
    assert type(own).__mro__[1:] == (object,)
    assert laws_of(own) == laws_of(model)


@pytest.mark.parametrize("capability", FAMILIES, ids=lambda capability: capability.__name__)
def test_a_capability_is_that_of_its_family(capability):
    found = {name for name in tiny.MODELS if isinstance(tiny.MODELS[name].make(), capability)}
    assert found >= FAMILIES[capability]
    others = set().union(*FAMILIES.values()) - FAMILIES[capability]
    assert not found & others


def test_a_rewritten_vae_fails_where_it_is_broken():
    own = rewritten(tiny.MODELS["vae"].make())
    terms = type(own).terms

    def doubled(self, variables, x, key, num_samples=1):
        found = terms(self, variables, x, key, num_samples)
        return found._replace(kl=2 * found.kl)

    type(own).terms = doubled
    experiment = replace(tiny.experiment("vae"), model=own)
    variables = tiny.fresh("vae").variables
    subject = Subject(experiment, variables, tiny.examples(own, 16), jax.random.key(5))
    failed = {law.law for law in check.certificate(subject) if not law.passed}
    assert "closed-form KL = Monte Carlo KL" in failed


@pytest.mark.parametrize("module", ["autoregressive", "vae", "energy", "flow", "gan"])
def test_certificates_import_no_model(module):
    imported = set()
    for file in Path(check.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(f"jaxgen.{module}"):
                imported |= {(node.module, alias.name) for alias in node.names}
    classes = {pair for pair in imported if pair[1][0].isupper()}
    assert {path for path, _ in classes} <= OF_A_BASE
