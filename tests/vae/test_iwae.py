"""The importance-weighted objective: one draw is the ELBO, k draws weigh their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.scipy import stats

from jaxgen.errors import ConfigError
from jaxgen.vae import iwae

KEY = jax.random.key(2)


def model(k):
    return iwae.mlp((2, 2), latent_dim=2, hidden=(3,), num_samples=k)


VARIABLES = tiny.scaled(jax.jit(model(1).init)(KEY), 2.0)
X = tiny.examples(model(1))


def log_weight(variables, epsilon):
    """log p(x, z) - log q(z | x) of given noise, by jax.scipy alone, [k, B]."""
    mean, log_std = model(1).encoder.apply(variables["encoder"], X)
    mean, std = mean[None], jnp.exp(log_std)[None]
    z = mean + std * epsilon
    p = jax.nn.sigmoid(model(1).decoder.apply(variables["decoder"], z)[..., 0])
    likelihood = stats.bernoulli.logpmf(X[None], p).sum(axis=(-2, -1))
    prior, posterior = stats.norm.logpdf(z), stats.norm.logpdf(z, mean, std)
    return likelihood + (prior - posterior).sum(axis=-1)


def gradient_of_the_loss(k):
    batch = {"image": X, "step": jnp.zeros((), jnp.int32)}
    return gradient(lambda v: model(k).iwae_loss(v, batch, KEY)[0])


def gradient(function):
    return jax.jit(jax.grad(function))(VARIABLES)


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


def test_one_draw_has_the_gradient_of_the_monte_carlo_elbo():
    epsilon = jax.random.normal(KEY, (1, *X.shape[:1], 2))
    expected = gradient(lambda v: -log_weight(v, epsilon).mean())
    assert_close(gradient_of_the_loss(1), expected)


def test_k_draws_weigh_their_gradients_by_their_shares():
    epsilon = jax.random.normal(KEY, (5, *X.shape[:1], 2))
    share = jax.nn.softmax(log_weight(VARIABLES, epsilon), axis=0)
    expected = gradient(lambda v: -(share * log_weight(v, epsilon)).sum(0).mean())
    assert_close(gradient_of_the_loss(5), expected)
    even = gradient(lambda v: -log_weight(v, epsilon).mean())
    gap = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), expected, even)
    assert max(jax.tree.leaves(gap)) > 1e-2


def test_the_loss_is_the_negative_bound_and_reports_the_terms_of_the_elbo():
    batch = {"image": X, "step": jnp.zeros((), jnp.int32)}
    loss, (metrics, mutated) = model(5).iwae_loss(VARIABLES, batch, KEY)
    assert float(loss) == pytest.approx(
        -float(model(5).iwae(VARIABLES, X, KEY, 5).mean()), rel=1e-6
    )
    assert float(metrics["reconstruction"] + metrics["kl"]) > float(loss)
    assert float(metrics["kl"]) == pytest.approx(
        float(model(5).terms(VARIABLES, X, KEY).kl.sum(axis=-1).mean()), rel=1e-5
    )
    weights = model(5).log_weights(VARIABLES, X, KEY, 5)
    expected = -float(weights.mean()) - float(metrics["kl"])
    assert float(metrics["reconstruction"]) == pytest.approx(expected, rel=1e-5)
    assert mutated == {}


def test_the_defaults_are_the_papers_fifty_draws_of_a_plain_vae():
    built = iwae.mlp((2, 2), latent_dim=2, hidden=(3,))
    assert built.num_samples == 50
    assert built == iwae.IWAE((2, 2), 2, built.encoder, built.decoder)


def test_one_player_owns_both_networks():
    (player,) = model(1).players(optax.sgd(0.1))
    assert (player.name, player.owns) == ("iwae", ("encoder", "decoder"))


def test_settings_without_a_meaning_are_refused():
    with pytest.raises(ConfigError, match="num_samples: got 0, expected >= 1"):
        model(0)
    with pytest.raises(ConfigError, match="beta, warmup_steps and free_bits do not apply"):
        iwae.mlp((2, 2), beta=2.0)
