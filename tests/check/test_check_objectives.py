"""A model that is consistent and wrong fails a law, whoever wrote it; a sound one passes all."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen import gan, losses
from jaxgen.check import Subject, moves, objectives, parts, untested
from jaxgen.check.decoded import likelihood
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.nn import MLP
from jaxgen.step import Player, init_state, update
from jaxgen.vae import VAE, autoencoder

LOSS = "the loss is minus the claim"
STEPS = "small steps along the gradients improve the claim"
PARTS = "the bound is what its parts make"
ABOVE = "no probability is above 1"
ELBO = "elbo <= log p(x), by its parts"
IWAE = "IWAE <= log p(x), by its parts"
CODES = "elbo <= log p(x) of the data, by its parts"


def subject(model, *, scale=1.0, num=32, players=1, variables=None):
    """Return a model with fresh variables, scaled, and examples."""
    optimizers = (Optimizer(),) * players
    experiment = Experiment(model, Settings(steps=10, batch_size=8), optimizers=optimizers)
    fresh = variables or jax.jit(model.init)(jax.random.key(0))
    random = np.random.default_rng(0)
    # Examples of two kinds, so that a code is worth something.
    p = np.where(np.arange(num)[:, None] % 2, 0.9, 0.1)
    x = jnp.asarray(random.random((num, math.prod(model.shape))) < p, jnp.float32)
    x = x.reshape(num, *model.shape)
    return Subject(experiment, tiny.scaled(fresh, scale), x, jax.random.key(5))


def failures(whole, *laws):
    found = [law for test in laws for law in test(whole)]
    assert found
    assert all(math.isfinite(law.figure) and law.meaning for law in found)
    return {law.law for law in found if not law.passed}


@dataclass(frozen=True)
class Own:
    """A VAE of a user's own, with no class of jaxgen above it; `wrong` says how, and where."""

    shape: tuple[int, ...] = (4, 4)
    latent_dim: int = 2
    wrong: str = ""
    everywhere: bool = True  # or in the loss alone
    encoder: MLP = MLP((6,), 4)  # noqa: RUF009 (frozen)
    decoder: MLP = MLP((6,), 16)  # noqa: RUF009 (frozen)

    def init(self, key):
        """Fresh variables {'decoder', 'encoder'}."""
        return {
            "encoder": self.encoder.init(key, jnp.zeros((1, 16))),
            "decoder": self.decoder.init(key, jnp.zeros((1, 2))),
        }

    def players(self, tx):
        """One player."""
        return (Player("own", ("encoder", "decoder"), self.own_loss, tx),)

    def own_loss(self, variables, batch, key):
        """Minus the bound, as wrong as it shall be."""
        bound = self._terms(variables, batch["image"], key, 1, self.wrong)
        return -self._bound(bound, self.wrong).mean(), ({}, {})

    def elbo(self, variables, x, key, num_samples=1):
        """The bound, [B]."""
        wrong = self.wrong if self.everywhere else ""
        return self._bound(self._terms(variables, x, key, num_samples, wrong), wrong)

    def log_weights(self, variables, x, key, num_samples):
        """log p(x, z) - log q(z | x), [S, B]."""
        wrong = self.wrong if self.everywhere else ""
        likelihood, ratio, _ = self._terms(variables, x, key, num_samples, wrong)
        return likelihood + {"no kl": 0, "two kl": 2}.get(wrong, 1) * ratio

    def _terms(self, variables, x, key, num, wrong):
        outputs = self.encoder.apply(variables["encoder"], x.reshape(len(x), -1))
        mean, log_std = outputs[:, :2], outputs[:, 2:]
        noise = jax.random.normal(key, (num, *mean.shape))
        z = mean[None] + jnp.exp(log_std)[None] * noise
        logits = self.decoder.apply(variables["decoder"], z)  # [S, B, 16]
        flat = x.reshape(1, len(x), -1)
        of_elements = flat * jax.nn.log_sigmoid(logits) + (1 - flat) * jax.nn.log_sigmoid(-logits)
        likelihood = of_elements.mean(-1) if wrong == "mean" else of_elements.sum(-1)
        likelihood = -likelihood if wrong == "sign" else likelihood
        ratio = ((noise**2 - z**2) / 2 + log_std[None]).sum(axis=-1)
        kl = (jnp.exp(2 * log_std) + mean**2 - 1 - 2 * log_std).sum(axis=-1) / 2
        return likelihood, ratio, kl

    def _bound(self, terms, wrong):
        likelihood, _, kl = terms
        return likelihood.mean(axis=0) - {"no kl": 0, "two kl": 2}.get(wrong, 1) * kl

    def encode(self, variables, x):
        """The mean of q(z | x)."""
        return self.encoder.apply(variables["encoder"], x.reshape(len(x), -1))[:, :2]

    def decode(self, variables, z):
        """The mean of p(x | z)."""
        return jax.nn.sigmoid(self.decoder.apply(variables["decoder"], z)).reshape(-1, 4, 4)

    def latents(self, key, num):
        """Draws of the prior."""
        return jax.random.normal(key, (num, 2))

    def sample(self, variables, key, num):
        """Draws of p(x)."""
        mean = self.decode(variables, self.latents(key, num))
        return jax.random.bernoulli(key, mean).astype(jnp.float32)


