"""The collapse monitor sees samples that are alike, and a discriminator that is sure."""

import math
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.evaluation.collapse import alarms, judges_alone, spread, vital_signs, watches
from jaxgen.gan import (
    FGAN,
    GAN,
    WGANGP,
    CatGAN,
    ConditionalGAN,
    PacGAN,
    SemiSupervisedGAN,
    UnrolledGAN,
)


def signs(variables=None):
    model = tiny.experiment("gan").model
    variables = variables or tiny.fresh("gan").variables
    batch = {"image": tiny.examples(model, 64)}
    return vital_signs(model, variables, batch, jax.random.key(0))


def test_games_are_watched_and_others_are_not():
    assert watches(tiny.experiment("gan").model)
    assert not watches(tiny.experiment("vae").model)


@dataclass(frozen=True)
class Judging:
    """Judges examples beside whatever it is given."""

    given: tuple[str, ...] = ()

    def sample(self, variables, key, num, **conditions):
        """[num, 2]."""
        return jnp.zeros((num, 2))

    def logits(self, variables, x, **conditions):
        """[B]."""
        return x.sum(axis=-1)


def test_a_discriminator_judges_alone_without_a_pack_and_a_label():
    for name in ("gan", "wgan gp", "semi-supervised gan"):
        assert judges_alone(tiny.experiment(name).model)
    for name in ("pac gan", "conditional gan", "ac gan", "cat gan", "vae"):
        assert not judges_alone(tiny.experiment(name).model)
    assert judges_alone(Judging(("low",)))
    assert not judges_alone(Judging(("low", "label")))


def test_spread_is_the_mean_distance_of_independent_pairs():
    x = np.random.default_rng(0).normal(size=(200_000, 1))
    assert spread(x) == pytest.approx(2 / np.sqrt(np.pi), rel=0.01)
    assert spread(np.ones((10, 2, 2))) == 0.0


def test_a_generator_of_one_sample_has_no_diversity():
    variables = tiny.fresh("gan").variables
    params = variables["generator"]["params"]
    blank = {**params, "Dense_1": jax.tree.map(jnp.zeros_like, params["Dense_1"])}
    collapsed = {**variables, "generator": {**variables["generator"], "params": blank}}
    assert signs(collapsed)["diversity"] == 0.0
    assert "samples are alike" in alarms(signs(collapsed))[0]
    assert signs()["diversity"] > 0.0


def test_a_sure_discriminator_is_named_and_a_right_one_is_not():
    assert alarms({"diversity": 1.0, "real": 0.9, "fake": 0.1}) == []
    (line,) = alarms({"diversity": 1.0, "real": 0.9999, "fake": 0.0001})
    assert line.startswith("warning: the discriminator is sure (data 0.9999, samples 0.0001)")
    assert alarms({"elbo": -3.0}) == []


class Minus(nn.Module):
    """A generator whose samples are all about -1."""

    range: tuple[float, float] = (-math.inf, math.inf)

    @nn.compact
    def __call__(self, z, *label, train):
        """[B, 1]."""
        return 0.1 * z[:, :1] - 1


class Sum(nn.Module):
    """A discriminator whose outputs are a line of x: [B], or [B, K] with the line in the first."""

    slope: float = 1.0
    constant: float = 0.0
    classes: int = 0

    @nn.compact
    def __call__(self, x, *label, train):
        """Outputs, and x as features."""
        line = self.slope * jnp.sign(x.mean(axis=-1)) + self.constant
        if self.classes:
            line = jnp.stack([line, *[jnp.zeros_like(line)] * (self.classes - 1)], axis=-1)
        return line, x


def game(kind: type, line: Sum, **settings: Any):
    """A game between data about 1 and samples about -1."""
    return kind((1,), 1, generator=Minus(), discriminator=line, **settings)


def judged(model, num=65):
    """Vital signs of such a game."""
    noise = 0.1 * jax.random.normal(jax.random.key(1), (num, 1))
    batch = {"image": 1 + noise, "label": jnp.arange(num) % 2}
    return vital_signs(model, {"generator": {}, "discriminator": {}}, batch, jax.random.key(0))


# Of each game: a line that is sure, and one that is right and not sure.
SURE = {
    "non-saturating": (GAN, {}, Sum(30.0), Sum(1.0)),
    "minimax": (GAN, {"cost": "minimax"}, Sum(30.0), Sum(1.0)),
    "least squares": (GAN, {"cost": "least_squares"}, Sum(0.5, 0.5), Sum(0.2, 0.5)),
    "hinge": (GAN, {"cost": "hinge"}, Sum(3.0), Sum(0.5)),
    "f-GAN of Hellinger": (FGAN, {"divergence": "squared_hellinger"}, Sum(12.0), Sum(0.5)),
    "f-GAN of JSD": (GAN, {"cost": "f_jensen_shannon"}, Sum(30.0), Sum(0.5)),
    "f-GAN of the GAN": (FGAN, {"divergence": "gan"}, Sum(30.0), Sum(0.5)),
    "unrolled": (UnrolledGAN, {"unrolled": 1}, Sum(30.0), Sum(1.0)),
    "packed least squares": (
        PacGAN,
        {"pack": 2, "cost": "least_squares"},
        Sum(0.5, 0.5),
        Sum(0.2, 0.5),
    ),
    "packed": (PacGAN, {"pack": 3}, Sum(30.0), Sum(1.0)),
    "conditional": (ConditionalGAN, {"num_classes": 2}, Sum(30.0), Sum(1.0)),
    "conditional hinge": (
        ConditionalGAN,
        {"num_classes": 2, "cost": "hinge"},
        Sum(3.0),
        Sum(0.5),
    ),
    "semi-supervised": (
        SemiSupervisedGAN,
        {"num_labels": 1},
        Sum(30.0, classes=1),
        Sum(1.0, classes=1),
    ),
    "CatGAN": (CatGAN, {"num_clusters": 2}, Sum(15.0, 15.0, classes=2), Sum(1.0, 1.0, classes=2)),
}


