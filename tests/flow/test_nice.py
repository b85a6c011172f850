"""NICE: its formula, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.flow import NICE

KEY = jax.random.key(0)


def test_an_additive_coupling_is_its_formula():
    """The first of two layers moves the odd element; the second is the identity."""
    model = NICE((2,), (), 2)
    kernel = np.zeros((2, 2, 2), np.float32)
    kernel[0, 0] = [9.0, -0.7]  # t of both elements by the first one
    dense = {"kernel": jnp.asarray(kernel), "bias": jnp.zeros((2, 2))}
    scale = jnp.asarray([0.3, -0.8])
    params = {"couplings": {"network": {"Dense_0": dense}}, "scale": {"log_scale": scale}}
    own = {"flow": {"params": params}}
    z, log_det = model.forward(own, jnp.asarray([[0.5, 2.0]]))
    expected = np.array([0.5 * np.exp(0.3), (2.0 - 0.35) * np.exp(-0.8)])
    assert np.asarray(z)[0] == pytest.approx(expected, abs=1e-6)
    assert float(log_det[0]) == pytest.approx(-0.5, abs=1e-6)
    logistic = -(np.log1p(np.exp(expected)) + np.log1p(np.exp(-expected))).sum()
    log_prob = model.log_prob(own, jnp.asarray([[0.5, 2.0]]))
    assert float(log_prob[0]) == pytest.approx(logistic - 0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (1,)}, r"shape: got \[1\], expected 2 elements or more"),
        ({"num_couplings": 1}, "num_couplings: got 1"),
        ({"prior": "cauchy"}, "prior: got 'cauchy'"),
        ({"activation": "step"}, "activation: got 'step'"),
    ],
)
def test_settings_that_make_no_flow_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        NICE(**{"shape": (2,), **fields})
