"""Losses and layers of games against numbers computed by hand, at outputs that are known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.gan import FGAN, GAN, WGANGP, CatGAN, PacGAN, SemiSupervisedGAN, UnrolledGAN, dcgan
from jaxgen.gan.conditional_gan import labelled
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk

KEY = jax.random.key(4)
GENERATOR = MLPGenerator((4,), (3,))
DISCRIMINATOR = Discriminator(MLPTrunk((4,)))
X = jnp.zeros((4, 3))
REAL = np.array([2.0, 0.5, -1.0, 3.0])
FAKE = np.array([-1.5, 0.25, 1.0, -2.0])
LABEL = jnp.asarray([1, 0, 1, 1])
CLASSES_OF_REAL = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5], [1.0, 3.0]])
CLASSES_OF_FAKE = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, 0.0], [2.0, 1.0]])


@pytest.fixture
def judged(monkeypatch):
    """Let a model's D give these outputs for data and for samples, whatever they are."""

    def make(model, real, fake):
        fakes = jnp.ones((4, *model.shape))
        outputs = {0.0: real, 1.0: fake}  # data are 0, samples 1

        def judge(self, variables, x, key, *given):
            return outputs[float(x.mean())], {}

        monkeypatch.setattr(type(model), "judge", judge)
        monkeypatch.setattr(type(model), "generate", lambda *arguments: (fakes, {}))
        return model

    return make


def losses_of(model, **fields):
    """Return the loss of D, that of G and the metrics of D."""
    batch = {"image": X, **fields}
    of_discriminator, (metrics, _) = model.discriminator_loss({}, batch, KEY)
    of_generator, _ = model.generator_loss({}, batch, KEY)
    return float(of_discriminator), float(of_generator), metrics


def softplus(x):
    return np.log1p(np.exp(x))


def cross_entropy(logits):
    """Return -log p(LABEL) of each row."""
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(logits)), np.asarray(LABEL)]


def features(outputs):
    return jnp.asarray(outputs), None


def test_the_game(judged):
    model = judged(GAN((3,), 2, GENERATOR, DISCRIMINATOR), features(REAL), features(FAKE))
    value = softplus(-REAL).mean() + softplus(FAKE).mean()
    of_discriminator, of_generator, metrics = losses_of(model)
    assert of_discriminator == pytest.approx(value, rel=1e-6)
    assert of_generator == pytest.approx(softplus(-FAKE).mean(), rel=1e-6)
    assert metrics["advantage"] == pytest.approx(2 * np.log(2) - value, rel=1e-5)


def test_a_game_without_a_penalty_has_none(judged):
    model = judged(FGAN((3,), 2, GENERATOR, DISCRIMINATOR), features(REAL), features(FAKE))
    of_discriminator, of_generator, _ = losses_of(model)
    assert of_discriminator == pytest.approx(np.exp(FAKE - 1).mean() - REAL.mean(), rel=1e-6)
    assert of_generator == pytest.approx(-FAKE.mean(), rel=1e-6)


def test_naming_the_class_is_a_term_of_both_costs(judged):
    model = labelled((3,), 2, 2, GENERATOR, MLPTrunk((4,)), how="auxiliary", class_weight=3.0)
    real = (jnp.asarray(REAL), jnp.asarray(CLASSES_OF_REAL))
    fake = (jnp.asarray(FAKE), jnp.asarray(CLASSES_OF_FAKE))
    of_discriminator, of_generator, _ = losses_of(judged(model, real, fake), label=LABEL)
    of_real = cross_entropy(CLASSES_OF_REAL).mean()
    of_fake = cross_entropy(CLASSES_OF_FAKE).mean()
    value = softplus(-REAL).mean() + softplus(FAKE).mean()
    assert of_discriminator == pytest.approx(value + 3 * (of_real + of_fake), rel=1e-6)
    assert of_generator == pytest.approx(softplus(-FAKE).mean() + 3 * of_fake, rel=1e-6)


