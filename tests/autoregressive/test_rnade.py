"""RNADE: densities that integrate to 1, and the Gaussian that its smallest instance is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.autoregressive import RNADE, Ordering, chain_rule
from jaxgen.distributions.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.errors import ConfigError

MIXTURES = [MixtureOfGaussians(3), MixtureOfLaplaces(3)]


def parameters(model, scale=0.5):
    """Return parameters as after training: noise of 0.5 on all, in float64."""
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0)))
    random = np.random.default_rng(0)
    noisy = [np.asarray(x, np.float64) + scale * random.normal(size=x.shape) for x in leaves]
    return jax.tree.unflatten(tree, noisy)


def test_one_element_and_one_component_are_a_gaussian_with_its_closed_form():
    """At the mean and the standard deviation of the data the likelihood is the closed form's."""
    with jax.enable_x64(True):
        data = jnp.asarray(np.random.default_rng(0).normal(1.5, 0.7, (1000, 1)))
        model = RNADE((1,), 3, MixtureOfGaussians(1))
        std = data.std()
        params = {**model.init(jax.random.key(0))["rnade"]["params"]}
        params["V"] = jnp.zeros_like(params["V"])
        params["b"] = jnp.array([[0.0, data.mean(), jnp.log(std - model.observation.floor)]])
        mean, slope = jax.jit(
            jax.value_and_grad(lambda p: model.log_prob({"rnade": {"params": p}}, data).mean())
        )(params)
        assert abs(mean + 0.5 * jnp.log(2 * jnp.pi * jnp.e * std**2)) < 1e-10
        assert all(np.abs(leaf).max() < 1e-10 for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize("mixture", MIXTURES, ids=repr)
def test_the_density_of_one_element_integrates_to_one(mixture):
    with jax.enable_x64(True):
        model = RNADE((1,), 4, mixture)
        x = jnp.linspace(-200, 200, 400_001)
        density = jnp.exp(jax.jit(model.log_prob)(parameters(model), x[:, None]))
        assert abs(jnp.trapezoid(density, x) - 1) < 1e-6


@pytest.mark.parametrize("mixture", MIXTURES, ids=repr)
def test_the_density_of_two_elements_integrates_to_one(mixture):
    model = RNADE((2,), 6, mixture, Ordering("reversed"))
    axis = jnp.linspace(-25, 25, 400)
    x = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    variables = jax.tree.map(jnp.float32, parameters(model, 0.3))
    density = jnp.exp(jax.jit(model.log_prob)(variables, x))
    assert abs(density.sum() * (axis[1] - axis[0]) ** 2 - 1) < 1e-3


def test_the_conditionals_follow_the_recursion():
    """h_i = relu(rho_i (c + sum_{j < i} W_j x_j)), anew for every i."""
    with jax.enable_x64(True):
        model = RNADE((4,), 5, MixtureOfGaussians(2), Ordering("random", 1))
        variables = parameters(model)
        p = variables["rnade"]["params"]
        x = np.random.default_rng(1).normal(size=(3, 4))
        found = jax.jit(model.conditionals)(variables, jnp.asarray(x))
        for t, i in enumerate(model.order):
            before = model.order[:t]
            a = p["c"][None] + x[:, before] @ p["W"][:, before].T
            expected = np.maximum(p["rho"][i] * a, 0) @ p["V"][i] + p["b"][i][None]
            np.testing.assert_allclose(found[:, i], expected, rtol=0, atol=1e-12)


def test_the_fast_sampler_has_the_naive_ones_parameters():
    with jax.enable_x64(True):
        model = RNADE((5,), 6, MixtureOfGaussians(2))
        variables = parameters(model)

        def choose(site, params):
            return jnp.tanh(params.sum(axis=-1) + site)

        fast = jax.jit(lambda v: model.generate(v, choose, 3))(variables)
        slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, 3))(variables)
        np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-10)


def test_the_first_means_lie_on_an_even_grid_and_its_spacing_is_their_scale():
    model = RNADE((2,), 3, MixtureOfGaussians(5), bias_range=(-4.0, 4.0))
    bias = jax.jit(model.init)(jax.random.key(0))["rnade"]["params"]["b"]
    np.testing.assert_allclose(bias[1], [0] * 5 + [-4, -2, 0, 2, 4] + [np.log(2)] * 5, rtol=1e-6)
    single = RNADE((2,), 3, MixtureOfGaussians(1), bias_range=(0.0, 4.0))
    bias = jax.jit(single.init)(jax.random.key(0))["rnade"]["params"]["b"]
    np.testing.assert_allclose(bias[0], [0, 2, np.log(2)], rtol=1e-6)


def test_a_range_has_two_ends():
    with pytest.raises(ConfigError, match=r"bias_range: got \(1.0, 1.0\), expected low < high"):
        RNADE((2,), 3, bias_range=(1.0, 1.0))


@pytest.mark.slow
def test_the_banana_is_learnt_to_within_a_twentieth_of_a_nat(tmp_path):
    from experiments.autoregressive.rnade import rnade_banana
    from jaxgen import data
    from jaxgen.loop import loop
    from jaxgen.step import evaluation_variables

    experiment = rnade_banana()
    state = loop.run(experiment, tmp_path)
    dataset = data.load(experiment.data)
    x = dataset.examples("test")
    log_prob = np.asarray(jax.jit(experiment.model.log_prob)(evaluation_variables(state), x))
    error = log_prob.std() / len(x) ** 0.5
    assert dataset.entropy - 4 * error < -log_prob.mean() < dataset.entropy + 0.055
