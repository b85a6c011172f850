"""The deep Boltzmann machine on tiny nets: sums over all states, the bound, the doublings."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energy.machines import log_sum, states

from jaxgen.energy import DBM, DBMLayer, bipartite
from jaxgen.energy.dbm import layers
from jaxgen.errors import ConfigError
from jaxgen.evaluation import annealed
from jaxgen.state import by_name

KEY = jax.random.key(0)
NET = DBM((2, 4), (5, 4), mean_field=50)
DEEP = DBM((3,), (2, 3, 2), mean_field=200)


def variables_of(model, seed=0, std=0.8):
    """N(0, 0.8^2) parameters in float64, of NumPy."""
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, KEY)
    own = {name: value for name, value in shapes.items() if "params" in value}
    return jax.tree.map(lambda leaf: std * random.normal(size=leaf.shape), own)


def minus_energy(model, variables):
    """-E of all states, an axis for each layer, by the definition."""
    sizes = model.sizes
    axes = [states(size) for size in sizes]
    params = [variables[f"layer_{number}"]["params"] for number in range(1, len(sizes))]
    biases = [params[0]["visible"], *(layer["hidden"] for layer in params)]

    def along(values, *places):
        shape = [1] * len(sizes)
        for place, length in zip(places, values.shape, strict=True):
            shape[place] = length
        return values.reshape(shape)

    total = sum(along(x @ bias, i) for i, (x, bias) in enumerate(zip(axes, biases, strict=True)))
    for i, layer in enumerate(params):
        total = total + along(axes[i] @ layer["weight"] @ axes[i + 1].T, i, i + 1)
    return total


@lru_cache
def exact(model):
    """log f(v) of all v, and log Z, by sums over all states."""
    joint = minus_energy(model, variables_of(model))
    log_f = log_sum(joint.reshape(len(joint), -1), 1)
    return log_f, log_sum(log_f)


@pytest.mark.parametrize("model", [NET, DEEP])
def test_log_z_is_that_of_all_states(model):
    _, log_z = exact(model)
    with jax.enable_x64(True):
        machine = jax.jit(model.joint)(variables_of(model))
        by_left = bipartite.log_partition_by_left(machine, model.observation)
        by_right = bipartite.log_partition_by_right(machine, model.observation)
        assert float(model.log_partition(variables_of(model))) == pytest.approx(log_z, abs=1e-10)
    assert float(by_left) == pytest.approx(log_z, abs=1e-10)
    assert float(by_right) == pytest.approx(log_z, abs=1e-10)


@pytest.mark.parametrize("model", [NET, DEEP])
def test_the_mean_field_bound_is_below_log_p_for_every_x(model):
    log_f, log_z = exact(model)
    x = states(model.dim).reshape(-1, *model.shape)
    with jax.enable_x64(True):
        bound = np.asarray(jax.jit(model.mean_field_bound)(variables_of(model), jnp.asarray(x)))
    gaps = (log_f - log_z) - (bound - log_z)
    assert gaps.min() > 0
    assert gaps.max() < 1.5  # of this net; it is of use


def test_updates_of_the_means_never_lower_the_bound():
    variables = variables_of(NET)
    x = jnp.asarray(states(8))
    with jax.enable_x64(True):
        means = tuple(jnp.full((256, size), 0.5) for size in NET.hidden)
        updated = jax.jit(NET.updated)
        bound_at = jax.jit(NET.bound_at)
        bounds = []
        for _ in range(12):
            bounds.append(np.asarray(bound_at(variables, x.astype(float), means)))
            means = updated(variables, x.astype(float), means)
    assert np.diff(bounds, axis=0).min() > -1e-12
    assert (bounds[-1] - bounds[0]).min() > 0


def test_the_means_begin_with_the_input_from_below_doubled():
    variables = variables_of(NET)
    x = np.array([[1, 0, 1, 1, 0, 0, 1, 0]], float)
    first, second = (variables[f"layer_{number}"]["params"] for number in (1, 2))
    mu1 = 1 / (1 + np.exp(-(2 * x @ first["weight"] + first["hidden"])))
    mu2 = 1 / (1 + np.exp(-(mu1 @ second["weight"] + second["hidden"])))
    mu1 = 1 / (1 + np.exp(-(x @ first["weight"] + mu2 @ second["weight"].T + first["hidden"])))
    once = DBM((2, 4), (5, 4), mean_field=1)
    assert np.asarray(once.means(variables, x)[0]) == pytest.approx(mu1, abs=1e-5)


def test_without_upper_weights_it_is_a_restricted_machine():
    """Times 2^n2: the upper units are coins of their own."""
    variables = variables_of(NET)
    variables["layer_2"]["params"]["weight"] *= 0
    x = states(8)
    first, second = (variables[f"layer_{number}"]["params"] for number in (1, 2))
    lower = bipartite.Bipartite(first["weight"], first["visible"], first["hidden"])
    with jax.enable_x64(True):
        free = bipartite.free_energy(lower, NET.observation, jnp.asarray(x))
        bound = jax.jit(NET.mean_field_bound)(variables, jnp.asarray(x.reshape(-1, 2, 4)))
        log_z = NET.log_partition(variables)
        lower_log_z = bipartite.log_partition(lower, NET.observation)
    alone = np.logaddexp(0, second["hidden"]).sum()
    assert np.asarray(bound) == pytest.approx(-np.asarray(free) + alone, abs=1e-9)
    assert float(log_z) == pytest.approx(float(lower_log_z) + alone, abs=1e-9)


@pytest.mark.parametrize(("num", "bound"), [(100, 0.05), (1000, 0.02)])
def test_annealing_comes_near_the_exact_log_z(num, bound):
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), variables_of(NET))
    _, log_z = exact(NET)

    @jax.jit
    def estimate(key):
        path = NET.annealing(variables)
        return annealed.log_partition(path, key, annealed.linear_schedule(num), 100).value

    errors = [abs(float(estimate(jax.random.key(seed))) - log_z) for seed in range(5)]
    assert max(errors) <= bound


def test_annealing_from_base_rates_has_the_same_end():
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), variables_of(NET))
    base = np.linspace(-1, 1, 8).astype(np.float32)
    run = jax.jit(lambda key: annealed.log_partition(NET.annealing(variables, base), key))
    assert float(run(KEY).value) == pytest.approx(exact(NET)[1], abs=0.05)


def test_a_gibbs_sweep_leaves_the_law_as_it_is():
    """A 3-2-2 net: the law of (v, h2), by the library's conditionals."""
    model = DBM((3,), (2, 2))
    variables = variables_of(model, seed=3)
    joint = minus_energy(model, variables)  # [v, h1, h2]
    law = np.exp(log_sum(joint.transpose(0, 2, 1).reshape(32, 4), 1) - log_sum(joint))
    x = np.concatenate([np.repeat(states(3), 4, 0), np.tile(states(2), (8, 1))], axis=1)
    with jax.enable_x64(True):
        machine = model.joint(variables)
        up = bipartite.right_logits(machine, model.observation, jnp.asarray(x))
        down = bipartite.left_params(machine, jnp.asarray(states(2)))
    up, down = np.asarray(up), np.asarray(down)
    to_right = np.exp(up @ states(2).T - np.logaddexp(0, up).sum(1)[:, None])
    to_left = np.exp(down @ x.T - np.logaddexp(0, down).sum(1)[:, None])
    assert law @ (to_right @ to_left) == pytest.approx(law, abs=1e-12)


