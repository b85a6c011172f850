"""The linear-Gaussian VAE against the closed form of probabilistic PCA."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import stats

from jaxgen.distributions import log_mean_exp
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.step import init_state, train_step
from jaxgen.typing import Bounded, Density
from jaxgen.vae.linear_gaussian import LinearGaussian, fit, linear, marginal_log_prob

KEY = jax.random.key(0)
MODEL = linear((5,), latent_dim=2)


@lru_cache
def data():
    random = np.random.default_rng(0)
    mixing = random.normal(size=(3, 5)) * [[2.0], [1.0], [0.3]]
    return random.normal(size=(200, 3)) @ mixing + 0.4 * random.normal(size=(200, 5)) + 1.0


def variables(truth, encoder_kernel, encoder_bias):
    """The model's variables with that decoder and encoder."""

    def dense(kernel, bias):
        return {"Dense_0": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}

    decoder = {"MLP_0": dense(truth.weight.T, truth.bias), "log_scale": jnp.log(truth.std)}
    encoder = {"MLP_0": dense(encoder_kernel, encoder_bias)}
    return tiny.scaled(
        {"decoder": {"params": decoder}, "encoder": {"params": encoder}}, jnp.ones(())
    )


def posterior(truth):
    """(kernel, bias, covariance) of the exact posterior, mean = x kernel + bias."""
    precision = truth.weight.T @ truth.weight / truth.std**2 + np.eye(truth.weight.shape[1])
    covariance = np.linalg.inv(precision)
    kernel = truth.weight @ covariance / truth.std**2
    return kernel, -truth.bias @ kernel, covariance


def with_encoder(truth, variance):
    """Variables whose q has the posterior's mean and that diagonal covariance."""
    kernel, bias, _ = posterior(truth)
    kernel = np.concatenate([kernel, np.zeros_like(kernel)], axis=1)
    bias = np.concatenate([bias, 0.5 * np.log(variance)])
    return variables(truth, kernel.astype(np.float32), bias.astype(np.float32))


X = jnp.asarray(data()[:16], jnp.float32)
BEST = fit(jnp.asarray(data(), jnp.float32), 2)
OBLIQUE = LinearGaussian(  # its posterior's covariance is not diagonal
    jnp.array([[1.0, 0.9], [0.2, 0.5], [-0.7, -1.0], [0.4, 0.8], [0.0, 0.3]]),
    jnp.ones(5),
    jnp.asarray(0.7),
)


def test_the_marginal_is_scipys_normal():
    covariance = np.float64(OBLIQUE.weight @ OBLIQUE.weight.T) + 0.49 * np.eye(5)
    expected = stats.multivariate_normal(np.ones(5), covariance).logpdf(data()[:16])
    np.testing.assert_allclose(marginal_log_prob(OBLIQUE, X), expected, rtol=1e-5)


def test_the_model_reads_its_closed_form_off_its_decoder():
    truth = MODEL.linear_gaussian(with_encoder(OBLIQUE, np.ones(2)))
    for found, expected in zip(truth, OBLIQUE, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    log_prob = MODEL.log_prob(with_encoder(OBLIQUE, np.ones(2)), X)
    np.testing.assert_allclose(log_prob, marginal_log_prob(OBLIQUE, X), rtol=1e-5)


def test_no_perturbation_of_the_fit_raises_the_likelihood():
    with jax.enable_x64(True):
        x = jnp.asarray(data())
        best = fit(x, 2)
        likelihood = jax.jit(lambda model: marginal_log_prob(model, x).mean())
        top = float(likelihood(best))
        for i, key in enumerate(jax.random.split(KEY, 60)):
            keys = jax.random.split(key, 3)
            noise = [
                jax.random.normal(k, p.shape, p.dtype) for k, p in zip(keys, best, strict=True)
            ]
            size = 10.0 ** -(1 + i % 3)
            moved = LinearGaussian(*(p + size * e for p, e in zip(best, noise, strict=True)))
            assert float(likelihood(moved)) < top
        gradients = jax.tree.map(np.asarray, jax.grad(likelihood)(best))
    assert max(np.abs(g).max() for g in gradients) < 1e-10


def test_the_exact_posterior_makes_every_weight_the_marginal():
    _, _, covariance = posterior(BEST)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-6)
    exact = with_encoder(BEST, np.diag(covariance))
    weights = MODEL.log_weights(exact, X, KEY, 50)
    assert float(weights.std(axis=0).max()) < 1e-5
    np.testing.assert_allclose(weights.mean(axis=0), MODEL.log_prob(exact, X), atol=2e-5)


