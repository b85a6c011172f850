"""Linear flows: sources are found, and a Gaussian is fitted to its entropy."""

import jax
import numpy as np
import optax
import pytest

from jaxgen.data.readers import linear_mixtures, synthetic
from jaxgen.errors import ConfigError
from jaxgen.flow import ICA
from jaxgen.step import init_state, train_step

KEY = jax.random.key(0)


def trained(model, name, num_steps=1500, batch=256):
    """Return the state after so many steps in one compiled scan, on fresh examples."""
    players = model.players(optax.adam(optax.cosine_decay_schedule(2e-2, num_steps)))
    state = init_state(KEY, model.init(jax.random.key(1)), players)
    drawn = synthetic.SETS[name].draw(np.random.default_rng(3), num_steps * batch)

    def step(state, x):
        return train_step(players, state, {"image": x})[0], None

    examples = drawn.reshape(num_steps, batch, *model.shape)
    state, _ = jax.jit(lambda state, x: jax.lax.scan(step, state, x))(state, examples)
    return state.variables


def gap(model, variables, name):
    """Return the cross-entropy of fresh examples less that of the true density on them."""
    x = synthetic.SETS[name].draw(np.random.default_rng(4), 10_000)
    log_prob = np.asarray(jax.jit(model.log_prob)(variables, x))
    return float((synthetic.SETS[name].log_prob(x) - log_prob).mean())


@pytest.mark.parametrize(("prior", "most"), [("laplace", 0.01), ("logistic", 0.25)])
def test_sources_are_found_up_to_order_sign_and_scale(prior, most):
    """W A has one large entry in each row and each column, by either prior with heavy tails."""
    model = ICA((4,), prior)
    variables = trained(model, "sources")
    assert 0 < gap(model, variables, "sources") < most
    matrix = np.asarray(variables["flow"]["params"]["unmixing"]["matrix"], float)
    mixed = np.abs(matrix @ linear_mixtures.sources_mixing())
    relative = mixed / mixed.max(axis=1, keepdims=True)
    assert sorted(relative.argmax(axis=1)) == [0, 1, 2, 3]
    others = np.sort(relative, axis=1)[:, :-1]
    assert others.max() < 0.1
    if prior == "laplace":  # whose scale is that of the sources
        assert mixed.max(axis=1) == pytest.approx(1, abs=0.05)


def test_a_normal_prior_fits_a_gaussian_to_its_entropy():
    model = ICA((8,), "normal")
    variables = trained(model, "linear_gaussian", 2500)
    assert abs(gap(model, variables, "linear_gaussian")) < 0.01


def test_a_prior_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="prior: got 'cauchy'"):
        ICA((2,), "cauchy")
