"""The certificate of codes against a prior: each broken game fails the law it breaks."""

import jax
import pytest
import tiny

from jaxgen import losses
from jaxgen.check import Subject, certificate, codes, untested
from jaxgen.vae import AdversarialAutoencoder, NormalPrior, RingPrior, SemiSupervisedAAE
from jaxgen.vae.adversarial_autoencoder import CodeAutoencoder

NAMES = (
    "adversarial autoencoder",
    "adversarial autoencoder universal",
    "adversarial autoencoder gaussian",
    "adversarial autoencoder informed",
    "semi-supervised aae",
)
CRITIC = "the critic's loss is its cost"
ENCODER = "the encoder's loss is its cost"
AUTOENCODER = "the autoencoder's loss is its cost"
FOOLS = "small steps down its loss: the encoder has its codes taken for draws"
TELLS = "small steps down its loss: the critic tells draws from codes better"
REBUILDS = "small steps down its loss: the autoencoder makes examples likelier"
MODES = "draws are in every mode of the prior"
DENSITY = "draws of the prior are those of its density"


def subject(name):
    """A tiny model and 16 examples."""
    experiment = tiny.experiment(name)
    fields = tiny.batch(name, 16)
    x = fields.pop("image")
    variables = tiny.perturbed(name).variables
    return Subject(experiment, variables, x, jax.random.key(5), fields)


def failures(laws):
    return {law.law for law in laws if not law.passed}


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_model_passes(name):
    laws = certificate(subject(name))
    assert failures(laws) == set()
    found = {law.law for law in laws}
    assert found >= {FOOLS, TELLS, REBUILDS, MODES, AUTOENCODER}
    noisy = name in (NAMES[1], NAMES[4])  # critics that see through noise
    assert ({CRITIC, ENCODER} <= found) == (not noisy)
    assert (DENSITY in found) == (name not in (NAMES[1], NAMES[4]))
    assert not any("favour" in open_.question for open_ in untested(subject(name)))


def changed(monkeypatch, name, loss):
    monkeypatch.setattr(CodeAutoencoder, name, loss)


def test_a_minimax_encoder_fails(monkeypatch):
    """The right direction, and another cost."""

    def encoder_loss(self, variables, batch, key):
        codes_of = self.draw(variables, batch["image"], key)
        (logits,) = self.code_logits(variables, codes_of, batch).values()
        return losses.minimax_cost(logits), ({}, {})

    changed(monkeypatch, "encoder_loss", encoder_loss)
    assert failures(codes.losses_of_logits(subject(NAMES[0]))) == {ENCODER}
    assert failures(codes.moves(subject(NAMES[0]))) == set()


def test_an_encoder_that_flees_the_prior_fails(monkeypatch):
    def encoder_loss(self, variables, batch, key):
        codes_of = self.draw(variables, batch["image"], key)
        (logits,) = self.code_logits(variables, codes_of, batch).values()
        return losses.non_saturating_cost(-logits), ({}, {})

    changed(monkeypatch, "encoder_loss", encoder_loss)
    assert failures(codes.moves(subject(NAMES[0]))) == {FOOLS}


@pytest.mark.parametrize("name", [NAMES[0], NAMES[3], NAMES[4]])
def test_a_critic_whose_labels_are_exchanged_fails(name, monkeypatch):
    critic_loss = CodeAutoencoder.critic_loss

    def exchanged(self, variables, batch, key):
        value, rest = critic_loss(self, variables, batch, key)
        return -value, rest

    changed(monkeypatch, "critic_loss", exchanged)
    whole = subject(name)
    assert failures(codes.moves(whole)) == {TELLS}
    assert failures(codes.losses_of_logits(whole)) == (set() if name == NAMES[4] else {CRITIC})


@pytest.mark.parametrize("factor", [-1.0, 0.5])
def test_a_reconstruction_of_another_sign_or_size_fails(factor, monkeypatch):
    autoencoder_loss = CodeAutoencoder.autoencoder_loss

    def wrong(self, variables, batch, key):
        value, rest = autoencoder_loss(self, variables, batch, key)
        return factor * value, rest

    changed(monkeypatch, "autoencoder_loss", wrong)
    whole = subject(NAMES[0])
    assert failures(codes.losses_of_logits(whole)) == {AUTOENCODER}
    assert failures(codes.moves(whole)) == ({REBUILDS} if factor < 0 else set())


def test_a_prior_without_one_of_its_modes_fails(monkeypatch):
    def sample(self, key, num):
        return self.draw(key, jax.random.randint(key, (num,), 0, self.num_modes - 1))

    monkeypatch.setattr(RingPrior, "sample", sample)
    assert failures(codes.prior(subject(NAMES[0]))) >= {MODES}


@pytest.mark.parametrize(("cls", "name"), [(NormalPrior, NAMES[2]), (RingPrior, NAMES[0])])
def test_a_prior_of_another_density_fails(cls, name, monkeypatch):
    log_prob = cls.log_prob
    monkeypatch.setattr(cls, "log_prob", lambda self, z: log_prob(self, 1.2 * z))
    assert failures(codes.prior(subject(name))) == {DENSITY}


def test_models_are_final():
    for cls in (AdversarialAutoencoder, SemiSupervisedAAE, NormalPrior, RingPrior):
        assert cls.__final__
