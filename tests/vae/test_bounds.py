"""The bounds of tiny binary models against the exact marginal, by quadrature over the latents."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import stats

from jaxgen.distributions import log_mean_exp, normal_log_prob
from jaxgen.errors import ConfigError
from jaxgen.typing import Latent
from jaxgen.vae.base import Terms, draw, negative_elbo

STATES = jnp.asarray(np.indices((2,) * 4).reshape(4, -1).T.reshape(-1, 2, 2), jnp.float32)
KEY = jax.random.key(7)
ZERO = jnp.zeros(())


@pytest.fixture(params=["vae", "iwae"], scope="module")
def name(request):
    return request.param


@lru_cache
def subject(name):
    """(model, variables): a decoder far from a fresh model's, an encoder that is not."""
    fresh = tiny.fresh(name).variables
    encoder = tiny.scaled(fresh["encoder"], 0.4)
    decoder = jax.tree.map(lambda x: 2.5 * x + 0.2, fresh["decoder"])
    return tiny.experiment(name).model, {"encoder": encoder, "decoder": decoder}


@lru_cache
def exact(name):
    """log p(x), [16], and KL(q || p(z | x)), [16], on a grid over z."""
    model, variables = subject(name)
    axis = np.linspace(-9, 9, {1: 2001, 2: 141}[model.latent_dim])
    grid = np.stack(np.meshgrid(*[axis] * model.latent_dim), -1).reshape(-1, model.latent_dim)
    z = jnp.broadcast_to(jnp.asarray(grid, jnp.float32)[:, None], (len(grid), 16, grid.shape[1]))
    log_cell = model.latent_dim * np.log(axis[1] - axis[0])
    prior = np.float64(normal_log_prob(z, ZERO, ZERO).sum(-1))
    joint = np.float64(model.log_likelihood(variables, STATES, z)) + prior
    log_prob = np.logaddexp.reduce(joint + log_cell, axis=0)
    mean, log_std = model.posterior(variables, STATES)
    log_q = np.float64(normal_log_prob(z, mean[None], log_std[None]).sum(-1))
    q = np.exp(log_q + log_cell)
    np.testing.assert_allclose(q.sum(axis=0), 1, atol=1e-4)  # the grid holds q
    return log_prob, (q * (log_q - joint + log_prob)).sum(axis=0)


@lru_cache
def weights(name):
    """Log weights of many draws, [draws, 16]."""
    model, variables = subject(name)
    return np.float64(jax.jit(model.log_weights, static_argnums=3)(variables, STATES, KEY, 20_000))


def error(values):
    """Of the mean over the first axis."""
    return values.std(axis=0) / len(values) ** 0.5


def test_the_exact_marginal_sums_to_one(name):
    assert np.exp(exact(name)[0]).sum() == pytest.approx(1, abs=2e-5)


def test_elbo_iwae_and_log_prob_are_in_order(name):
    log_prob, gap = exact(name)
    groups = [weights(name).reshape(-1, k, 16) for k in (1, 5, 50)]
    bounds = [np.asarray(log_mean_exp(jnp.asarray(g), axis=1)) for g in groups]
    means = [bound.mean(axis=0) for bound in bounds]
    assert (gap > 0.001).all()
    assert (means[0] < means[1] - 1e-4).all()
    assert (means[1] < means[2] - 1e-5).all()
    assert (means[2] < log_prob + 4 * error(bounds[2]) + 1e-5).all()
    np.testing.assert_allclose(means[2], log_prob, atol=0.03)


def test_iwae_is_the_mean_weight_of_its_draws(name):
    model, variables = subject(name)
    found = jax.jit(model.iwae, static_argnums=3)(variables, STATES, KEY, 20_000)
    np.testing.assert_allclose(found, exact(name)[0], atol=0.02)


def test_the_gap_of_the_elbo_is_the_divergence_from_the_posterior(name):
    model, variables = subject(name)
    log_prob, gap = exact(name)
    elbo = jax.jit(model.elbo, static_argnums=3)(variables, STATES, KEY, 20_000)
    assert (np.abs(elbo + gap - log_prob) < 5 * error(weights(name)) + 1e-4).all()


