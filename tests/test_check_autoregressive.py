"""The certificate of autoregressive models: a sound one passes, each broken one fails its law."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import FVBN, chain_rule
from jaxgen.check import Subject, certificate
from jaxgen.check import autoregressive as laws
from jaxgen.observation import Bernoulli


def subject(name):
    """A tiny model with parameters large enough to matter, and 16 examples."""
    experiment = tiny.experiment(name)
    variables = tiny.fresh(name).variables
    if name == "fvbn":
        variables = tiny.scaled(variables, 30.0)
    x, fields = tiny.examples(experiment.model, 16), {}
    if getattr(experiment.model, "num_classes", 0):
        fields["label"] = np.arange(16) % experiment.model.num_classes
    return Subject(experiment, variables, x, jax.random.key(5), fields)


def broken(cls):
    """The subject with an FVBN of that class."""
    whole = subject("fvbn")
    model = cls(whole.model.shape, whole.model.ordering)
    return replace(whole, experiment=replace(whole.experiment, model=model))


def failures(found):
    return [law.law for law in found if not law.passed]


KINDS = ("fvbn random order", "rnade", "gated pixel cnn conditional", "multi scale")


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_model_passes(name):
    found = certificate(subject(name))
    assert failures(found) == []
    expected = 9 + (7 if tiny.experiment(name).model.observation.values is None else 8)
    assert len({law.law for law in found}) == len(found) == expected
    assert all(np.isfinite(law.figure) and law.meaning for law in found)


class Copying(FVBN):
    """Reads its own pixel: the diagonal is not masked."""

    def _masked(self, variables):
        weight, bias = FVBN._masked(self, variables)
        return weight + jnp.diag(jnp.diag(variables["fvbn"]["params"]["weight"])), bias


def test_a_model_that_reads_its_own_element_fails():
    found = failures(laws.causality(broken(Copying)))
    assert "no conditional reads its own or a later element" in found
    assert "a conditional reads nothing outside its field" in found


class Narrow(FVBN):
    """Says that it reads the two elements before, and reads all of them."""

    def dependencies(self):
        """A field that is too small, for the law alone."""
        return np.tril(np.ones((6, 6), bool), -1) & ~np.tril(np.ones((6, 6), bool), -3)

    def _masked(self, variables):
        params = variables["fvbn"]["params"]
        return jnp.tril(params["weight"], -1), params["bias"]


def test_a_field_that_is_larger_than_it_says_fails():
    assert failures(laws.causality(broken(Narrow))) == [
        "a conditional reads nothing outside its field"
    ]


class Blind(FVBN):
    """Says that it reads all elements before, and reads the one before."""

    def _masked(self, variables):
        weight, bias = FVBN._masked(self, variables)
        return weight * (jnp.tril(jnp.ones((6, 6)), -1) - jnp.tril(jnp.ones((6, 6)), -2)), bias


def test_a_field_that_is_smaller_than_it_says_fails():
    assert failures(laws.causality(broken(Blind))) == ["a conditional reads all of its field"]


@dataclass(frozen=True)
class Loud(Bernoulli):
    """A density that is too high by a tenth."""

    def log_prob(self, params, x):
        """Sums to 1.1."""
        return Bernoulli.log_prob(self, params, x) + np.log(1.1)


class Unnormalised(FVBN):
    """Conditionals that do not sum to one."""

    observation = Loud()


def test_conditionals_that_do_not_sum_to_one_fail():
    assert failures(laws.normalisation(broken(Unnormalised))) == [
        "p(x_i | x_<i) sums to 1",
        "the density sums to 1 over the last elements",
    ]


class Averaged(FVBN):
    """The mean of the log-densities of two orders, as if it were one."""

    def log_prob(self, variables, x):
        """A mean of logarithms is the logarithm of no density."""
        forwards = chain_rule.log_prob(self, variables, x)
        backwards = chain_rule.log_prob(self, variables, x[:, ::-1, ::-1])
        return (forwards + backwards) / 2


def test_a_density_that_is_not_the_chain_rules_fails():
    assert failures(laws.normalisation(broken(Averaged))) == [
        "the density sums to 1 over the last elements"
    ]


class Tempered(FVBN):
    """Draws sharper samples than the density says, by fast and full passes alike."""

    def sample(self, variables, key, num):
        """At an eighth of the temperature."""
        sharp = jax.tree.map(lambda v: 8 * v, variables)
        return FVBN.sample(self, sharp, key, num)


def test_samples_that_do_not_follow_the_density_fail():
    sharp = subject("fvbn")
    weight = jnp.tril(jnp.ones((6, 6)), -1)  # each element like those before
    params = {"weight": weight, "bias": -weight.sum(axis=1) / 2}
    sharp = replace(sharp, variables={"fvbn": {"params": params}})
    model = Tempered(sharp.model.shape)
    sharp = replace(sharp, experiment=replace(sharp.experiment, model=model))
    assert "draws follow the density" in failures(laws.agreement(sharp))


class Stale(FVBN):
    """A cache that forgets the last element drawn."""

    def generate(self, variables, choose, num):
        """Never updates the running sums."""
        params = variables["fvbn"]["params"]
        frozen = {"fvbn": {"params": {**params, "weight": 0 * params["weight"]}}}
        return FVBN.generate(self, frozen, choose, num)


def test_a_cache_that_is_not_updated_fails():
    assert "fast sampling = naive sampling" in failures(laws.sampler(broken(Stale)))


class Overwriting(FVBN):
    """Completions that ignore what is known."""

    def complete(self, variables, key, x, mask):
        """Plain samples."""
        return self.sample(variables, key, x.shape[0])


def test_completions_that_change_what_is_known_fail():
    assert "a completion keeps what is known" in failures(laws.sampler(broken(Overwriting)))
