"""The adversarial autoencoder: its priors, its critic's optimum, who moves what, what it fits."""

from functools import lru_cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen.distributions import Bernoulli, Gaussian
from jaxgen.errors import ConfigError
from jaxgen.evaluation.codes import kolmogorov_smirnov
from jaxgen.nn import Discriminator, MLPTrunk
from jaxgen.step import init_state, train_step, update
from jaxgen.vae import (
    AdversarialAutoencoder,
    Autoencoder,
    DeterministicEncoder,
    GaussianEncoder,
    NormalPrior,
    RingPrior,
    SwissRollPrior,
    UniversalEncoder,
)
from jaxgen.vae.adversarial_autoencoder import model as aae
from jaxgen.vae.adversarial_autoencoder import semi_supervised
from jaxgen.vae.adversarial_autoencoder.priors import spiral
from jaxgen.vae.adversarial_autoencoder.semi_supervised import known_cross_entropy
from jaxgen.vae.networks import MLPDecoder

KEY = jax.random.key(0)
PRIORS = (NormalPrior(3, 5.0), RingPrior(), RingPrior(4, 0.5, 1.0, 0.2), SwissRollPrior(7))


@pytest.mark.parametrize("mode", range(10))
def test_a_petal_of_the_ring_has_its_mean_and_covariance(mode):
    prior = RingPrior()
    z = np.asarray(prior.draw(KEY, jnp.full(40_000, mode)), np.float64)
    angle = 2 * np.pi * mode / 10
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ np.diag([0.25, 0.01]) @ turn.T
    assert z.mean(axis=0) == pytest.approx(1.4 * turn[:, 0], abs=0.01)
    assert np.cov(z.T) == pytest.approx(expected, abs=0.01)
    own = np.asarray(prior.log_modes(jnp.asarray(z, jnp.float32))).argmax(axis=1) == mode
    assert own.mean() > 0.9


def test_the_swiss_roll_is_where_it_is_said_to_be():
    prior = SwissRollPrior(10)
    assert np.asarray(spiral(jnp.array([0.0, 1.0]))) == pytest.approx(
        np.array([[0.0, 0.0], [3.0, 0.0]]), abs=1e-5
    )
    z = np.asarray(prior.draw(KEY, jnp.repeat(jnp.arange(10), 500)), np.float64)
    u = np.square(np.linalg.norm(z, axis=1) / 3)
    assert np.asarray(spiral(jnp.asarray(u, jnp.float32))) == pytest.approx(z, abs=1e-3)
    assert (np.floor(10 * u) == np.repeat(np.arange(10), 500)).mean() > 0.999
    told = np.asarray(prior.log_modes(jnp.asarray(z, jnp.float32))).argmax(axis=1)
    assert (told == np.repeat(np.arange(10), 500)).mean() > 0.95
    assert not hasattr(prior, "log_prob")


@pytest.mark.parametrize("prior", PRIORS)
def test_modes_have_probabilities(prior):
    z = prior.sample(KEY, 50)
    assert z.shape == (50, prior.dim)
    log_modes = prior.log_modes(z)
    assert log_modes.shape == (50, prior.num_modes)
    assert np.exp(log_modes).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_densities_of_priors_integrate_to_one():
    line = np.linspace(-4, 4, 801)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2).astype(np.float32)
    for prior in (RingPrior(), RingPrior(3, 1.0, 0.3, 0.2), NormalPrior(2, 0.7)):
        density = np.exp(np.asarray(prior.log_prob(jnp.asarray(grid)), np.float64))
        assert density.sum() * 0.01**2 == pytest.approx(1, abs=1e-3)


def on_a_line(mean=1.5):
    """Codes N(mean, 1) of data that are their own codes, and a linear critic."""
    encoder = DeterministicEncoder(MLPTrunk(()), 1)
    critic = Discriminator(MLPTrunk(()))
    decoder = MLPDecoder((), (1,), 1)
    model = AdversarialAutoencoder((1,), NormalPrior(1), encoder, decoder, critic)
    variables = model.init(KEY)
    variables["encoder"]["params"] = {"Dense_0": {"kernel": jnp.eye(1), "bias": jnp.zeros(1)}}
    x = mean + jax.random.normal(jax.random.key(9), (200_000, 1))
    return model, variables, x


