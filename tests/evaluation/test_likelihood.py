"""The arithmetic between a model's numbers of an example and those of a record."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.evaluation import Measured, mean_and_error, measure, measures
from jaxgen.evaluation.likelihood import active_units, importance_weights
from jaxgen.evaluation.per_example import BATCH, per_example
from jaxgen.vae import VAE, autoencoder, vae

MODEL = vae.mlp((2, 2, 1), latent_dim=2, hidden=(4,))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(MODEL.init)(jax.random.key(1))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).integers(0, 2, (130, 2, 2, 1)).astype(np.float32)


def measured(model, variables, x, num_samples=4):
    return measure(model, variables, {"image": x}, KEY, num_samples=num_samples)


def table(measured, bits=lambda nats: None):
    found = measured.records(split="test", protocol=lambda how: how, seed=7, bits_per_dim=bits)
    return {record.metric: record for record in found}


def test_the_standard_error_is_that_of_the_mean():
    mean, error = mean_and_error(np.asarray([1.0, 2.0, 3.0, 6.0], np.float32))
    assert mean == 3.0
    assert error == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))


def test_the_mean_of_many_float32_does_not_drift():
    assert mean_and_error(np.full(2_000_001, 0.1, np.float32))[0] == pytest.approx(np.float32(0.1))


def test_one_example_has_no_standard_error():
    mean, error = mean_and_error(np.asarray([2.0]))
    assert (mean, math.isnan(error)) == (2.0, True)


def test_a_unit_is_active_from_a_variance_of_a_hundredth():
    code = np.asarray([[-0.101, -0.099], [0.101, 0.099]])
    assert active_units(code) == 1
    assert active_units(code, threshold=0.02) == 0


def test_a_unit_is_active_if_its_mean_varies():
    code = np.zeros((100, 4))
    code[:, 1] = np.random.default_rng(0).normal(size=100)
    code[:, 2] = 0.05 * np.random.default_rng(1).normal(size=100)
    code[:, 3] = 7.0
    assert active_units(code) == 1


@pytest.mark.parametrize("num", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH])
def test_every_example_is_measured_once_and_in_order(num):
    x = np.arange(num, dtype=np.float32)
    shapes = []

    def double(x, key):
        shapes.append(x.shape)
        return {"double": 2 * x}

    np.testing.assert_array_equal(per_example(double, x, KEY)["double"], 2 * x)
    assert set(shapes) == {(BATCH,)}


def test_what_fills_the_last_batch_changes_nothing(variables, x):
    found = measured(MODEL, variables, x).values
    longer = measured(MODEL, variables, np.concatenate([x, 1 - x[:20]])).values
    assert {"elbo", "kl", "code"} <= set(found)
    for name in found:
        assert len(found[name]) == 130
        np.testing.assert_array_equal(found[name], longer[name][:130])


def test_batches_draw_their_own_noise(variables, x):
    elbo = measured(MODEL, variables, np.repeat(x[:1], 2 * BATCH, 0)).values["elbo"]
    assert elbo[0] != elbo[BATCH]


@pytest.mark.parametrize("k", [1, 7, 50, 53, 120])
def test_any_number_of_importance_samples_may_be_asked_for(variables, x, k):
    weights = importance_weights(MODEL, variables, jnp.asarray(x[:3]), KEY, k)
    assert weights.shape == (k, 3)
    assert len(np.unique(np.asarray(weights)[:, 0])) > 0.9 * k  # no draw is used twice


def test_the_weights_average_to_the_likelihood(variables, x):
    """E w = p(x): against a brute-force integral over the latents."""
    grid = np.stack(np.meshgrid(*[np.linspace(-6, 6, 121)] * 2), -1).reshape(-1, 1, 2)
    z = jnp.broadcast_to(jnp.asarray(grid, jnp.float32), (len(grid), 3, 2))
    log_joint = (
        MODEL.log_likelihood(variables, jnp.asarray(x[:3]), z)
        - (z**2).sum(-1) / 2
        - math.log(2 * math.pi)
    )
    exact = jax.nn.logsumexp(log_joint, axis=0) + 2 * math.log(0.1)
    weights = importance_weights(MODEL, variables, jnp.asarray(x[:3]), KEY, 5000)
    found = jax.nn.logsumexp(weights, axis=0) - math.log(5000)
    np.testing.assert_allclose(found, exact, atol=0.01)


def test_the_bound_with_more_samples_is_no_lower(variables, x):
    found = measured(MODEL, variables, x).values
    assert (found[measures.IWAE] >= found["elbo"] - 1e-5).all()


def test_elbo_kl_and_reconstruction_add_up(variables, x):
    found = table(measured(MODEL, variables, x))
    total = found["elbo"].value + found["kl"].value + found["reconstruction"].value
    assert total == pytest.approx(0, abs=1e-5)
    assert found["kl"].value > 0


def test_the_kl_is_that_of_the_model(variables, x):
    found = measured(MODEL, variables, x).values
    expected = MODEL.terms(variables, jnp.asarray(x), KEY).kl.sum(axis=-1)
    np.testing.assert_allclose(found["kl"], expected, rtol=1e-5)


def test_bits_are_nats_over_dimensions_and_log_two_with_the_same_relative_error():
    values = {name: np.asarray([-3.0, -5.0], np.float32) for name in ("elbo", measures.IWAE)}
    (bounds,) = (row for row in measures.MEASURES if row.of is measures.bounds)
    found = table(Measured((bounds,), 4, 2, values, {}), lambda nats: nats / (4 * math.log(2)) + 8)
    nats, bits = found["elbo"], found["elbo_bits_per_dim"]
    assert (nats.value, nats.standard_error, nats.unit) == (-4.0, 1.0, "nats")
    assert bits.value == pytest.approx(1 / math.log(2) + 8)
    assert bits.standard_error == pytest.approx(0.25 / math.log(2))
    assert bits.unit == "bits/dim"


def test_where_bits_have_no_meaning_there_are_none(variables, x):
    found = table(measured(MODEL, variables, x))
    assert list(found) == ["elbo", "iwae_4", "kl", "reconstruction", "active_units"]


def test_every_record_says_where_it_comes_from(variables, x):
    for record in table(measured(MODEL, variables, x)).values():
        assert (record.split, record.num) == ("test", 130)
        assert record.protocol == "4 draws per example, seed 7"


def test_a_count_has_no_standard_error(variables, x):
    record = table(measured(MODEL, variables, x))["active_units"]
    assert record.standard_error is None
    assert record.unit == "units"
    assert record.value == active_units(np.asarray(MODEL.encode(variables, jnp.asarray(x))))


def test_an_autoencoder_is_measured_by_its_error(x):
    model = autoencoder.mlp((2, 2, 1), latent_dim=2, hidden=(4,))
    variables = jax.jit(model.init)(KEY)
    found = table(measured(model, variables, x))
    assert set(found) == {"squared_error"}
    expected = ((x - np.asarray(model.reconstruct(variables, jnp.asarray(x)))) ** 2).sum(
        axis=(1, 2, 3)
    )
    assert found["squared_error"].value == pytest.approx(expected.mean(), rel=1e-5)


def test_a_model_is_known_by_its_methods_alone(x):
    class Uniform:
        def log_prob(self, variables, x):
            return jnp.full(x.shape[0], -4 * math.log(2))

    found = table(measured(Uniform(), {}, x))
    assert set(found) == {"log_prob"}
    assert found["log_prob"].value == pytest.approx(-4 * math.log(2))
    assert not hasattr(VAE, "log_prob")