@pytest.mark.parametrize("objective", ["feature_matching", "non_saturating"])
def test_a_classifier_that_tells_samples_from_data(judged, objective):
    model = SemiSupervisedGAN((3,), 2, 2, GENERATOR, DISCRIMINATOR, objective)
    real = (jnp.asarray(CLASSES_OF_REAL), jnp.asarray([[1.0], [2.0], [3.0], [6.0]]))
    fake = (jnp.asarray(CLASSES_OF_FAKE), jnp.asarray([[0.0], [1.0], [0.0], [1.0]]))
    found = losses_of(judged(model, real, fake), label=LABEL)
    source_of_real = np.log(np.exp(CLASSES_OF_REAL).sum(axis=1))
    source_of_fake = np.log(np.exp(CLASSES_OF_FAKE).sum(axis=1))
    value = softplus(-source_of_real).mean() + softplus(source_of_fake).mean()
    of_discriminator = cross_entropy(CLASSES_OF_REAL).mean() + value / 2
    matched = (3.0 - 0.5) ** 2
    saturating = softplus(-source_of_fake).mean()
    of_generator = matched if objective == "feature_matching" else saturating
    assert found[:2] == pytest.approx((of_discriminator, of_generator), rel=1e-6)
    assert found[2]["advantage"] == pytest.approx(2 * np.log(2) - value, rel=1e-5)
    assert found[2]["labelled_accuracy"] == 0.75  # of equal logits the first class is taken
    alone = losses_of(replace(model, adversarial=False), label=LABEL)
    assert alone[0] == pytest.approx(cross_entropy(CLASSES_OF_REAL).mean(), rel=1e-6)
    assert "advantage" not in alone[2]


def test_entropies_of_a_clustering(judged):
    model = CatGAN((3,), 2, 3, GENERATOR, DISCRIMINATOR)
    sure = 50.0 * jnp.eye(3)
    of_all = sure[jnp.asarray([0, 1, 2, 0])]  # half, a quarter, a quarter
    marginal = 1.5 * np.log(2)
    of_one = sure[jnp.zeros(4, jnp.int32)]
    unsure = jnp.zeros((4, 3))
    log_3 = np.log(3)
    for real, fake, of_discriminator, of_generator, advantage in (
        (of_all, unsure, -marginal - log_3, 0, log_3),
        (of_all, of_one, -marginal, 0, 0),
        (of_one, of_all, 0, -marginal, 0),
        (unsure, of_all, 0, -marginal, -log_3),
        (unsure, of_one, 0, 0, -log_3),
    ):
        found = losses_of(judged(model, (real, None), (fake, None)))
        assert found[:2] == pytest.approx((of_discriminator, of_generator), abs=1e-5)
        assert found[2]["advantage"] == pytest.approx(advantage, abs=1e-5)
    assert model.largest_advantage == pytest.approx(log_3)
    taught = replace(model, label_weight=2.0)
    real = jnp.pad(jnp.asarray(CLASSES_OF_REAL), ((0, 0), (0, 1)), constant_values=-50.0)
    with_labels, _, metrics = losses_of(judged(taught, (real, None), (unsure, None)), label=LABEL)
    entropies = metrics["real_entropy"] - metrics["marginal_entropy"] - log_3
    expected = float(entropies) + 2 * cross_entropy(CLASSES_OF_REAL).mean()
    assert with_labels == pytest.approx(expected, rel=1e-5)


def test_the_penalty_of_a_linear_critic():
    critic = Discriminator(MLPTrunk(()))
    model = WGANGP((3,), 2, GENERATOR, critic, weight=5.0)
    variables = model.init(KEY)
    slope = jnp.asarray([[2.0], [-3.0], [6.0]])  # of length 7
    (name,) = variables["discriminator"]["params"]
    head = {"kernel": slope, "bias": jnp.ones(1)}
    variables = {**variables, "discriminator": {"params": {name: head}}}
    fake = model.decode(variables, model.latents(KEY, 4))

    def value(points):
        return model.logits(variables, points)

    assert model.penalty(value, X, fake, KEY) == pytest.approx(5 * 36, rel=1e-5)


def test_the_papers_settings_are_the_defaults():
    assert (WGANGP((3,), 2, GENERATOR, DISCRIMINATOR).weight, WGANGP.discriminator_moves) == (10, 5)
    assert UnrolledGAN.unrolled == 5
    for cls in (GAN, FGAN, PacGAN, CatGAN, SemiSupervisedGAN, UnrolledGAN):
        assert cls.discriminator_moves == 1


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_the_prior_is_what_it_says(prior):
    z = np.asarray(GAN((3,), 2, GENERATOR, DISCRIMINATOR, prior=prior).latents(KEY, 20_000))
    assert z.shape == (20_000, 2)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.04)
    expected = {"normal": 1, "uniform": 1 / 3}[prior]
    np.testing.assert_allclose(z.var(axis=0), expected, rtol=0.05)
    if prior == "uniform":
        assert -1 <= z.min() < -0.99
        assert 0.99 < z.max() <= 1


