"""Certificates of denoisers and diffusion: sound ones pass, each broken one fails its law."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.check import Subject, certificate, chains, diffusion, untested
from jaxgen.check import objectives as claims_of
from jaxgen.diffusion import DDIM, DDPM, GSN, Ancestral, langevin, process
from jaxgen.diffusion.ddpm import decoder

STEPS = "q(x_t | x_0) is its single steps"
BAYES = "q(x_{t-1} | x_t, x_0) is that of Bayes' rule"
POSITIVE = "the divergences of the bound are >= 0"
DRAWN = "drawn steps have the mean of all steps"
NOISE = "the loss is the error of the guessed noise"
MINUS = "the loss is minus the bound"
LAST = "p(x_0 | x_1) sums to 1"
TABLES = "DDIM with all noise and steps is ancestral sampling"
BACK = "a move back draws from p(x_{t-1} | x_t)"
SCORE = "the score is (r(y) - y) / sigma^2"
ERROR = "the loss is the error of the denoiser"
ALONG = "a move goes along the score, with noise"
STILL = "an adjusted move leaves exp(-E) as it is"
SLOPE = "the score is minus the slope of the energy"
WALK = "the loss is -log p of the example after each move"
SALT = "salt and pepper turn half of their share"
EXPECTED = {
    "ddpm": {STEPS, BAYES, POSITIVE, DRAWN, NOISE, TABLES, BACK},
    "ddpm levels": {STEPS, BAYES, POSITIVE, DRAWN, MINUS, LAST, TABLES, BACK},
    "denoising autoencoder": {SCORE, ERROR, ALONG},
    "denoising energy": {SCORE, ERROR, STILL, SLOPE},
    "gsn": {WALK, SALT},
}


@lru_cache
def subject(name):
    """A tiny model away from its initial weights, and 16 examples."""
    experiment = tiny.experiment(name)
    variables = tiny.perturbed(name).variables
    return Subject(experiment, variables, tiny.examples(experiment.model, 16), jax.random.key(5))


def failures(whole, *laws):
    return {law.law for each in laws for law in each(whole) if not law.passed}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sound_model_passes(name):
    laws = certificate(subject(name))
    assert [law.law for law in laws if not law.passed] == []
    names = {law.law for law in laws}
    assert len(names) == len(laws)
    assert names >= EXPECTED[name]
    open_questions = ["a log Z that can be summed"] if name == "denoising energy" else []
    assert [each.wants for each in untested(subject(name))] == open_questions


def test_the_bound_of_levels_is_of_a_probability(monkeypatch):
    whole = subject("ddpm levels")
    assert failures(whole, claims_of.ceiling) == set()
    monkeypatch.setattr(DDPM, "elbo", lambda self, variables, x, key, num=1: jnp.ones(len(x)))
    assert failures(whole, claims_of.ceiling) == {"no probability is above 1"}


def changed(name, factor):
    """The process with one of its coefficients multiplied."""
    real = process.process

    def wrong(schedule, num_steps):
        found = real(schedule, num_steps)
        return found._replace(**{name: factor * getattr(found, name)})

    return wrong


@pytest.mark.parametrize(
    ("name", "expected"),
    [("signal", STEPS), ("noise", STEPS), ("of_clean", BAYES), ("posterior_variance", BAYES)],
)
def test_a_wrong_coefficient_fails(name, expected, monkeypatch):
    from jaxgen.diffusion.ddpm import model

    monkeypatch.setattr(model, "process", changed(name, 1.01))
    assert expected in failures(subject("ddpm"), diffusion.process)


def test_a_wrong_estimate_of_the_bound_fails(monkeypatch):
    elbo = DDPM.elbo

    def halved(self, variables, x, key, num_samples=1):
        return 0.5 * elbo(self, variables, x, key, num_samples)

    monkeypatch.setattr(DDPM, "elbo", halved)
    assert DRAWN in failures(subject("ddpm"), diffusion.bound)


@pytest.mark.parametrize(("name", "expected"), [("ddpm", NOISE), ("ddpm levels", MINUS)])
def test_a_wrong_loss_fails(name, expected, monkeypatch):
    ddpm_loss = DDPM.ddpm_loss

    def wrong(self, variables, batch, key):
        value, rest = ddpm_loss(self, variables, batch, key)
        return -value, rest

    monkeypatch.setattr(DDPM, "ddpm_loss", wrong)
    assert failures(subject(name), diffusion.loss) == {expected}


def test_a_last_step_that_is_no_distribution_fails(monkeypatch):
    real = decoder.decoder_log_prob

    def wrong(y, mean, std, levels):
        return real(y, mean, std, levels) + 0.01

    monkeypatch.setattr(decoder, "decoder_log_prob", wrong)
    assert failures(subject("ddpm levels"), diffusion.last_step) == {LAST}


def test_wrong_tables_of_moves_fail(monkeypatch):
    real = Ancestral.moves

    def wrong(self, found):
        moves = real(self, found)
        return moves._replace(of_clean=1.5 * moves.of_clean)

    monkeypatch.setattr(Ancestral, "moves", wrong)
    assert failures(subject("ddpm"), diffusion.ways_back) == {TABLES, BACK}
    monkeypatch.setattr(Ancestral, "moves", real)
    by_ddim = DDIM.moves

    def quieter(self, found):
        moves = by_ddim(self, found)
        return moves._replace(std=0.9 * moves.std)

    monkeypatch.setattr(DDIM, "moves", quieter)
    assert failures(subject("ddpm"), diffusion.ways_back) == {TABLES}


def test_a_score_of_another_scale_fails(monkeypatch):
    whole = subject("denoising autoencoder")
    cls = type(whole.model)
    score = cls.score
    monkeypatch.setattr(
        cls, "denoise", lambda self, variables, y: y + self.sigma * self.score(variables, y)
    )
    assert failures(whole, chains.denoising) == {SCORE}
    monkeypatch.undo()
    monkeypatch.setattr(
        cls, "move", lambda self, variables, key, y: y + self.step**2 * score(self, variables, y)
    )
    assert failures(whole, chains.unadjusted_move) == {ALONG}


@pytest.mark.parametrize("what", ["backwards", "energy"])
def test_an_adjustment_that_forgets_something_fails(what, monkeypatch):
    real = langevin.log_acceptance

    def wrong(energies, log_proposals):
        if what == "backwards":
            return real(energies, (log_proposals[0], log_proposals[0]))
        return real((energies[0], energies[0]), log_proposals)

    whole = subject("denoising energy")
    steep = tiny.scaled(whole.variables, 3.0)
    sharp = Subject(whole.experiment, steep, whole.x, whole.key)
    assert failures(sharp, chains.adjusted_move) == set()
    monkeypatch.setattr(langevin, "log_acceptance", wrong)
    assert STILL in failures(sharp, chains.adjusted_move)


def test_a_score_that_is_not_the_energys_fails(monkeypatch):
    whole = subject("denoising energy")
    cls = type(whole.model)
    real = cls.energy_and_score

    def wrong(self, variables, y):
        energy, score = real(self, variables, y)
        return energy, 1.2 * score

    monkeypatch.setattr(cls, "energy_and_score", wrong)
    assert failures(whole, chains.adjusted_move) == {SLOPE}  # any drift is adjusted for


def test_a_walk_with_a_wrong_loss_or_corruption_fails(monkeypatch):
    whole = subject("gsn")
    gsn_loss = GSN.gsn_loss

    def mean(self, variables, batch, key):
        value, rest = gsn_loss(self, variables, batch, key)
        return value / self.walkbacks, rest

    monkeypatch.setattr(GSN, "gsn_loss", mean)
    assert failures(whole, chains.walkback) == {WALK}
    monkeypatch.undo()
    started = GSN.started

    def clean(self, key, x):
        return (x, *started(self, key, x)[1:])

    monkeypatch.setattr(GSN, "started", clean)
    assert SALT in failures(whole, chains.walkback)


def test_laws_are_finite():
    for name in ("denoising autoencoder", "gsn"):
        for law in (chains.denoising, chains.walkback)[name == "gsn"](subject(name)):
            assert np.isfinite(law.figure)
