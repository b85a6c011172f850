"""The fully visible belief net: its gradient, its masks, its parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.autoregressive import FVBN, Ordering
from jaxgen.data import Data, load
from jaxgen.errors import ConfigError


def test_the_gradient_is_that_of_logistic_regressions():
    """dL/dW_ij = E[(sigmoid_i - x_i) x_j] for j before i and 0 elsewhere; dL/db_i = E[...]."""
    with jax.enable_x64(True):
        model = FVBN((6,), Ordering("random"))
        random = np.random.default_rng(0)
        x = jnp.asarray(random.integers(0, 2, (50, 6)), jnp.float64)
        weight = random.normal(size=(6, 6))
        bias = random.normal(size=6)
        params = {"weight": jnp.asarray(weight), "bias": jnp.asarray(bias)}

        def loss(params):
            return model.likelihood_loss(
                {"fvbn": {"params": params}}, {"image": x}, jax.random.key(0)
            )[0]

        slopes = jax.grad(loss)(params)
        before = model.dependencies()
        sigmoid = 1 / (1 + np.exp(-(bias[None] + x @ np.where(before, weight, 0).T)))
        error = np.asarray(sigmoid - x)
        expected = np.where(before, error.T @ np.asarray(x) / 50, 0)
        np.testing.assert_allclose(slopes["weight"], expected, atol=1e-10)
        np.testing.assert_allclose(slopes["bias"], error.mean(axis=0), atol=1e-10)


def test_half_of_the_square_is_used():
    assert FVBN((4, 4, 1)).dependencies().sum() == 16 * 15 / 2


def test_orderings_are_permutations_of_their_kind():
    shape = (2, 3, 2)
    assert list(Ordering("raster").permutation(shape)) == list(range(12))
    assert list(Ordering("reversed").permutation(shape)) == list(range(11, -1, -1))
    column = Ordering("column").permutation(shape)
    assert list(column[:4]) == [0, 1, 6, 7]  # down the first column, both channels of a pixel
    assert sorted(column) == list(range(12))
    first = Ordering("random", 3)
    again = Ordering("random", 3)
    assert list(first.permutation(shape)) == list(again.permutation(shape))
    assert list(first.permutation(shape)) != list(Ordering("random", 4).permutation(shape))


def test_orderings_that_do_not_exist_are_refused():
    damaged = Ordering()
    object.__setattr__(damaged, "kind", "spiral")  # as from a file; the type check is for calls
    with pytest.raises(ConfigError, match="expected one of raster"):
        damaged.__post_init__()
    with pytest.raises(ConfigError, match="'column' is for images"):
        Ordering("column").permutation((5,))


def test_the_diagonal_is_masked_so_that_nothing_is_copied():
    """With a huge diagonal, and huge weights on what comes later, nothing changes."""
    model = FVBN((4,))
    x = jnp.asarray(load(Data("chain")).examples("test", 8).reshape(8, -1)[:, :4])
    free = {"fvbn": {"params": {"weight": jnp.zeros((4, 4)), "bias": jnp.zeros(4)}}}
    upper = {"weight": 1e4 * jnp.triu(jnp.ones((4, 4))), "bias": jnp.zeros(4)}
    np.testing.assert_array_equal(
        model.log_prob(free, x), model.log_prob({"fvbn": {"params": upper}}, x)
    )