OWN = (objectives.improvement, objectives.objective, parts.overstated)


def trained(model, steps=400):
    """Return the model after steps of its own loss: what is wrong with it is then at its worst."""
    whole = subject(model)
    (player,) = model.players(optax.adam(0.02))
    state = init_state(jax.random.key(0), whole.variables, (player,))

    def move(state, key):
        return update(player, state, whole.batch, key)[0], None

    keys = jax.random.split(jax.random.key(1), steps)
    state, _ = jax.jit(lambda state: jax.lax.scan(move, state, keys))(state)
    return replace(whole, variables=state.variables)


def test_a_sound_model_of_ones_own_passes():
    assert failures(subject(Own(), scale=2.0), *OWN) == set()
    assert failures(trained(Own()), parts.overstated) == set()
    open_ = [left.question for left in untested(subject(Own()))]
    assert open_ == ["whether its bound is as high as its parts make it"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [("sign", {ELBO, IWAE, CODES}), ("mean", {ELBO, IWAE, CODES}), ("no kl", {CODES})],
)
def test_a_model_of_ones_own_that_is_wrong_all_over_fails(wrong, expected):
    assert failures(trained(Own(wrong=wrong)), parts.overstated) == expected


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [("sign", {LOSS, STEPS}), ("mean", {LOSS}), ("no kl", {LOSS}), ("two kl", {LOSS})],
)
def test_a_loss_of_ones_own_that_is_wrong_fails(wrong, expected):
    whole = subject(Own(wrong=wrong, everywhere=False), scale=2.0)
    assert expected <= failures(whole, *OWN[:2])


def test_a_bound_that_is_too_low_needs_the_posterior_to_be_found():
    """Twice the KL in loss, bound and weights is a bound all the same, and is listed as open."""
    whole = subject(Own(wrong="two kl"), scale=2.0)
    assert failures(whole, *OWN) == set()
    assert untested(whole)[0].wants.startswith("`posterior`")


@lru_cache
def fresh_vae():
    return jax.jit(tiny.experiment("vae").model.init)(jax.random.key(0))


def vae(cls, **changes):
    """Return the tiny VAE rebuilt as `cls`, with an encoder away from the prior."""
    model = tiny.experiment("vae").model
    fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
    return subject(cls(**{**fields, **changes}), scale=3.0, variables=fresh_vae())


class Turned(VAE):
    """The sign of the reconstruction, turned in the one place that all terms share."""

    def log_likelihood(self, variables, x, z):
        """Minus log p(x | z)."""
        return -VAE.log_likelihood(self, variables, x, z)


class Averaged(VAE):
    """A mean over elements in the place of a sum, everywhere."""

    def log_likelihood(self, variables, x, z):
        """A quarter of it."""
        return VAE.log_likelihood(self, variables, x, z) / 4


class Without(VAE):
    """A bound without its KL."""

    def elbo(self, variables, x, key, num_samples=1):
        """The reconstruction alone."""
        return self.terms(variables, x, key, num_samples).log_likelihood


class Narrow(VAE):
    """Weights and bound of a prior of half the width."""

    def latents(self, key, num):
        """Draws of N(0, 1/4)."""
        return 0.5 * VAE.latents(self, key, num)


def turned_loss(self, variables, batch, key):
    terms = self.terms(variables, batch["image"], key)
    return (terms.log_likelihood + terms.kl.sum(axis=-1)).mean(), ({}, {})


def twice_the_kl(self, variables, batch, key):
    terms = self.terms(variables, batch["image"], key)
    return (2 * terms.kl.sum(axis=-1) - terms.log_likelihood).mean(), ({}, {})