def test_both_estimators_of_the_elbo_have_one_expectation(name):
    model, variables = subject(name)
    keys = jax.random.split(jax.random.key(3), 2000)
    closed = np.asarray(jax.jit(jax.vmap(lambda k: model.elbo(variables, STATES, k)))(keys))
    spread = np.hypot(error(closed), error(weights(name)))
    assert (np.abs(closed.mean(0) - weights(name).mean(0)) < 4 * spread + 1e-5).all()
    assert spread.max() < 0.1


def test_samples_follow_the_exact_marginal(name):
    model, variables = subject(name)
    num = 40_000
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, num), int)
    counts = np.bincount(x.reshape(num, 4) @ [8, 4, 2, 1], minlength=16)
    probabilities = np.exp(exact(name)[0])
    assert stats.chisquare(counts, num * probabilities / probabilities.sum()).pvalue > 1e-3
    assert probabilities.max() > 2 / 16  # the model is not uniform


def test_samples_are_draws_of_decoded_latents(name):
    model, variables = subject(name)
    assert isinstance(model, Latent)
    latent_key, pixel_key = jax.random.split(KEY)
    z = model.latents(latent_key, 7)
    np.testing.assert_array_equal(z, jax.random.normal(latent_key, (7, model.latent_dim)))
    expected = model.observation.sample(model.decoder_outputs(variables, z), pixel_key)
    np.testing.assert_array_equal(model.sample(variables, KEY, 7), expected)
    np.testing.assert_array_equal(
        model.decode(variables, z), model.observation.mean(model.decoder_outputs(variables, z))
    )


def test_one_draw_is_the_default_of_the_bound_and_fifty_of_the_tighter_one(name):
    model, variables = subject(name)
    for found, expected in (
        (model.elbo(variables, STATES, KEY), model.elbo(variables, STATES, KEY, 1)),
        (model.iwae(variables, STATES, KEY), model.iwae(variables, STATES, KEY, 50)),
        (model.terms(variables, STATES, KEY), model.terms(variables, STATES, KEY, 1)),
    ):
        tiny.assert_same(found, expected)