def test_the_gradient_is_mean_field_minus_chains():
    model = DBM((2, 2), (3, 2), num_chains=6, steps=2)
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), variables_of(model))
    chains = model.fresh_chains(jax.random.key(4), 6)
    variables["chains"] = {"state": {"left": chains}}
    x = jnp.asarray(states(4)[::3].reshape(-1, 2, 2), jnp.float32)

    def loss(params):
        own = {name: {"params": value} for name, value in params.items()}
        return model.dbm_loss({**variables, **own}, {"image": x}, KEY)

    params = {name: variables[name]["params"] for name in ("layer_1", "layer_2")}
    slopes, (_, mutated) = jax.jit(jax.grad(loss, has_aux=True))(params)
    moved = np.asarray(mutated["chains"]["state"]["left"])
    np.testing.assert_array_equal(moved, model.negative(variables, KEY))
    v, h2 = moved[:, :4], moved[:, 4:]
    w1, w2 = (np.asarray(params[f"layer_{number}"]["weight"]) for number in (1, 2))
    c1 = np.asarray(params["layer_1"]["hidden"])
    h1 = 1 / (1 + np.exp(-(v @ w1 + h2 @ w2.T + c1)))
    rows = np.asarray(x).reshape(-1, 4)
    mu1, mu2 = (np.asarray(mean) for mean in model.means(variables, rows))
    expected = v.T @ h1 / 6 - rows.T @ mu1 / len(rows)
    assert np.asarray(slopes["layer_1"]["weight"]) == pytest.approx(expected, abs=1e-5)
    expected = h1.T @ h2 / 6 - mu1.T @ mu2 / len(rows)
    assert np.asarray(slopes["layer_2"]["weight"]) == pytest.approx(expected, abs=1e-5)
    expected = h2.mean(0) - mu2.mean(0)
    assert np.asarray(slopes["layer_2"]["hidden"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("number", "up", "down"), [(1, 2, 1), (2, 2, 2), (3, 1, 2)], ids=["bottom", "inner", "top"]
)
def test_layers_are_doubled_where_their_neighbours_are_missing(number, up, down):
    layer = DBMLayer(DEEP, number)
    variables = variables_of(layer, seed=1)
    params = variables[f"layer_{number}"]["params"]
    below = "visible" if number == 1 else "input"
    x, h = states(len(params[below])), states(len(params["hidden"]))
    logits = layer._up(variables, number, x)
    assert np.asarray(logits) == pytest.approx(
        up * x @ params["weight"] + params["hidden"], rel=1e-5
    )
    logits = layer._down(variables, number, h)
    expected = down * h @ params["weight"].T + params[below]
    assert np.asarray(logits) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_layers_gradient_is_that_of_its_statistics():
    layer = DBMLayer(DEEP, 2, steps=2)
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), variables_of(layer))
    batch = {"image": jnp.asarray(states(3), jnp.float32)}

    def loss(params):
        own = {**variables, "layer_2": {"params": params}}
        return layer.layer_loss(own, batch, KEY)[0]

    params = variables["layer_2"]["params"]
    slopes = jax.jit(jax.grad(loss))(params)
    data_key, chain_key = jax.random.split(KEY)
    x = np.asarray(layer.inputs(variables, data_key, batch["image"]))
    drawn = np.asarray(layer.negative(variables, chain_key, jnp.asarray(x)))
    weight, bias = np.asarray(params["weight"]), np.asarray(params["hidden"])
    both = [1 / (1 + np.exp(-(2 * rows @ weight + bias))) for rows in (x, drawn)]
    expected = (drawn.T @ both[1] - x.T @ both[0]) / len(x)
    assert np.asarray(slopes["weight"]) == pytest.approx(expected, abs=1e-5)
    assert np.asarray(slopes["hidden"]) == pytest.approx(
        both[1].mean(0) - both[0].mean(0), abs=1e-5
    )
    assert np.asarray(slopes["input"]) == pytest.approx(drawn.mean(0) - x.mean(0), abs=1e-5)


def test_stages_hand_weights_and_one_bias_of_each_layer_on():
    first, second, third = layers(DEEP)
    assert [layer.frozen for layer in (first, second, third)] == [
        (),
        ("layer_1",),
        ("layer_1", "layer_2"),
    ]
    old = jax.tree.map(jnp.asarray, variables_of(third, seed=2))
    old = jax.tree.map(lambda x: x.astype(jnp.float32), old)
    taken = by_name(DEEP.init(KEY), old)
    for name in ("layer_1", "layer_2", "layer_3"):
        for part in ("weight", "hidden"):
            np.testing.assert_array_equal(taken[name]["params"][part], old[name]["params"][part])
    np.testing.assert_array_equal(
        taken["layer_1"]["params"]["visible"], old["layer_1"]["params"]["visible"]
    )
    assert "input" not in taken["layer_2"]["params"]


def test_machines_of_one_layer_are_refused():
    with pytest.raises(ConfigError, match=r"hidden: got \[3\], expected two layers"):
        DBM((2, 2), (3,))
    with pytest.raises(ConfigError, match="number: got 3"):
        DBMLayer(NET, 3)
    with pytest.raises(ConfigError, match="mean_field: got 0"):
        DBM((2, 2), (3, 2), mean_field=0)
