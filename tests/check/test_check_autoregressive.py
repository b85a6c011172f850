"""The certificate of autoregressive models: a sound one passes, each broken one fails its law."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen.autoregressive import Ordering
from jaxgen.autoregressive.base import Ordered
from jaxgen.check import Subject, certificate
from jaxgen.check import autoregressive as laws
from jaxgen.distributions.observation import Bernoulli
from jaxgen.step import Player


def subject(name):
    """A tiny model with parameters large enough to matter, and 16 examples."""
    experiment = tiny.experiment(name)
    variables = tiny.fresh(name).variables
    if name == "fvbn":
        variables = tiny.scaled(variables, 30.0)
    x = tiny.examples(experiment.model, 16)
    fields = {}
    if getattr(experiment.model, "num_classes", 0):
        fields["label"] = np.arange(16) % experiment.model.num_classes
    return Subject(experiment, variables, x, jax.random.key(5), fields)


@dataclass(frozen=True)
class Regressions(Ordered):
    """A logistic regression for each element on those before it, sound, and easily broken."""

    shape: tuple[int, ...]
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)

    @property
    def observation(self):
        """The distribution of an element: binary."""
        return Bernoulli()

    def init(self, key):
        """Return fresh variables {'fvbn'}."""
        dim = int(np.prod(self.shape))
        weight = jax.random.normal(key, (dim, dim))
        return {"fvbn": {"params": {"weight": weight, "bias": jnp.zeros(dim)}}}

    def players(self, tx: optax.GradientTransformation):
        """Return the one player."""
        return (Player("fvbn", ("fvbn",), self.likelihood_loss, tx),)

    def weight(self, params):
        """Return the weights [D, D] that the model uses."""
        return jnp.where(self.dependencies(), params["weight"], 0.0)

    def conditionals(self, variables, x):
        """Return the logits, [B, *shape, 1]."""
        params = variables["fvbn"]["params"]
        logits = params["bias"][None] + x.reshape(x.shape[0], -1) @ self.weight(params).T
        return logits.reshape(*x.shape, 1)

    def generate(self, variables, choose, num):
        """Draw element by element, on running sums."""
        params = variables["fvbn"]["params"]
        weight = self.weight(params)

        def draw_element(logits, site):
            value = choose(site, logits[:, site, None])
            return logits + value[:, None] * weight[None, :, site], value

        start = jnp.broadcast_to(params["bias"], (num, params["bias"].size))
        _, drawn = jax.lax.scan(draw_element, start, jnp.asarray(self.order))
        return self.in_raster_order(drawn)


def broken(cls):
    """The subject with a model of that class."""
    whole = subject("fvbn")
    model = cls(whole.model.shape, whole.model.ordering)
    return replace(whole, experiment=replace(whole.experiment, model=model))


def failures(found):
    return [law.law for law in found if not law.passed]


NUM_LAWS = {
    "fvbn random order": 20,
    "rnade": 18,  # real values: no completions at random, no sum over all states
    "gated pixel cnn conditional": 19,
    "multi scale": 20,
}


@pytest.mark.parametrize("name", NUM_LAWS)
def test_a_sound_model_passes(name):
    found = certificate(subject(name))
    assert failures(found) == []
    assert len({law.law for law in found}) == len(found) == NUM_LAWS[name]
    assert all(np.isfinite(law.figure) and law.meaning for law in found)


def test_the_regressions_are_sound_unless_broken():
    found = [law for laws_of in laws.LAWS for law in laws_of(broken(Regressions))]
    assert failures(found) == []


class Copying(Regressions):
    """Reads its own pixel: the diagonal is not masked."""

    def weight(self, params):
        """Return the weights, and the diagonal."""
        return Regressions.weight(self, params) + jnp.diag(jnp.diag(params["weight"]))


def test_a_model_that_reads_its_own_element_fails():
    found = failures(laws.causality(broken(Copying)))
    assert "no conditional reads its own or a later element" in found
    assert "a conditional reads nothing outside its field" in found


class Narrow(Regressions):
    """Says that it reads the two elements before, and reads all of them."""

    def dependencies(self):
        """Return a field that is too small, for the law alone."""
        return np.tril(np.ones((6, 6), bool), -1) & ~np.tril(np.ones((6, 6), bool), -3)

    def weight(self, params):
        """Return the weights of all elements before."""
        return jnp.tril(params["weight"], -1)


def test_a_field_that_is_larger_than_it_says_fails():
    assert failures(laws.causality(broken(Narrow))) == [
        "a conditional reads nothing outside its field"
    ]


class Blind(Regressions):
    """Says that it reads all elements before, and reads the one before."""

    def weight(self, params):
        """Return the weights of the element before alone."""
        one_before = jnp.tril(jnp.ones((6, 6)), -1) - jnp.tril(jnp.ones((6, 6)), -2)
        return one_before * Regressions.weight(self, params)


def test_a_field_that_is_smaller_than_it_says_fails():
    assert failures(laws.causality(broken(Blind))) == ["a conditional reads all of its field"]


@dataclass(frozen=True)
class Loud(Bernoulli):
    """A density that is too high by a tenth."""

    def log_prob(self, params, x):
        """Return a density whose sum is 1.1."""
        return Bernoulli.log_prob(self, params, x) + np.log(1.1)


class Unnormalised(Regressions):
    """Conditionals that do not sum to one."""

    @property
    def observation(self):
        """The distribution that is none."""
        return Loud()


def test_conditionals_that_do_not_sum_to_one_fail():
    assert failures(laws.normalisation(broken(Unnormalised))) == [
        "p(x_i | x_<i) sums to 1",
        "the density sums to 1 over the last elements",
    ]


class Averaged(Regressions):
    """The mean of the log-densities of two orders, as if it were one."""

    def log_prob(self, variables, x):
        """Return a mean of logarithms, the logarithm of no density."""
        forwards = Ordered.log_prob(self, variables, x)
        backwards = Ordered.log_prob(self, variables, x[:, ::-1, ::-1])
        return (forwards + backwards) / 2


def test_a_density_that_is_not_the_chain_rules_fails():
    assert failures(laws.normalisation(broken(Averaged))) == [
        "the density sums to 1 over the last elements"
    ]


class Tempered(Regressions):
    """Draws sharper samples than the density says, by fast and full passes alike."""

    def sample(self, variables, key, num):
        """Return draws at an eighth of the temperature."""
        sharp = jax.tree.map(lambda v: 8 * v, variables)
        return Regressions.sample(self, sharp, key, num)


def test_samples_that_do_not_follow_the_density_fail():
    sharp = subject("fvbn")
    weight = jnp.tril(jnp.ones((6, 6)), -1)  # each element like those before
    params = {"weight": weight, "bias": -weight.sum(axis=1) / 2}
    sharp = replace(sharp, variables={"fvbn": {"params": params}})
    model = Tempered(sharp.model.shape)
    sharp = replace(sharp, experiment=replace(sharp.experiment, model=model))
    assert "draws follow the density" in failures(laws.agreement(sharp))


class Stale(Regressions):
    """A cache that forgets the last element drawn."""

    def generate(self, variables, choose, num):
        """Draw without updating the running sums."""
        params = variables["fvbn"]["params"]
        frozen = {"fvbn": {"params": {**params, "weight": 0 * params["weight"]}}}
        return Regressions.generate(self, frozen, choose, num)


def test_a_cache_that_is_not_updated_fails():
    assert "fast sampling = naive sampling" in failures(laws.sampler(broken(Stale)))


class Overwriting(Regressions):
    """Completions that ignore what is known."""

    def complete(self, variables, key, x, mask):
        """Return plain samples."""
        return self.sample(variables, key, x.shape[0])


def test_completions_that_change_what_is_known_fail():
    assert "a completion keeps what is known" in failures(laws.sampler(broken(Overwriting)))