def summed_over_the_batch(self, variables, batch, key):
    return -self.elbo(variables, batch["image"], key).sum(), ({}, {})


def of_another_network(self, variables, batch, key):
    """Train the decoder on codes of nothing: as if another encoder had made them."""
    blind = jax.tree.map(jnp.zeros_like, variables["encoder"])
    return -self.elbo({**variables, "encoder": blind}, batch["image"], key).mean(), ({}, {})


def test_a_sound_vae_passes():
    laws = (*OWN[:2], objectives.ceiling, parts.prior, parts.rebuilt)
    assert failures(vae(VAE), *laws) == set()
    assert failures(vae(VAE, beta=0.5, warmup_steps=9, free_bits=0.1), *laws) == set()
    assert parts.overstated(vae(VAE)) == []  # the parts say all of it
    assert untested(vae(VAE)) == []


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Turned, {PARTS, ABOVE}),
        (Averaged, {PARTS}),
        (Without, {PARTS, LOSS}),
        (Narrow, {"draws from the prior are those of N(0, I)"}),
    ],
)
def test_a_vae_that_agrees_with_itself_alone_fails(cls, expected):
    laws = (objectives.objective, objectives.ceiling, parts.prior, parts.rebuilt)
    assert failures(vae(cls), *laws) == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (turned_loss, {LOSS}),
        (twice_the_kl, {LOSS}),
        (summed_over_the_batch, {LOSS}),
        (of_another_network, {LOSS}),
    ],
)
def test_a_loss_that_is_not_the_bound_fails(loss, expected, monkeypatch):
    monkeypatch.setattr(VAE, "vae_loss", loss)
    assert expected <= failures(vae(VAE), objectives.improvement, objectives.objective)


def test_the_weights_that_a_model_states_are_those_of_its_loss():
    whole = vae(VAE, beta=2.0)
    stated = replace(whole.experiment.model, beta=1.0)
    assert failures(whole, objectives.objective) == set()

    @dataclass(frozen=True)
    class Unstated(VAE):
        def vae_loss(self, variables, batch, key):
            """Weigh the KL twice, whatever `beta` says."""
            return twice_the_kl(self, variables, batch, key)

    fields = {name: getattr(stated, name) for name in stated.__dataclass_fields__}
    wrong = replace(whole, experiment=replace(whole.experiment, model=Unstated(**fields)))
    assert failures(wrong, objectives.objective) == {LOSS}


@pytest.mark.parametrize("name", ["iwae", "nade", "orderless nade", "rbm", "autoencoder"])
def test_objectives_of_other_kinds_pass(name):
    experiment = tiny.experiment(name)
    x = tiny.examples(experiment.model, 32)
    whole = Subject(experiment, tiny.fresh(name).variables, x, jax.random.key(5))
    assert (
        failures(whole, objectives.improvement, objectives.objective, objectives.ceiling) == set()
    )


def by_elements(self, variables, batch, key):
    del key
    return -self.log_prob(variables, batch["image"]).mean() / math.prod(self.shape), ({}, {})


def against(self, variables, batch, key):
    del key
    return self.log_prob(variables, batch["image"]).mean(), ({}, {})


@pytest.mark.parametrize(
    ("loss", "expected"), [(by_elements, {LOSS}), (against, {LOSS, STEPS})], ids=["mean", "sign"]
)
def test_a_wrong_loss_of_a_density_fails(loss, expected, monkeypatch):
    experiment = tiny.experiment("nade")
    monkeypatch.setattr(type(experiment.model), "likelihood_loss", loss)
    x = tiny.examples(experiment.model, 32)
    whole = Subject(experiment, tiny.fresh("nade").variables, x, jax.random.key(5))
    assert failures(whole, objectives.improvement, objectives.objective) == expected


RANKS = "a discriminator learns to rank data above samples"
BELIEVED = "a generator's gradients raise the logits of its samples"


def game(cost):
    """Return a GAN whose costs are those of a pair."""
    model = gan.GAN((3,), 2, tiny._generator, tiny._judge, cost)
    x = tiny.examples(model, 32)
    optimizers = (Optimizer(),) * 2
    experiment = Experiment(model, Settings(steps=10, batch_size=8), optimizers=optimizers)
    return Subject(experiment, {}, x, jax.random.key(0))


