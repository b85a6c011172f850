"""The certificate: a sound model passes, and each broken one fails the law it breaks."""

from dataclasses import dataclass, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.check import Subject, at_least, at_most, bounds, certificate, training
from jaxgen.check.law import largest_difference
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.vae import VAE, Bernoulli, LinearGaussianVAE
from jaxgen.vae.base import Terms


@lru_cache
def subject(name):
    """A tiny model, an encoder not at the prior, and 16 examples."""
    experiment = tiny.experiment(name)
    state, x = tiny.fresh(name), tiny.examples(experiment.model, 16)
    return Subject(experiment, state.variables, x, jax.random.key(5))


def broken(name, cls, **changes):
    """The subject with its model rebuilt as `cls`."""
    whole = subject(name)
    fields = {f: getattr(whole.model, f) for f in whole.model.__dataclass_fields__}
    model = cls(**{**fields, **changes})
    return replace(whole, experiment=replace(whole.experiment, model=model))


def failures(laws):
    return [law.law for law in laws if not law.passed]


DISCRETE = ("vae", "vae levels", "iwae")
KINDS = ("vae", "vae levels", "vae learned std", "iwae", "linear gaussian", "autoencoder", "game")


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_model_passes(name):
    laws = certificate(subject(name))
    assert failures(laws) == []
    likelihood = {"autoencoder": 3, "game": 0, "linear gaussian": 14}.get(name, 12)
    likelihood += name in DISCRETE
    assert len(laws) == 8 + likelihood
    assert len({law.law for law in laws}) == len(laws)
    assert all(np.isfinite(law.figure) and law.meaning for law in laws)


class HalfKL(VAE):
    """A KL with a wrong factor."""

    def terms(self, variables, x, key, num_samples=1):
        """Half the KL."""
        terms = VAE.terms(self, variables, x, key, num_samples)
        return Terms(terms.log_likelihood, 0.5 * terms.kl)


def test_a_wrong_factor_of_the_kl_fails():
    assert "closed-form KL = Monte Carlo KL" in failures(bounds.divergence(broken("vae", HalfKL)))


class NegativeKL(VAE):
    """A KL of the wrong sign."""

    def terms(self, variables, x, key, num_samples=1):
        """Minus the KL."""
        terms = VAE.terms(self, variables, x, key, num_samples)
        return Terms(terms.log_likelihood, -terms.kl)


def test_a_negative_kl_fails():
    assert "KL >= 0" in failures(bounds.divergence(broken("vae", NegativeKL)))


@dataclass(frozen=True)
class Squared(Bernoulli):
    """A squared error that pretends to be a density of binary values."""

    def log_prob(self, params, x):
        """Not normalised."""
        return -((x - self.mean(params)) ** 2)


@dataclass(frozen=True)
class Doubled(Bernoulli):
    """Draws outside the data's range."""

    def sample(self, params, key):
        """Draws in {0, 2}."""
        return 2 * Bernoulli.sample(self, params, key)


def test_an_observation_that_is_no_distribution_fails():
    found = bounds.observation(broken("vae", VAE, observation=Squared()))
    assert failures(found) == ["p(x | z) sums to 1"]


@dataclass(frozen=True)
class Coins(Bernoulli):
    """Draws that do not follow the density."""

    def sample(self, params, key):
        """Ignores the logits."""
        return jax.random.bernoulli(key, 0.5, params.shape[:-1]).astype(jnp.float32)


def test_draws_that_do_not_follow_the_density_fail():
    whole = subject("vae")
    far = jax.tree.map(lambda x: 3 * x + 0.5, whole.variables)  # logits away from 0
    sound = replace(whole, variables=far)
    assert failures(bounds.agreement(sound)) == []
    coins = replace(broken("vae", VAE, observation=Coins()), variables=far)
    assert failures(bounds.agreement(coins)) == ["draws from p(x | z) follow its density"]


def test_samples_outside_the_range_fail():
    found = bounds.sampling(broken("vae", VAE, observation=Doubled()))
    assert failures(found) == ["samples lie where data lie"]


class Flat(VAE):
    """Samples without the shape of the data."""

    def sample(self, variables, key, num):
        """[num, D] rather than [num, *shape]."""
        return VAE.sample(self, variables, key, num).reshape(num, -1)


def test_samples_of_another_shape_fail():
    assert failures(bounds.sampling(broken("vae", Flat))) == ["samples lie where data lie"]


class NoPrior(VAE):
    """Importance weights without the prior."""

    def log_weight(self, variables, x, z, mean, log_std):
        """log p(x | z) - log q(z | x)."""
        weight = VAE.log_weight(self, variables, x, z, mean, log_std)
        return weight + 0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=-1)


def test_weights_without_the_prior_fail():
    assert failures(bounds.estimators(broken("vae", NoPrior))) == ["ELBO = E log w"]


class LinearNoPrior(LinearGaussianVAE):
    """The same, where the truth is known."""

    log_weight = NoPrior.log_weight


def test_weights_without_the_prior_leave_the_bracket_of_a_known_truth():
    found = failures(bounds.bracket(broken("linear gaussian", LinearNoPrior)))
    assert "IWAE-500 <= log p(x)" in found


