"""The plain autoencoder: principal components when linear, and no generative model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.experiment.optimizer import Optimizer
from jaxgen.step import init_state, train_step
from jaxgen.vae import autoencoder


def test_a_linear_autoencoder_reaches_the_error_of_pca():
    random = np.random.default_rng(0)
    x = random.normal(size=(100, 6)) @ random.normal(size=(6, 6)) + 1.0
    discarded = np.linalg.svd(x - x.mean(axis=0))[1][2:]
    model = autoencoder.mlp((6,), latent_dim=2, hidden=())
    players = model.players(Optimizer(learning_rate=0.02, schedule="cosine").build(2000))
    key, batch = jax.random.key(0), {"image": jnp.asarray(x, jnp.float32)}
    state = init_state(key, jax.jit(model.init)(key), players)

    def one(state, _):
        return train_step(players, state, batch)

    state, metrics = jax.jit(partial(jax.lax.scan, one, length=2000))(state)
    best = (discarded**2).sum() / len(x)
    assert float(metrics["loss"][0]) > 1.5 * best
    assert best * (1 - 1e-4) < float(metrics["loss"][-1]) < 1.01 * best


def test_the_error_is_summed_over_an_example():
    model, state = tiny.experiment("autoencoder").model, tiny.fresh("autoencoder")
    x = tiny.batch("autoencoder")["image"]
    made = model.reconstruct(state.variables, x)
    expected = ((np.asarray(x) - np.asarray(made)) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(model.squared_error(state.variables, x), expected, rtol=1e-5)
    loss, _ = model.autoencoder_loss(state.variables, {"image": x}, jax.random.key(0))
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)


def test_the_decoder_mirrors_the_encoder_and_gives_one_number_an_element():
    model = autoencoder.mlp((2, 2), latent_dim=1, hidden=(3, 5))
    assert (model.encoder.hidden, model.decoder.hidden) == ((3, 5), (5, 3))
    assert model.decoder.num_params == 1


def test_it_has_no_samples_and_no_density():
    model = tiny.experiment("autoencoder").model
    for name in ("sample", "log_prob", "elbo", "iwae", "log_weights"):
        assert not hasattr(model, name)