@pytest.mark.parametrize("cost", ["minimax", "least_squares", "wasserstein", "f_kl"])
def test_a_sound_game_moves_where_it_should(cost):
    assert failures(game(cost), moves.directions) == set()


def exchanged(real, fake):
    """Call data samples, and samples data."""
    return losses.discriminator_cost(fake, real)


def believed_less(fake):
    """Rise where D believes the samples: the sign is wrong."""
    return -losses.non_saturating_cost(fake)


def idle(fake):
    """Depend on nothing."""
    return 0.0 * fake.mean()


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (losses.Cost(exchanged, losses.non_saturating_cost), {RANKS}),
        (losses.Cost(losses.discriminator_cost, believed_less), {BELIEVED}),
        (losses.Cost(losses.discriminator_cost, idle), {BELIEVED}),
    ],
    ids=["labels", "sign", "idle"],
)
def test_a_game_that_moves_elsewhere_fails(costs, expected, monkeypatch):
    monkeypatch.setattr(gan.GAN, "game", costs)
    assert expected <= failures(game("non_saturating"), moves.directions)


@dataclass(frozen=True)
class Bare:
    """A model with the least that there is."""

    shape: tuple[int, ...] = (2,)

    def init(self, key):
        """Fresh variables."""
        return {"only": {"params": {"w": jax.random.normal(key, (2,))}}}

    def players(self, tx):
        """One player."""
        return (Player("only", ("only",), self.only_loss, tx),)

    def only_loss(self, variables, batch, key):
        """The distance to the mean."""
        del key
        difference = batch["image"] - variables["only"]["params"]["w"][None]
        return jnp.square(difference).mean(), ({}, {})


def test_what_is_not_tested_is_named_with_what_it_would_take():
    found = {left.question: left.wants for left in untested(subject(Bare()))}
    assert set(found) == {
        "whether its losses improve anything that it claims",
        "whether samples lie where data lie",
    }
    assert "`log_prob`" in found["whether its losses improve anything that it claims"]

    packed = tiny.experiment("pac gan")
    whole = Subject(packed, {}, tiny.examples(packed.model), jax.random.key(0))
    assert "whether each player moves in its own favour" in {x.question for x in untested(whole)}

    real = subject(Own())
    real = replace(real, x=real.x + 0.5)  # no longer binary
    assert "whether its bound is below log p(x)" in {left.question for left in untested(real)}
    assert parts.overstated(real) == []


def test_an_upper_bound_of_the_parts_is_just_above_a_known_truth():
    """Of two dimensions the truth is a sum over a fine grid."""
    whole = subject(Own(), scale=2.0)
    decoded = likelihood(whole)
    z = whole.model.latents(jax.random.key(1), 32)
    x = decoded.draw(whole.variables, z, jax.random.key(2), {})
    upper = parts._upper_bound(whole, decoded, z, x, jax.random.key(3)).mean()
    axis = np.linspace(-5, 5, 61)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), jnp.float32)
    density = -jnp.square(grid).sum(axis=-1) / 2 - math.log(2 * math.pi)
    cell = (axis[1] - axis[0]) ** 2

    @jax.jit
    def log_prob(x):
        repeated = jnp.broadcast_to(x, (len(grid), *x.shape))
        joint = decoded.log_prob(whole.variables, grid, repeated, {}) + density
        return jax.nn.logsumexp(joint) + math.log(cell)

    truth = np.mean([log_prob(one) for one in x])
    assert truth - 0.05 <= upper <= truth + 0.2


def test_the_error_of_a_reconstruction_is_seen(monkeypatch):
    model = autoencoder.mlp((4, 4), latent_dim=1, hidden=(3,))
    kept = subject(model)
    assert failures(kept, objectives.closeness) == set()
    error = autoencoder.Autoencoder.squared_error
    loss = autoencoder.Autoencoder.autoencoder_loss

    def halved(self, variables, x):
        return error(self, variables, x) / 2

    def summed(self, variables, batch, key):
        value, aux = loss(self, variables, batch, key)
        return value * len(batch["image"]), aux

    monkeypatch.setattr(autoencoder.Autoencoder, "squared_error", halved)
    law = "the squared error is that of the reconstruction"
    assert failures(kept, objectives.closeness) == {law}
    monkeypatch.setattr(autoencoder.Autoencoder, "squared_error", error)
    monkeypatch.setattr(autoencoder.Autoencoder, "autoencoder_loss", summed)
    assert failures(kept, objectives.closeness) == {"a loss is a mean over examples"}