def test_the_critics_optimum_is_the_log_ratio_of_the_densities():
    """Of p = N(0, 1) and q = N(m, 1) it is the line m^2 / 2 - m z."""
    model, variables, x = on_a_line()
    player = model.players(optax.sgd(1), optax.adam(0.02), optax.sgd(1))[1]
    state = init_state(KEY, variables, (player,), frozen=("encoder", "decoder"))

    def step(state, key):
        rows = jax.random.randint(key, (2000,), 0, len(x))
        return update(player, state, {"image": x[rows]}, key)

    keys = jax.random.split(KEY, 1500)
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))(state)
    (dense,) = state.variables["critic"]["params"].values()
    assert float(dense["kernel"][0, 0]) == pytest.approx(-1.5, abs=0.1)
    assert float(dense["bias"][0]) == pytest.approx(1.5**2 / 2, abs=0.1)


def test_the_value_at_the_optimum_is_a_jensen_shannon_divergence():
    model, variables, x = on_a_line()
    dense = {"kernel": jnp.array([[-1.5]]), "bias": jnp.array([1.5**2 / 2])}
    (name,) = variables["critic"]["params"]
    variables["critic"] = {"params": {name: dense}}
    loss, _ = model.critic_loss(variables, {"image": x}, KEY)
    z = np.linspace(-10, 12, 20_001)
    p = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    q = np.exp(-0.5 * (z - 1.5) ** 2) / np.sqrt(2 * np.pi)
    middle = (p + q) / 2
    divergence = 0.5 * (p * np.log(p / middle) + q * np.log(q / middle)).sum() * (z[1] - z[0])
    assert -float(loss) == pytest.approx(2 * divergence - np.log(4), abs=0.01)


def small(**changes):
    fields = {"hidden": (4,), "critic": (4,)} | changes
    return aae.mlp((3,), fields.pop("prior", RingPrior(3)), **fields)


def labelled_batch(num=12):
    x = jax.random.normal(jax.random.key(3), (num, 3))
    return {"image": x, "label": jnp.arange(num) % 4 - 1}


@pytest.mark.parametrize("kind", ["deterministic", "gaussian", "universal"])
@pytest.mark.parametrize("informed", [False, True])
def test_regularisation_leaves_the_decoder_as_it_is(kind, informed):
    """Bit for bit: the critic moves itself alone, and the encoder's adversary the encoder."""
    model = small(kind=kind, informed=informed)
    players = model.players(*[optax.adam(1e-2)] * 3)
    state = init_state(KEY, model.init(KEY), players)
    for player in players[1:]:
        after, _ = update(player, state, labelled_batch(), KEY)
        for name, value in after.variables.items():
            same = jax.tree.map(lambda a, b: bool((a == b).all()), value, state.variables[name])
            assert all(jax.tree.leaves(same)) == (name not in player.owns)


class Evaluated(nn.Module):
    """An encoder as a plain autoencoder calls it."""

    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        """Without noise."""
        return self.inner(x, train=False)


def test_without_its_adversary_it_is_a_plain_autoencoder():
    """Of a Gaussian of variance 1/2, whose -log p is the squared error and a constant."""
    model = small(observation=Gaussian(0.5**0.5))
    plain = Autoencoder((3,), 2, Evaluated(model.encoder), model.decoder)
    variables = model.init(KEY)
    batch = labelled_batch()

    def of_plain(params):
        encoder = {"params": {"inner": params["encoder"]["params"]}}
        return plain.autoencoder_loss({**params, "encoder": encoder}, batch, KEY)[0]

    def of_model(params):
        return model.autoencoder_loss({**variables, **params}, batch, KEY)[0]

    params = {name: variables[name] for name in ("encoder", "decoder")}
    expected, slopes = jax.value_and_grad(of_plain)(params)
    found, own = jax.value_and_grad(of_model)(params)
    assert float(found) == pytest.approx(float(expected) + 1.5 * np.log(np.pi), abs=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), slopes, own)


