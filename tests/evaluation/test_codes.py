"""Codes against the prior: distances of distributions, and modes that nobody is in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.evaluation import codes, measure

KEY = jax.random.key(0)


def test_distance_of_distribution_functions():
    line = np.arange(100.0)
    assert codes.kolmogorov_smirnov(line, line) == 0
    assert codes.kolmogorov_smirnov(line, line + 1000) == 1
    assert codes.kolmogorov_smirnov(line, line + 50) == pytest.approx(0.5)
    assert codes.kolmogorov_smirnov(np.zeros(4), np.array([0.0, 0.0, 1.0, 1.0])) == 0.5
    assert codes.kolmogorov_smirnov(np.array([0.0, 1.0]), np.array([0.5])) == 0.5


def test_the_distance_of_codes_is_the_largest_of_the_dimensions():
    random = np.random.default_rng(0)
    code = random.normal(size=(4000, 2))
    drawn = random.normal([0.0, 1.0], size=(4000, 2))
    (found,) = codes.distance({"code": code, "draw_of_prior": drawn})["code_ks"]
    assert found == pytest.approx(0.3829, abs=0.03)  # 2 Phi(1/2) - 1


def test_the_emptiest_mode_is_that_with_the_fewest_codes():
    log_modes = np.log(np.eye(3)[[0, 0, 0, 2, 2, 1]] + 0.1)
    assert codes.emptiest({"log_modes": log_modes})["emptiest_mode"].tolist() == [0] * 5 + [1]
    nobody = np.log(np.eye(3)[[0, 0, 2]] + 0.1)
    assert codes.emptiest({"log_modes": nobody})["emptiest_mode"].sum() == 0


def table(name, num=60):
    model = tiny.experiment(name).model
    batch = tiny.batch(name, num)
    found = measure(model, tiny.fresh(name).variables, batch, KEY, num_samples=5)
    records = found.records(
        split="test", protocol=lambda how: how, seed=3, bits_per_dim=lambda nats: None
    )
    return {record.metric: record for record in records}


def test_an_evaluation_tells_of_codes_and_modes():
    found = table("adversarial autoencoder")
    assert set(found) == {"squared_error", "code_ks", "emptiest_mode"}
    assert 0 < found["code_ks"].value <= 1
    assert found["code_ks"].standard_error is None
    assert 0 <= found["emptiest_mode"].value <= 1 / 3
    assert "seed 3" in found["code_ks"].protocol
    assert set(table("adversarial autoencoder gaussian")) == {"squared_error", "code_ks"}
    assert "accuracy" in table("semi-supervised aae")


def test_codes_are_compared_with_the_priors_draws():
    model = tiny.experiment("adversarial autoencoder").model
    variables = tiny.fresh("adversarial autoencoder").variables
    x = tiny.examples(model, 40)
    given = codes.Given(model, variables, {"image": x}, KEY, 1, {})
    found = codes.beside_the_prior(given)
    assert (found["code"] == model.encode(variables, x)).all()
    assert (found["draw_of_prior"] == model.latents(KEY, 40)).all()
    expected = model.prior.log_modes(jnp.asarray(found["code"]))
    assert (codes.modes(given)["log_modes"] == expected).all()