def test_a_projection_is_the_product_of_features_and_the_classs_vector():
    model = labelled((3,), 2, 2, GENERATOR, MLPTrunk(()), how="projection")
    variables = model.init(KEY)
    params = variables["discriminator"]["params"]
    x = jax.random.normal(KEY, (4, 3))
    vectors = np.asarray(params["V"]["kernel"])[np.asarray(LABEL)]  # [B, F]
    source = np.asarray(x @ params["source"]["kernel"])[:, 0]
    expected = source + (vectors * np.asarray(x)).sum(axis=1)
    np.testing.assert_allclose(model.logits(variables, x, LABEL), expected, rtol=1e-5)


def test_the_label_stands_beside_what_a_network_is_given():
    model = labelled((3,), 2, 2, MLPGenerator((), (3,)), MLPTrunk(()), how="concatenate")
    variables = model.init(KEY)
    x = jax.random.normal(KEY, (4, 3))
    one_hot = np.eye(2)[np.asarray(LABEL)]
    head = variables["discriminator"]["params"]["source"]
    expected = np.concatenate([x, one_hot], axis=1) @ np.asarray(head["kernel"])
    np.testing.assert_allclose(model.logits(variables, x, LABEL), expected[:, 0], rtol=1e-5)
    assert "label" not in variables["discriminator"]["params"]
    z = model.latents(KEY, 4)
    (layer,) = jax.tree.leaves(variables["generator"], is_leaf=lambda node: "kernel" in node)
    expected = np.concatenate([z, one_hot], axis=1) @ np.asarray(layer["kernel"])
    np.testing.assert_allclose(model.decode(variables, z, LABEL), expected, rtol=1e-4, atol=1e-6)
    turns = model.decode(variables, z, jnp.asarray([0, 1, 0, 1]))
    np.testing.assert_array_equal(model.decode(variables, z), turns)


def test_classes_are_log_probabilities():
    head = replace(DISCRIMINATOR, outputs=3)
    for model in (
        CatGAN((3,), 2, 3, GENERATOR, head),
        SemiSupervisedGAN((3,), 2, 3, GENERATOR, head),
    ):
        variables = model.init(KEY)
        x = jax.random.normal(KEY, (4, 3))
        logits, _ = model.discriminate(variables, x)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.exp(model.classify(variables, x)), p, rtol=1e-5)


def test_packs_of_three():
    model = PacGAN((3,), 2, GENERATOR, DISCRIMINATOR, pack=3)
    variables = jax.jit(model.init)(KEY)
    assert variables["discriminator"]["params"]["trunk"]["Dense_0"]["kernel"].shape == (9, 4)
    six = jax.random.normal(KEY, (6, 3))
    rows = model.logits(variables, six)
    assert rows.shape == (2,)
    np.testing.assert_allclose(model.logits(variables, six[3:]), rows[1:], rtol=1e-5)


def test_layers_of_a_dcgan():
    model = dcgan.build((32, 16, 1), latent_dim=3, features=8, smallest=2)
    assert model.range == (-1, 1)
    variables = jax.jit(model.init)(KEY)
    trunk = variables["discriminator"]["params"]["trunk"]
    kernels = [trunk[f"Down_{i}"]["kernel"].shape for i in range(3)]
    assert kernels == [(5, 5, 1, 8), (5, 5, 8, 16), (5, 5, 16, 32)]
    generator = variables["generator"]["params"]
    assert generator["Dense_0"]["kernel"].shape == (3, 4 * 2 * 32)
    gains = np.concatenate([generator[f"BatchNorm_{i}"]["scale"] for i in range(3)])
    assert gains.mean() == pytest.approx(1, abs=0.01)
    assert gains.std() == pytest.approx(0.02, rel=0.4)
    assert dcgan.halvings((32, 8, 1), 4) == 1
    assert dcgan.halvings((8, 32, 1), 4) == 1
    assert dcgan.halvings((8, 10, 1), 1) == 1


def test_batch_normalisation_keeps_nine_tenths_and_serves_evaluation():
    model = dcgan.build((4, 4, 1), latent_dim=2, features=2, smallest=1, kernel_size=3)
    variables = jax.jit(model.init)(KEY)
    z = 5 * model.latents(KEY, 8)
    dense = variables["generator"]["params"]["Dense_0"]["kernel"]
    maps = (z @ dense).reshape(-1, 4)  # of every place, [B * s * s, 4]
    generate = jax.jit(
        lambda v, z: model.generator.apply(v, z, train=True, mutable=["batch_stats"])
    )
    _, mutated = generate(variables["generator"], z)
    found = mutated["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(found["mean"], 0.1 * maps.mean(axis=0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * maps.var(axis=0), rtol=1e-3)
    alone = model.decode(variables, z[:1])
    np.testing.assert_allclose(model.decode(variables, z)[:1], alone, rtol=1e-4, atol=1e-6)
