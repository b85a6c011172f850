"""MADE: masks from degrees, no dead paths, each hidden unit computed once in a sample."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from known_entropy import excess

from jaxgen.autoregressive import MADE, Ordering, chain_rule
from jaxgen.autoregressive.made import connect, dealt_degrees
from jaxgen.data import Data
from jaxgen.errors import ConfigError
from jaxgen.experiment import Settings
from jaxgen.experiment.optimizer import Optimizer

SHAPES = [  # deep, conditioned; few units; one element; direct connections
    MADE((3, 3, 1), (16, 9), Ordering("column"), 1, direct=False, conditioned=True),
    MADE((9,), (3, 5), Ordering("random"), 2, direct=False, activation="tanh"),
    MADE((1,), (2,)),
    MADE((7,), (20,), Ordering("reversed"), 3),
]


@pytest.fixture(params=SHAPES, ids=lambda m: f"{m.shape} {m.hidden}", scope="module")
def model(request):
    return request.param


@pytest.fixture(scope="module")
def variables(model):
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0)))
    random = np.random.default_rng(0)
    return jax.tree.unflatten(tree, [x + random.normal(size=x.shape) for x in leaves])


def test_probabilities_of_all_states_sum_to_one(model, variables):
    dim = int(np.prod(model.shape))
    x = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=dim))).reshape(-1, *model.shape)
    total = jnp.exp(jax.jit(model.log_prob)(variables, x)).sum()
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_units_computed_once_give_the_logits_of_the_full_pass(model, variables):
    """With real values that are a function of the logits, equal values mean equal logits."""
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), variables)

        def choose(site, params):
            return jnp.tanh(params[:, 0] + site)

        fast = jax.jit(lambda v: model.generate(v, choose, 3))(exact)
        slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, 3))(exact)
        np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-10)


def test_the_dependencies_are_the_paths_through_the_masks(model, variables):
    """By the Jacobian of a linear network with positive weights, in which nothing cancels."""
    linear = replace(model, activation="softplus")
    ones = jax.tree.map(lambda v: jnp.ones_like(v), variables)
    dim = int(np.prod(model.shape))
    slope = jax.jit(jax.jacrev(lambda x: linear.conditionals(ones, x.reshape(1, *model.shape))))
    found = slope(jnp.zeros(dim)).reshape(dim, dim) > 0
    np.testing.assert_array_equal(found, model.dependencies())


def test_every_hidden_unit_is_on_a_path():
    """Each has an input that it sees and an output that sees it."""
    model = MADE((6,), (10, 8))
    *hidden, output = connect(np, model.hidden, **model.structure()).layers
    reached = hidden[0].any(axis=0)
    for mask in hidden[1:]:
        reached = (reached[:, None] & mask).any(axis=0)
    assert reached.all()
    assert output.any(axis=1).all()


def test_degrees_run_from_one_to_the_number_of_elements_less_one():
    np.testing.assert_array_equal(dealt_degrees(10, 6), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    np.testing.assert_array_equal(dealt_degrees(3, 9), [1, 3, 6])
    np.testing.assert_array_equal(dealt_degrees(2, 1), [1, 1])


def test_masks_are_not_written_into_the_weights():
    model = MADE((5,), (8,))
    variables = jax.jit(model.init)(jax.random.key(0))
    assert (variables["made"]["params"]["layer_0"]["kernel"] != 0).all()


def test_conditioning_weights_tell_the_network_which_mask_is_on():
    model = MADE((5,), (8,), conditioned=True)
    params = jax.jit(model.init)(jax.random.key(0))["made"]["params"]
    x = tiny.examples(model)
    before = jax.jit(model.log_prob)({"made": {"params": params}}, x)
    params["layer_0"]["mask_kernel"] += 1.0
    after = jax.jit(model.log_prob)({"made": {"params": params}}, x)
    assert jnp.abs(before - after).max() > 1e-2


def test_dropout_is_for_training_alone():
    model = MADE((5,), (50,), dropout=0.5)
    variables = jax.jit(model.init)(jax.random.key(0))
    batch = {"image": tiny.examples(model)}
    loss = jax.jit(lambda key: model.made_loss(variables, batch, key)[0])
    losses = [float(loss(jax.random.key(i))) for i in range(3)]
    assert len(set(losses)) == 3
    quiet = replace(model, dropout=0.0)
    exact = -float(jax.jit(quiet.log_prob)(variables, batch["image"]).mean())
    assert float(quiet.made_loss(variables, batch, jax.random.key(0))[0]) == pytest.approx(
        exact, rel=1e-6
    )


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"hidden: got \(\), expected at least one layer"):
        MADE((4,), ())
    with pytest.raises(ConfigError, match=r"dropout: got 1.0, expected \[0, 1\)"):
        MADE((4,), (5,), dropout=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "bars"])
def test_it_comes_within_six_hundredths_of_a_known_entropy(name, tmp_path):
    from experiments.autoregressive.made import made_digits

    experiment = made_digits(
        settings=Settings(6000, 128, evaluate_every=6000, sample_every=6000, ema_decay=0.99),
        data=Data(name),
        optimizer=Optimizer(learning_rate=3e-3, schedule="cosine"),
        hidden=(128,),
        num_masks=1,
        dropout=0.0,
    )
    assert -1e-5 < excess(experiment, tmp_path) < 0.06