def test_the_bound_is_its_two_terms_of_given_noise(name):
    """Everything by NumPy: z = m + s e, Bernoulli elements, the KL in closed form."""
    model, variables = subject(name)
    mean, log_std = map(np.float64, model.posterior(variables, STATES))
    noise = np.float64(jax.random.normal(KEY, (3, *mean.shape)))
    z = mean + np.exp(log_std) * noise
    logits = np.float64(model.decoder_outputs(variables, jnp.asarray(z, jnp.float32))[..., 0])
    sign = 2 * np.float64(STATES) - 1
    likelihood = -np.logaddexp(0, -sign * logits).sum(axis=(-2, -1))  # [3, 16]
    kl = (np.exp(2 * log_std) + mean**2 - 1) / 2 - log_std
    terms = model.terms(variables, STATES, KEY, 3)
    np.testing.assert_allclose(terms.log_likelihood, likelihood.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(terms.kl, kl, rtol=1e-4, atol=1e-6)
    elbo = likelihood.mean(axis=0) - kl.sum(axis=-1)
    np.testing.assert_allclose(model.elbo(variables, STATES, KEY, 3), elbo, rtol=1e-4)
    ratio = ((noise**2 - z**2) / 2 + log_std).sum(axis=-1)
    weights = model.log_weights(variables, STATES, KEY, 3)
    np.testing.assert_allclose(weights, likelihood + ratio, rtol=1e-4)
    np.testing.assert_array_equal(model.encode(variables, STATES), np.float32(mean))
    decoded = model.decode(variables, jnp.asarray(mean, jnp.float32))
    np.testing.assert_array_equal(model.reconstruct(variables, STATES), decoded)


def test_the_negative_bound_weighs_its_terms_as_it_is_told():
    terms = Terms(jnp.asarray([-3.0, -1.0]), jnp.asarray([[0.2, 4.0], [0.4, 2.0]]))
    loss, metrics = negative_elbo(terms)
    assert float(loss) == pytest.approx(2 + 0.3 + 3.0)
    assert float(metrics["reconstruction"]) == 2.0
    assert float(metrics["kl"]) == pytest.approx(3.3)
    weighted, same = negative_elbo(terms, weight=0.5, free_bits=1.0)
    assert float(weighted) == pytest.approx(2 + 0.5 * (1 + 3.0))
    assert same == metrics


def test_builders_have_the_defaults_that_their_pages_name():
    plain = {"beta": 1.0, "warmup_steps": 0, "free_bits": 0.0}
    for build, networks in (
        (tiny.vae.mlp, {"hidden": (400,)}),
        (tiny.vae.conv, {"widths": (32, 64)}),
    ):
        assert build((8, 8, 1)) == build((8, 8, 1), latent_dim=20, **networks, **plain)
    built = tiny.vae.mlp((2, 2))
    assert built == tiny.vae.VAE((2, 2), 20, built.encoder, built.decoder, **plain)
    assert built == tiny.vae.VAE((2, 2), 20, built.encoder, built.decoder)
    other = tiny.vae.mlp((2, 2), hidden=(7, 5))
    assert (other.encoder.hidden, other.decoder.hidden) == ((7, 5), (5, 7))


def test_the_reparameterised_gradient_of_z_squared_is_2m_and_2s():
    def second_moment(mean, std):
        return (draw(KEY, mean, jnp.log(std), 200_000) ** 2).mean(axis=0).sum()

    mean, std = jnp.array([[0.5, -1.0]]), jnp.array([[0.3, 2.0]])
    by_mean, by_std = jax.grad(second_moment, (0, 1))(mean, std)
    np.testing.assert_allclose(by_mean, 2 * mean, atol=0.03)
    np.testing.assert_allclose(by_std, 2 * std, atol=0.03)


def loss(variables, step, **settings):
    model = tiny.vae.mlp((2, 2), latent_dim=2, hidden=(3,), **settings)
    batch = {"image": STATES, "step": jnp.asarray(step, jnp.int32)}
    return model.vae_loss(variables, batch, KEY)


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (50, 1.5), (100, 3.0), (200, 3.0)])
def test_the_weight_of_the_kl_warms_up_linearly(step, weight):
    variables = tiny.scaled(tiny.fresh("vae").variables, 2.0)
    total, (metrics, _) = loss(variables, step, beta=3.0, warmup_steps=100)
    expected = metrics["reconstruction"] + weight * metrics["kl"]
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    assert float(metrics["kl"]) > 0.1


def test_the_bound_never_bears_the_weight():
    model = tiny.vae.mlp((2, 2), latent_dim=2, hidden=(3,), beta=3.0, warmup_steps=9, free_bits=1.0)
    plain, variables = subject("vae")
    np.testing.assert_array_equal(
        model.elbo(variables, STATES, KEY), plain.elbo(variables, STATES, KEY)
    )


def test_free_bits_take_the_gradient_of_dimensions_below_them():
    model, variables = subject("vae")

    def kl(variables):
        return model.terms(variables, STATES, KEY).kl.mean(axis=0)

    def cost(variables, **settings):
        with_kl, _ = loss(variables, 0, **settings)
        without, _ = loss(variables, 0, beta=0.0)
        return with_kl - without

    def gradient(function):
        return jax.jit(jax.grad(function))(variables)

    def kernel(gradients):
        return gradients["encoder"]["params"]["MLP_0"]["Dense_1"]["kernel"]

    per_dim = kl(variables)
    threshold = float(per_dim.mean())  # between the two
    found = gradient(lambda v: cost(v, free_bits=threshold))
    expected = gradient(lambda v: kl(v)[per_dim.argmax()])
    both = gradient(lambda v: kl(v).sum())
    np.testing.assert_allclose(kernel(found), kernel(expected), rtol=1e-5, atol=1e-5)
    assert float(jnp.abs(kernel(both) - kernel(expected)).max()) > 1e-2
    value = threshold + float(per_dim.max())
    assert float(cost(variables, free_bits=threshold)) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("field", "value"), [("beta", -0.5), ("warmup_steps", -1), ("free_bits", -1.0)]
)
def test_a_negative_weight_is_refused(field, value):
    with pytest.raises(ConfigError, match=f"{field}: got {value}, expected >= 0"):
        tiny.vae.mlp((2, 2), **{field: value})