class Overstated(LinearGaussianVAE):
    """A density that is too high."""

    def log_prob(self, variables, x):
        """Three nats too many."""
        return LinearGaussianVAE.log_prob(self, variables, x) + 3


class Understated(LinearGaussianVAE):
    """A density that is too low."""

    def log_prob(self, variables, x):
        """Three nats too few."""
        return LinearGaussianVAE.log_prob(self, variables, x) - 3


@pytest.mark.parametrize(
    ("cls", "law"), [(Overstated, "log p(x) <= upper"), (Understated, "IWAE-500 <= log p(x)")]
)
def test_a_density_outside_the_bracket_fails(cls, law):
    whole = broken("linear gaussian", cls)
    encoder = tiny.scaled(whole.variables["encoder"], 0.0)  # q is the prior: a narrow bracket
    whole = replace(whole, variables={**whole.variables, "encoder": encoder})
    assert failures(bounds.bracket(whole)) == [law]


class NotFinite(VAE):
    """Importance weights that overflow now and then."""

    def log_weights(self, variables, x, key, num_samples):
        """One of them is not a number."""
        weights = VAE.log_weights(self, variables, x, key, num_samples)
        return jnp.where(jnp.arange(num_samples)[:, None] == 0, jnp.nan, weights)


def test_weights_that_are_not_finite_fail():
    assert failures(bounds.monotonicity(broken("vae", NotFinite))) == [
        "ELBO <= IWAE-5 <= IWAE-50 <= IWAE-500"
    ]


class Still(VAE):
    """A loss that gives the encoder no gradient."""

    def vae_loss(self, variables, batch, key):
        """Stops at the encoder."""
        encoder = jax.lax.stop_gradient(variables["encoder"])
        return VAE.vae_loss(self, {**variables, "encoder": encoder}, batch, key)


def test_a_network_without_a_gradient_fails():
    assert failures(training.ownership(broken("vae", Still))) == ["a player moves what it owns"]


def test_an_optimiser_that_starts_from_zero_passes():
    for optimizer in (Optimizer(warmup_steps=10), Optimizer(accumulate=4)):
        experiment = replace(subject("vae").experiment, optimizers=(optimizer,))
        assert failures(training.ownership(replace(subject("vae"), experiment=experiment))) == []


@dataclass(frozen=True)
class Meddling(tiny.ToyGame):
    """A critic that writes into the generator."""

    def critic_loss(self, variables, batch, key):
        """Returns the generator's parameters as its own collection."""
        loss, (metrics, mutated) = tiny.ToyGame.critic_loss(self, variables, batch, key)
        params = jax.tree.map(lambda p: p + 1, variables["generator"]["params"])
        return loss, (metrics, {**mutated, "generator": {"params": params}})


def test_a_player_that_writes_into_anothers_network_fails():
    found = failures(training.ownership(broken("game", Meddling)))
    assert found == ["a player leaves what it does not own"]


class Constant(VAE):
    """An initialisation that ignores its key."""

    def init(self, key):
        """Always the same."""
        return VAE.init(self, jax.random.key(0))


def test_an_initialisation_without_its_key_fails():
    found = failures(training.initialisation(broken("vae", Constant)))
    assert found == ["init(key) differs from init(another key)"]


class Widening(VAE):
    """A statistic that changes its shape, so that every step compiles anew."""

    def vae_loss(self, variables, batch, key):
        """Appends to a collection."""
        loss, (metrics, _) = VAE.vae_loss(self, variables, batch, key)
        log = jnp.append(variables["encoder"]["log"]["losses"], loss)
        return loss, (metrics, {"encoder": {"log": {"losses": log}}})


def test_a_step_that_recompiles_fails():
    whole = broken("vae", Widening)
    encoder = {**whole.variables["encoder"], "log": {"losses": jnp.zeros(1)}}
    found = training.purity(replace(whole, variables={**whole.variables, "encoder": encoder}))
    assert failures(found) == ["a step compiles once"]


class Growing(VAE):
    """A constructor that changes what it is given, so that a copy is another model."""

    def __post_init__(self):
        object.__setattr__(self, "beta", self.beta + 1)


def test_a_spec_that_does_not_come_back_equal_fails():
    found = failures(training.specification(broken("vae", Growing)))
    assert found == ["from_json(to_json(experiment)) = experiment"]


def test_a_figure_that_is_not_finite_never_holds():
    for figure in (float("nan"), float("inf"), -float("inf")):
        assert not at_most("", figure, 1, "", "").passed
        assert not at_least("", figure, -1, "", "").passed
    assert at_most("", 1, 1, "", "").passed
    assert not at_most("", 1.1, 1, "", "").passed
    assert at_least("", 1, 1, "", "").passed
    assert not at_least("", 0.9, 1, "", "").passed


def test_the_largest_difference_sees_every_leaf_and_keys_by_their_data():
    tree = {"a": jnp.zeros(3), "b": jax.random.key(1), "c": jnp.zeros((0,))}
    assert largest_difference(tree, tree) == 0
    assert largest_difference(tree, {**tree, "a": jnp.array([0.0, -2.0, 0.0])}) == 2
    assert largest_difference(tree, {**tree, "b": jax.random.key(2)}) > 0
