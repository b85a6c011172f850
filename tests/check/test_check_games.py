"""What a game says of itself: sound games pass, and each law has a fault that it sees."""

import jax
import jax.numpy as jnp
import pytest
import tiny

from jaxgen.check import Subject, games, moves
from jaxgen.gan import GAN, CatGAN
from jaxgen.gan import advantage as units
from jaxgen.gan.base import RealOrFake
from jaxgen.losses import COSTS

LAWS = (games.prior, games.advantage, games.costs, moves.advantages)
NUM_LAWS = {  # no bound of a Wasserstein advantage, no costs under batch statistics or labels
    "wgan gp": 5,
    "pac gan": 6,
    "cat gan": 6,
    "dcgan": 4,
    "conditional gan": 4,
    "semi-supervised gan": 4,
    "unrolled gan": 5,
}


def subject(name):
    fields = tiny.batch(name, 16)
    x = fields.pop("image")
    variables = tiny.scaled(tiny.fresh(name).variables, 2.0)
    return Subject(tiny.experiment(name), variables, x, jax.random.key(5), fields)


def failures(name, *laws):
    found = [law for test in laws for law in test(subject(name))]
    assert found
    return {law.law for law in found if not law.passed}


@pytest.mark.parametrize("name", NUM_LAWS)
def test_a_sound_game_passes(name):
    found = [law for test in LAWS for law in test(subject(name))]
    assert [law for law in found if not law.passed] == []
    assert len(found) == NUM_LAWS[name]


def test_a_prior_of_another_width_is_seen(monkeypatch):
    draw = GAN.latents
    monkeypatch.setattr(GAN, "latents", lambda self, key, num: 1.1 * draw(self, key, num))
    law = "draws from the prior have its mean and variance"
    assert failures("gan", games.prior) == {law}
    assert failures("dcgan", games.prior) == {law}


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ({"undecided": 1.5}, "outputs that are all the same have no advantage"),
        ({"largest": 2.0}, "the largest advantage is reached"),
        ({"largest": 1.0}, "no advantage is above the largest"),
    ],
)
def test_a_wrong_unit_is_seen(wrong, law, monkeypatch):
    cost = COSTS["non_saturating"].discriminator
    table = {**units._UNITS, cost: units._UNITS[cost]._replace(**wrong)}
    monkeypatch.setattr(units, "_UNITS", table)
    assert law in failures("spectral gan", games.advantage)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_the_cost_is_seen(player, monkeypatch):
    method = f"{player}_loss"
    loss = getattr(RealOrFake, method)

    def wrong(self, variables, batch, key, **settings):
        value, aux = loss(self, variables, batch, key, **settings)
        return 1.5 * value, aux

    monkeypatch.setattr(RealOrFake, method, wrong)
    assert failures("wgan gp", games.costs) == {f"the {player}'s loss is its cost of logits"}


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_player_without_logits_that_moves_the_wrong_way_is_seen(player, monkeypatch):
    method = f"{player}_loss"
    loss = getattr(CatGAN, method)

    def turned(self, variables, batch, key):
        value, aux = loss(self, variables, batch, key)
        return -value, aux

    monkeypatch.setattr(CatGAN, method, turned)
    law = f"small steps of the {player} move the advantage its way"
    assert failures("cat gan", moves.advantages) == {law}


def test_a_game_that_knows_no_advantage_has_no_law_of_it(monkeypatch):
    monkeypatch.setattr(CatGAN, "verdicts", lambda self, real, fake: {"real": jnp.ones(())})
    assert games.advantage(subject("cat gan")) == []
    assert moves.advantages(subject("cat gan")) == []