def test_encoders_draw_in_training_alone():
    x = jax.random.normal(KEY, (6, 3))
    for cls, draws in ((DeterministicEncoder, 0), (GaussianEncoder, 1), (UniversalEncoder, 1)):
        network = cls(MLPTrunk((5,)), 2)
        variables = network.init({"params": KEY, "noise": KEY}, x, train=True)
        apply = partial(network.apply, variables, x)
        first, second = (apply(train=True, rngs={"noise": jax.random.key(seed)}) for seed in (1, 2))
        assert bool((first != second).any()) == bool(draws)
        assert first.shape == (6, 2)
        code = apply(train=False)
        assert bool((code != first).any()) == bool(draws)
    network = GaussianEncoder(MLPTrunk(()), 2)
    many = jnp.tile(x[:1], (20_000, 1))
    variables = network.init({"params": KEY, "noise": KEY}, x, train=True)
    drawn = network.apply(variables, many, train=True, rngs={"noise": KEY})
    assert drawn.std(axis=0) == pytest.approx(1, abs=0.03)  # a fresh scale
    assert drawn.mean(axis=0) == pytest.approx(
        network.apply(variables, many[:1], train=False)[0], abs=0.03
    )


def test_an_informed_critic_is_shown_the_mode_of_each_class():
    model = small(informed=True)
    batch = labelled_batch(4000)
    drawn = model.beside(KEY, batch)
    mode = np.asarray(model.log_modes(drawn).argmax(axis=1))
    label = np.asarray(batch["label"])
    for known in range(3):
        assert (mode[label == known] == known).mean() > 0.95
    shares = np.bincount(mode[label < 0], minlength=3) / (label < 0).sum()
    assert shares == pytest.approx(1 / 3, abs=0.06)
    variables = model.init(KEY)
    assert model.num_labels == 3
    seen = [
        model.code_logits(variables, drawn, {**batch, "label": jnp.full(4000, label)})["critic"]
        for label in (-1, 0, 1, 2)
    ]
    assert len({float(logits[0]) for logits in seen}) == 4
    assert small().num_labels == 0
    with pytest.raises(ConfigError, match="NormalPrior has one mode"):
        small(prior=NormalPrior(2), informed=True)
    with pytest.raises(ConfigError, match="kind: got 'delta'"):
        small(kind="delta")


@lru_cache
def matched(num_steps=5000):
    """Codes of a correlated Gaussian after a linear autoencoder's game against N(0, I)."""
    encoder = DeterministicEncoder(MLPTrunk(()), 2)
    critic = Discriminator(MLPTrunk((64, 64), "relu"))
    decoder = MLPDecoder((), (2,), 1)
    model = AdversarialAutoencoder((2,), NormalPrior(2), encoder, decoder, critic)
    adversary = optax.adam(2e-3, b1=0.5)
    players = model.players(optax.adam(1e-3), adversary, adversary)
    state = init_state(KEY, model.init(jax.random.key(1)), players)
    root = jnp.array([[1.0, 0.0], [0.6, 0.5]])

    def draw(key, num):
        return jnp.array([[2.0, -1.0]]) + jax.random.normal(key, (num, 2)) @ root.T

    def step(state, key):
        return train_step(players, state, {"image": draw(key, 256)})[0], None

    run = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys)[0])
    state = run(state, jax.random.split(jax.random.key(2), num_steps))
    codes = model.encode(state.variables, draw(jax.random.key(3), 20_000))
    return np.asarray(codes, np.float64)


def test_codes_of_a_gaussian_come_to_have_the_priors_mean_and_covariance():
    codes = matched()
    assert np.abs(codes.mean(axis=0)).max() <= 0.1
    assert np.abs(np.cov(codes.T) - np.eye(2)).max() <= 0.1
    drawn = np.random.default_rng(0).normal(size=codes.shape)
    assert max(kolmogorov_smirnov(codes[:, i], drawn[:, i]) for i in range(2)) < 0.1