def test_the_gap_of_a_diagonal_q_is_its_divergence_in_closed_form():
    _, _, covariance = posterior(OBLIQUE)
    variance = 1 / np.diag(np.linalg.inv(covariance))  # the best diagonal q
    gap = 0.5 * (np.linalg.slogdet(covariance)[1] - np.log(variance).sum())
    assert gap > 0.1
    held = with_encoder(OBLIQUE, variance)
    weights = np.asarray(MODEL.log_weights(held, X, KEY, 20_000))
    error = weights.std(axis=0) / len(weights) ** 0.5
    assert (np.abs(weights.mean(axis=0) + gap - MODEL.log_prob(held, X)) < 4 * error).all()


def test_the_importance_weighted_bounds_rise_to_the_marginal():
    held = with_encoder(OBLIQUE, np.array([0.5, 0.5]))
    truth = np.asarray(MODEL.log_prob(held, X))
    weights = MODEL.log_weights(held, X, KEY, 20_000)
    gaps = [
        (truth - np.asarray(log_mean_exp(weights.reshape(-1, k, 16), axis=1))).mean(axis=0)
        for k in (1, 5, 50, 2000)
    ]
    assert (np.diff(gaps, axis=0) < 0).all()
    assert np.mean(gaps[0]) > 0.1
    assert np.abs(np.mean(gaps[2])) < 0.1 * np.mean(gaps[0])
    assert np.abs(gaps[3]).max() < 0.03


def test_training_reaches_the_closed_form():
    x = jnp.asarray(data(), jnp.float32)
    players = MODEL.players(Optimizer(learning_rate=0.02, schedule="cosine").build(2500))
    key = jax.random.key(1)  # from other starts a small column of W may be slow to leave 0
    state = init_state(key, jax.jit(MODEL.init)(key), players)

    def one(state, _):
        return train_step(players, state, {"image": x})

    state, _ = jax.jit(partial(jax.lax.scan, one, length=2500))(state)
    found = float(MODEL.log_prob(state.variables, x).mean())
    top = float(marginal_log_prob(BEST, x).mean())
    assert top - 0.02 < found < top + 1e-4
    weight = MODEL.linear_gaussian(state.variables).weight
    cosines = np.linalg.svd(np.linalg.qr(weight)[0].T @ np.linalg.qr(BEST.weight)[0])[1]
    assert cosines.min() > 0.999


def test_samples_have_the_closed_forms_mean_and_covariance():
    x = np.asarray(MODEL.sample(with_encoder(OBLIQUE, np.ones(2)), KEY, 50_000))
    covariance = OBLIQUE.weight @ OBLIQUE.weight.T + 0.49 * np.eye(5)
    np.testing.assert_allclose(x.mean(axis=0), np.ones(5), atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.06)


def test_only_the_linear_model_knows_its_marginal():
    models = {name: tiny.experiment(name).model for name in tiny.MODELS}
    latent = {name: model for name, model in models.items() if isinstance(model, Bounded)}
    assert set(latent) > {"linear gaussian", "vae", "iwae"}
    assert [n for n, m in latent.items() if isinstance(m, Density)] == ["linear gaussian"]


def test_its_loss_is_the_negative_elbo():
    truth = with_encoder(OBLIQUE, np.ones(2))
    loss, (metrics, _) = MODEL.vae_loss(truth, {"image": X}, KEY)
    assert float(loss) == pytest.approx(-float(MODEL.elbo(truth, X, KEY).mean()), rel=1e-6)
    assert float(metrics["reconstruction"] + metrics["kl"]) == pytest.approx(float(loss), rel=1e-6)