@pytest.mark.parametrize("name", SURE)
def test_every_game_tells_when_its_discriminator_has_won(name):
    kind, settings, sure, unsure = SURE[name]
    signs = {**judged(game(kind, sure, **settings)), "diversity": 1.0}
    assert signs["won"] == pytest.approx(1.0, abs=2e-3)
    assert len(alarms(signs)) == 1, signs
    assert alarms(signs)[0].startswith("warning: the discriminator is sure (")
    signs = {**judged(game(kind, unsure, **settings)), "diversity": 1.0}
    assert 0.05 < signs["won"] < 0.9
    assert alarms(signs) == []


@pytest.mark.parametrize("constant", [-50.0, 0.0, 50.0])
@pytest.mark.parametrize("slope", [0.5, 100.0])
def test_a_constant_changes_nothing_of_a_wasserstein_critic(slope, constant):
    signs = judged(game(WGANGP, Sum(slope, constant)))
    assert set(signs) == {"diversity", "advantage"}
    assert signs["advantage"] == pytest.approx(2 * slope, rel=0.1)
    assert alarms({**signs, "diversity": 1.0}) == []
    same = judged(game(GAN, Sum(slope, constant), cost="wasserstein"))
    assert same == signs


def test_a_game_whose_advantage_has_no_bound_is_never_won():
    for divergence in ("kl", "reverse_kl", "pearson"):
        signs = judged(game(FGAN, Sum(4.0), divergence=divergence))
        assert signs["advantage"] > 1.0
        assert "won" not in signs
        assert alarms({**signs, "diversity": 1.0}) == []


def test_smoothed_targets_are_no_alarm_at_their_own_optimum():
    """The best D says 0.9 of data: what the smoothing is for."""
    optimum = Sum((math.log(9) + 30) / 2, (math.log(9) - 30) / 2)
    signs = judged(game(GAN, optimum, smoothing=0.1))
    assert signs["real"] == pytest.approx(0.9, abs=0.05)
    assert alarms({**signs, "diversity": 1.0}) == []


def test_a_game_without_the_game_has_no_advantage():
    model = game(SemiSupervisedGAN, Sum(30.0, classes=1), num_labels=1, adversarial=False)
    assert set(judged(model)) == {"diversity"}


def test_fewer_examples_than_a_pack_are_not_judged():
    assert set(judged(game(PacGAN, Sum(), pack=8), num=6)) == {"diversity"}


def test_a_game_of_ones_own_without_a_unit_has_no_verdict():
    found = vital_signs(Judging(), {}, {"image": jnp.ones((8, 2))}, jax.random.key(0))
    assert set(found) == {"diversity"}


def test_verdicts_are_those_of_the_discriminator():
    found = signs()
    model, variables = tiny.experiment("gan").model, tiny.fresh("gan").variables
    x = tiny.examples(model, 64)
    expected = jax.nn.sigmoid(model.logits(variables, x)).mean()
    assert found["real"] == pytest.approx(float(expected), rel=1e-6)


@dataclass(frozen=True)
class Alternating:
    """Samples of two halves that are as far apart as two classes; each half is one point."""

    given: tuple[str, ...] = ("label",)

    def sample(self, variables, key, num, *, label):
        """[num, 2], the label twice."""
        return jnp.stack([label, label], axis=1).astype(jnp.float32)

    def discriminator_loss(self, variables, batch, key):
        """Makes it a game."""


def test_diversity_compares_one_half_of_the_samples_with_the_other():
    """Each half is one point: within it there is no distance, between the halves there is."""
    label = jnp.asarray([0.0] * 32 + [1.0] * 32)
    x = jnp.stack([2 * label, 2 * label], axis=1)
    found = vital_signs(Alternating(), {}, {"image": x, "label": label}, jax.random.key(0))
    assert found["diversity"] == pytest.approx(0.5)
    assert spread(np.asarray(x)) == pytest.approx(2 * np.sqrt(2))


def test_samples_are_drawn_under_the_conditions_of_the_real_examples():
    label = jnp.asarray([3.0] * 32 + [5.0] * 32)
    x = jnp.stack([label, label], axis=1)
    found = vital_signs(Alternating(), {}, {"image": x, "label": label}, jax.random.key(0))
    assert found == {"diversity": pytest.approx(1.0)}
