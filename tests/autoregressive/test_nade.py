"""NADE against its definition: D networks of one hidden layer, each computed from the start."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known_entropy import excess

from jaxgen import data
from jaxgen.autoregressive import NADE, Ordering, chain_rule
from jaxgen.autoregressive.ordering import earlier
from jaxgen.data import Data
from jaxgen.errors import ConfigError
from jaxgen.experiment import Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.loop import loop
from jaxgen.step import evaluation_variables

ORDERS = [Ordering(), Ordering("random", 5)]


def parameters(model, seed=0):
    """Return parameters far from fresh, in float64."""
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(0)))
    random = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [jnp.asarray(random.normal(size=x.shape)) for x in leaves])


def examples(model, num=5, seed=1):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 2, (num, *model.shape)), jnp.float64)


def direct_log_prob(model, variables, x):
    """Return log p(x) by the O(D^2 H) form: a_i = c + sum of W_j x_j over j before i, anew."""
    p = variables["nade"]["params"]
    x = x.reshape(x.shape[0], -1)
    before = jnp.asarray(earlier(model.order), x.dtype)  # [i, j]: j comes before i
    a = p["c"][None, None] + jnp.einsum("ij,bj,hj->bih", before, x, p["W"])
    unit = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[model.activation]
    logits = (unit(a) * p["V"][None]).sum(axis=-1) + p["b"][None]
    return (x * logits - jax.nn.softplus(logits)).sum(axis=-1)


@pytest.mark.parametrize(  # 7 does not go into whole blocks, 12 does
    ("dim", "ordering", "activation"),
    [
        (1, ORDERS[0], "sigmoid"),
        (7, ORDERS[1], "sigmoid"),
        (12, ORDERS[0], "sigmoid"),
        (12, ORDERS[1], "relu"),
    ],
)
def test_values_and_gradients_are_those_of_the_direct_form(dim, ordering, activation):
    with jax.enable_x64(True):
        model = NADE((dim,), 5, ordering, activation)
        variables = parameters(model)
        x = examples(model) + 0.25

        def both(log_prob):
            def mean(variables, x):
                return log_prob(variables, x).mean()

            return jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))(variables, x)

        found = both(model.log_prob)
        expected = both(lambda v, x: direct_log_prob(model, v, x))
        assert abs(found[0] - expected[0]) < 1e-12
        for a, b in zip(jax.tree.leaves(found[1]), jax.tree.leaves(expected[1]), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
        if dim > 1:
            assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(expected[1]))


def test_second_derivatives_are_those_of_the_direct_form():
    with jax.enable_x64(True):
        model = NADE((4,), 3)
        variables = parameters(model)
        x = examples(model)

        def curvature(log_prob):
            def slope(v):
                grads = jax.grad(lambda v: log_prob(v, x).mean())(v)
                return sum((g**2).sum() for g in jax.tree.leaves(grads))

            return jax.jit(jax.grad(slope))(variables)

        found = curvature(model.log_prob)
        expected = curvature(lambda v, x: direct_log_prob(model, v, x))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, expected)


def test_probabilities_of_all_states_sum_to_one_in_float64():
    with jax.enable_x64(True):
        model = NADE((10,), 4, Ordering("random"))
        x = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=10)))
        total = jnp.exp(jax.jit(model.log_prob)(parameters(model), x)).sum()
        assert abs(total - 1) < 1e-10


@pytest.mark.parametrize("ordering", ORDERS, ids=str)
def test_the_weights_of_the_last_element_have_no_gradient(ordering):
    model = NADE((6,), 3, ordering)
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (8, 6)), jnp.float32)
    variables = model.init(jax.random.key(0))
    slope = jax.jit(jax.grad(lambda v: model.log_prob(v, x).sum()))(variables)
    moved = np.abs(slope["nade"]["params"]["W"]).max(axis=0) > 0
    np.testing.assert_array_equal(np.flatnonzero(~moved), model.order[-1:])


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_running_activations_give_the_logits_of_the_full_pass(activation):
    """With real values that are a function of the logits, equal values mean equal logits."""
    with jax.enable_x64(True):
        model = NADE((3, 4, 1), 6, Ordering("column"), activation)
        variables = parameters(model)

        def choose(site, params):
            return jnp.tanh(params[:, 0] + site)

        fast = jax.jit(lambda v: model.generate(v, choose, 3))(variables)
        slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, 3))(variables)
        np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-10)


def test_it_has_the_papers_number_of_parameters():
    shapes = jax.eval_shape(NADE((28, 28, 1), 500).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 785_284


def test_the_backward_pass_takes_little_memory():
    """784-500, batch 128: every hidden unit of every element would be 200 MB."""
    model = NADE((28, 28, 1), 500)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((128, 28, 28, 1), jnp.float32)
    slope = jax.jit(jax.grad(lambda v, x: model.log_prob(v, x).mean()))
    memory = slope.lower(variables, x).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 50e6


def test_sizes_are_positive():
    with pytest.raises(ConfigError, match=r"hidden: got 0, expected sizes >= 1"):
        NADE((4,), 0)


def test_another_activation_is_refused():
    with pytest.raises(ConfigError, match=r"activation: got 'tanh', expected one of sigmoid, relu"):
        NADE((4,), 3, activation="tanh")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bound"), [("chain", 0.04), ("bars", 0.06)])
def test_it_comes_close_to_a_known_entropy(name, bound, tmp_path):
    """5.61 nats or better on the chain, of 5.569; 3.44 or better on the bars, of 3.379."""
    from experiments.autoregressive.nade import nade_digits

    experiment = nade_digits(
        settings=Settings(6000, 128, evaluate_every=6000, sample_every=6000, ema_decay=0.99),
        data=Data(name),
        optimizer=Optimizer(learning_rate=1e-2, schedule="cosine"),
        hidden=64,
    )
    assert -1e-5 < excess(experiment, tmp_path) < bound


@pytest.mark.slow
def test_the_recipe_reaches_seventeen_and_a_half_nats_on_the_digits(tmp_path):
    from experiments.autoregressive.nade import nade_digits

    experiment = nade_digits()
    state = loop.run(experiment, tmp_path)
    x = data.load(experiment.data).examples("test")
    log_prob = jax.jit(experiment.model.log_prob)(evaluation_variables(state), x)
    assert -log_prob.mean() <= 17.5
