"""Certificates of Boltzmann machines: sound ones pass, each broken one fails the law it breaks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.check import Subject, boltzmann, certificate, objectives, phases, untested
from jaxgen.energy import DBM, RBM, bipartite

FREE = "F(x) = E(x, y) + log p(y | x)"
LEFT = "log p(x | y) - log p(x' | y) = E(x', y) - E(x, y)"
RIGHT_DRAWS = "draws have the means of p(y | x)"
LEFT_DRAWS = "draws have the means of p(x | y)"
STILL = "a Gibbs sweep leaves p(x) as it is"
SIDES = "log Z over x = log Z over y"
BEGINS = "the path begins at independent units"
ENDS = "the path ends at the machine"
PHASES = "the gradient is E_negative[dE] - E_data[dE]"
STEPS = "small steps along the gradients improve the claim"
MACHINES = ("rbm", "rbm cd", "rbm exact", "rbm gaussian")


def subject(name):
    """A tiny machine away from its initial weights, and 16 examples."""
    experiment = tiny.experiment(name)
    variables = tiny.perturbed(name).variables
    own = {n: tiny.scaled(x, 5.0) if "params" in x else x for n, x in variables.items()}
    x = tiny.examples(experiment.model, 16)
    return Subject(experiment, own, x, jax.random.key(5))


def failures(whole, *laws):
    return {law.law for each in laws for law in each(whole) if not law.passed}


@pytest.mark.parametrize("name", MACHINES)
def test_a_sound_machine_passes(name):
    laws = certificate(subject(name))
    assert [law.law for law in laws if not law.passed] == []
    names = {law.law for law in laws}
    assert len(names) == len(laws)
    expected = {FREE, LEFT, RIGHT_DRAWS, LEFT_DRAWS, BEGINS, ENDS, STEPS}
    expected |= set() if name == "rbm gaussian" else {STILL, SIDES}
    expected |= set() if name == "rbm exact" else {PHASES}
    assert names >= expected
    assert (PHASES in names) == (name != "rbm exact")
    assert untested(subject(name)) == []


def test_a_machine_too_large_to_sum_leaves_its_claim_open():
    whole = subject("rbm")
    model = RBM((5, 5), 21, sweeps=10)
    variables = jax.jit(model.init)(jax.random.key(0))
    experiment = replace(whole.experiment, model=model)
    large = Subject(experiment, variables, tiny.examples(model, 16), jax.random.key(5))
    assert failures(large, *boltzmann.LAWS, phases.phases) == set()
    assert objectives.improvement(large) == []
    assert [each.wants for each in untested(large)] == ["a log Z that can be summed"]


def shifted(params):
    return lambda machine, *args: params(machine, *args) + 0.3


def without_right_bias(machine, units, x):
    logits = bipartite.right_logits(machine, units, x) - machine.right[None]
    return bipartite.left_energy(machine, units, x) - jax.nn.softplus(logits).sum(axis=-1)


@pytest.mark.parametrize(
    ("name", "broken", "expected"),
    [
        ("right_logits", shifted(bipartite.right_logits), {FREE, SIDES}),
        ("left_params", shifted(bipartite.left_params), {LEFT, STILL, SIDES}),
        ("free_energy", without_right_bias, {FREE, STILL, SIDES}),
    ],
)
def test_a_wrong_formula_fails(name, broken, expected, monkeypatch):
    whole = subject("rbm")
    monkeypatch.setattr(bipartite, name, broken)
    jax.clear_caches()
    found = failures(whole, boltzmann.conditionals, boltzmann.invariance, boltzmann.partition)
    assert found >= expected


@pytest.mark.parametrize(
    ("name", "expected"), [("draw_right", RIGHT_DRAWS), ("draw_left", LEFT_DRAWS)]
)
@pytest.mark.parametrize("kind", ["rbm", "rbm gaussian"])
def test_a_wrong_draw_fails(name, expected, kind, monkeypatch):
    whole = subject(kind)
    real = getattr(bipartite, name)

    def later(machine, units, key, given):
        moved = bipartite.Bipartite(machine.weight, machine.left + 0.4, machine.right + 0.4)
        return real(moved, units, key, given)

    monkeypatch.setattr(bipartite, name, later)
    assert failures(whole, boltzmann.draws) == {expected}


def test_a_path_with_another_end_or_beginning_fails(monkeypatch):
    whole = subject("rbm")
    real = RBM.annealing

    def annealing(self, variables, base=None):
        path = real(self, variables, base)

        def log_density(x, beta):
            return path.log_density(x, beta) + 0.5 * beta

        return path._replace(log_density=log_density)

    monkeypatch.setattr(RBM, "annealing", annealing)
    assert failures(whole, boltzmann.path) == {ENDS}

    def coins_forgotten(self, variables, base=None):
        path = real(self, variables, base)
        return path._replace(log_base=path.log_base - 3 * np.log(2))

    monkeypatch.setattr(RBM, "annealing", coins_forgotten)
    assert failures(whole, boltzmann.path) == {BEGINS}


@pytest.mark.parametrize("kind", ["rbm", "rbm cd"])
@pytest.mark.parametrize("kept", [-1.0, 0.0])
def test_a_wrong_loss_fails(kept, kind, monkeypatch):
    """With its sign turned, and without its negative phase."""
    whole = subject(kind)
    rbm_loss = RBM.rbm_loss

    def wrong(self, variables, batch, key):
        value, rest = rbm_loss(self, variables, batch, key)
        positive = self.energy(variables, batch["image"]).mean()
        return (positive if kept == 0 else kept * value), rest

    monkeypatch.setattr(RBM, "rbm_loss", wrong)
    assert failures(whole, phases.phases) == {PHASES}


def test_gradients_through_the_chains_fail(monkeypatch):
    """Of real units, whose draws can be differentiated by their means."""
    whole = subject("rbm gaussian")

    def flowing(self, variables, key, x):
        start = variables["chains"]["state"]["visible"]
        return self.swept(variables, key, start, self.steps)

    monkeypatch.setattr(RBM, "negative", flowing)
    assert failures(whole, phases.phases) == {PHASES}


def test_the_loss_of_an_exact_machine_is_its_claim(monkeypatch):
    whole = subject("rbm exact")
    assert {law.law for law in objectives.objective(whole)} == {"the loss is minus the claim"}
    rbm_loss = RBM.rbm_loss

    def halved(self, variables, batch, key):
        value, rest = rbm_loss(self, variables, batch, key)
        return jnp.asarray(0.5 * value), rest

    monkeypatch.setattr(RBM, "rbm_loss", halved)
    assert failures(whole, objectives.objective) == {"the loss is minus the claim"}


LAYERS = "the gradient is E_chains[dE] - E_data[dE] at the mean field"
RISING = "updates of the means never lower the bound"
BELOW = "the mean-field bound is below log p(x)"


def test_a_sound_deep_machine_passes():
    laws = certificate(subject("dbm"))
    assert [law.law for law in laws if not law.passed] == []
    assert {law.law for law in laws} >= {FREE, LEFT, STILL, SIDES, BEGINS, ENDS, STEPS, LAYERS}
    assert {law.law for law in laws} >= {RISING, BELOW}
    assert untested(subject("dbm")) == []


def test_a_deep_machine_with_a_wrong_positive_phase_fails(monkeypatch):
    whole = subject("dbm")
    means = DBM.means

    def too_sure(self, variables, x):
        return tuple(0.5 * mean + 0.5 for mean in means(self, variables, x))

    def loss(self, variables, batch, key):
        x = batch["image"].reshape(len(batch["image"]), -1)
        positive = self.layered_energy(variables, x, too_sure(self, variables, x)).mean()
        machine = self.joint(variables)
        chains = self.negative(variables, key)
        negative = bipartite.free_energy(machine, self.observation, chains).mean()
        return positive - negative, ({}, {"chains": {"state": {"left": chains}}})

    monkeypatch.setattr(DBM, "dbm_loss", loss)
    assert failures(whole, phases.layers) == {LAYERS}


def test_a_bound_without_its_upper_layer_fails(monkeypatch):
    whole = subject("dbm")
    updated = DBM.updated

    def without(self, variables, x, means):
        upper = {"params": {**variables["layer_2"]["params"]}}
        upper["params"]["weight"] = -upper["params"]["weight"]
        return updated(self, {**variables, "layer_2": upper}, x, means)

    monkeypatch.setattr(DBM, "updated", without)
    assert RISING in failures(whole, phases.layers)


def test_a_bound_with_too_much_entropy_fails(monkeypatch):
    whole = subject("dbm")
    bound_at = DBM.bound_at

    def more(self, variables, x, means):
        return bound_at(self, variables, x, means) + 1

    monkeypatch.setattr(DBM, "bound_at", more)
    assert failures(whole, phases.below_the_density) == {BELOW}


@pytest.mark.parametrize("name", ["nce", "nce rbm", "diagonal normal", "dbm layer"])
def test_other_energies_pass(name):
    laws = certificate(subject(name))
    assert [law.law for law in laws if not law.passed] == []