def test_a_prior_without_a_density_serves():
    model = small(prior=SwissRollPrior(5), observation=Bernoulli())
    players = model.players(*[optax.adam(1e-2)] * 3)
    state = init_state(KEY, model.init(KEY), players)
    batch = {"image": jnp.asarray(np.random.default_rng(0).integers(0, 2, (8, 3)), jnp.float32)}
    state, metrics = jax.jit(lambda s: train_step(players, s, batch))(state)
    assert all(np.isfinite(value) for value in metrics.values())
    assert ((model.sample(state.variables, KEY, 5) - 0.5) ** 2 < 0.25).all()


def semi():
    return semi_supervised.mlp((3,), 3, style_dim=2, hidden=(4,), critic=(4,))


def test_a_code_is_a_class_and_a_style():
    model = semi()
    variables = model.init(KEY)
    x = labelled_batch()["image"]
    y, _ = model.parts(model.encode(variables, x))
    assert np.asarray(y.sum(axis=1)) == pytest.approx(1, abs=1e-6)
    assert np.log(y) == pytest.approx(np.asarray(model.classify(variables, x)), abs=1e-5)
    drawn = np.asarray(model.latents(KEY, 6000))
    assert set(np.unique(drawn[:, :3])) == {0.0, 1.0}
    assert drawn[:, :3].mean(axis=0) == pytest.approx(1 / 3, abs=0.03)
    assert (model.continuous(drawn) == drawn[:, 3:]).all()
    assert drawn[:, 3:].std(axis=0) == pytest.approx(1, abs=0.04)
    assert (model.log_modes(drawn).argmax(axis=1) == drawn[:, :3].argmax(axis=1)).all()


def test_the_classifier_learns_from_labelled_examples_alone():
    logits = jnp.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
    found = known_cross_entropy(logits, jnp.array([0, 2, -1]))
    expected = [np.log(np.exp(2) + 2) - 2, np.log(np.e + 2)]
    assert float(found) == pytest.approx(np.mean(expected), abs=1e-6)
    assert float(known_cross_entropy(logits, jnp.full(3, -1))) == 0
    model = semi()
    variables = model.init(KEY)
    batch = labelled_batch()
    slopes = jax.grad(lambda x: model.classifier_loss(variables, {**batch, "image": x}, KEY)[0])(
        batch["image"]
    )
    assert ((slopes != 0).any(axis=1) == (batch["label"] >= 0)).all()


def test_each_critic_of_the_semi_supervised_form_judges_its_part():
    model = semi()
    variables = model.init(KEY)
    z = model.latents(KEY, 5)
    before = model.code_logits(variables, z, {})
    other_style = model.code_logits(variables, z.at[:, 3:].add(1.0), {})
    other_class = model.code_logits(variables, z.at[:, :3].set(z[:, (1, 2, 0)]), {})
    assert (before["class_critic"] == other_style["class_critic"]).all()
    assert (before["style_critic"] == other_class["style_critic"]).all()
    assert (before["style_critic"] != other_style["style_critic"]).all()
    assert (before["class_critic"] != other_class["class_critic"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_every_mode_of_the_ring_has_codes_of_the_digits(seed, tmp_path):
    """The recipe itself: each of the ten modes over 2 % of the codes of the training examples."""
    from experiments.vae.adversarial_autoencoder import aae_digits
    from jaxgen import load
    from jaxgen.cli.main import launch

    run = tmp_path / "run"
    assert launch(aae_digits, ["--seed", str(seed), "--workdir", str(run)]) == 0
    trained = load(run)
    codes = trained.encode(trained.dataset().examples("train"))
    mode = np.asarray(trained.model.log_modes(codes)).argmax(axis=1)
    assert np.bincount(mode, minlength=10).min() / len(mode) > 0.02
