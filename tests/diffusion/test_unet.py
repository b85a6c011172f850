"""The U-Net: shapes, what reaches what, and what cannot be built."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.diffusion import UNet, ddpm
from jaxgen.diffusion.ddpm.unet import SelfAttention, doubled
from jaxgen.errors import ConfigError

KEY = jax.random.key(0)


def perturbed(variables):
    """Variables with noise on all parameters: fresh ones end in zeros."""
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(KEY, len(leaves))
    pairs = zip(leaves, keys, strict=True)
    noisy = [leaf + 0.2 * jax.random.normal(key, leaf.shape) for leaf, key in pairs]
    return jax.tree.unflatten(structure, noisy)


@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 4, 3)])
def test_a_fresh_network_guesses_no_noise_and_a_moved_one_some_everywhere(shape):
    network = UNet(features=8, multipliers=(1, 2, 2), blocks=2, groups=4)
    x = jax.random.normal(KEY, (2, *shape))
    variables = jax.jit(network.init)(KEY, x, jnp.zeros(2))
    apply = jax.jit(network.apply)
    np.testing.assert_array_equal(apply(variables, x, jnp.zeros(2)), np.zeros(x.shape))
    found = apply(perturbed(variables), x, jnp.zeros(2))
    assert found.shape == x.shape
    assert (np.asarray(found) != 0).all()


def test_every_pixel_reaches_every_other_and_the_time_all():
    network = UNet(features=4, multipliers=(1, 1), groups=2)
    x = jax.random.normal(KEY, (1, 8, 8, 1))
    variables = perturbed(network.init(KEY, x, jnp.zeros(1)))

    def of(x, time):
        return network.apply(variables, x, time)[0, :, :, 0]

    slopes = np.asarray(jax.jit(jax.jacrev(of))(x, jnp.ones(1)))[:, :, 0, :, :, 0]  # [8, 8, 8, 8]
    assert (slopes != 0).all()
    of_time = jax.jit(jax.jacrev(of, argnums=1))(x, jnp.ones(1))
    assert (np.asarray(of_time) != 0).all()


def test_examples_of_a_batch_do_not_see_each_other():
    network = UNet(features=4, multipliers=(1, 2), groups=2, attention=(4,))
    x = jax.random.normal(KEY, (3, 4, 4, 1))
    variables = perturbed(network.init(KEY, x, jnp.zeros(3)))
    time = jnp.array([1.0, 500.0, 900.0])
    together = np.asarray(network.apply(variables, x, time))
    alone = [np.asarray(network.apply(variables, x[i : i + 1], time[i : i + 1]))[0] for i in (0, 2)]
    assert together[[0, 2]] == pytest.approx(np.stack(alone), abs=1e-5)


def test_attention_is_a_mean_of_values_by_their_scores():
    layer = SelfAttention(groups=1)
    x = jax.random.normal(KEY, (1, 2, 3, 4))
    variables = perturbed(layer.init(KEY, x))
    params = variables["params"]
    pixels = np.asarray(x, np.float64).reshape(6, 4)
    scaled = (pixels - pixels.mean()) / np.sqrt(pixels.var() + 1e-6)
    norm = params["GroupNorm_0"]
    h = scaled * np.asarray(norm["scale"]) + np.asarray(norm["bias"])
    query, key = (h @ np.asarray(params[f"Dense_{i}"]["kernel"]) for i in (0, 1))
    value = h @ np.asarray(params["Dense_2"]["kernel"]) + np.asarray(params["Dense_2"]["bias"])
    scores = np.exp(query @ key.T / 2)
    seen = scores / scores.sum(axis=1, keepdims=True) @ value
    last = seen @ np.asarray(params["Dense_3"]["kernel"]) + np.asarray(params["Dense_3"]["bias"])
    expected = pixels + last
    found = np.asarray(layer.apply(variables, x)).reshape(6, 4)
    assert found == pytest.approx(expected, abs=1e-4)


def test_doubling_repeats_each_pixel():
    x = jnp.arange(6.0).reshape(1, 2, 3, 1)
    found = np.asarray(doubled(x))[0, :, :, 0]
    np.testing.assert_array_equal(found, np.asarray(x)[0, :, :, 0].repeat(2, 0).repeat(2, 1))


def test_the_model_samples_levels_and_has_a_bound():
    model = ddpm.unet((4, 4, 1), levels=3, features=4, groups=2, num_steps=5)
    variables = perturbed(model.init(KEY))
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 50))
    assert set(np.unique(x)) <= {0.0, 1.0, 2.0}
    bound = np.asarray(jax.jit(model.elbo, static_argnums=3)(variables, x, KEY, 8))
    assert bound.shape == (50,)
    assert (bound < 0).all()


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((8,), {}, "a U-Net is for images"),
        ((6, 8, 1), {"multipliers": (1, 1, 1)}, "sides of 6 and 8 cannot be halved 2 times"),
        ((8, 8, 1), {"features": 12}, "groups: got 8, which do not divide 12 features"),
        ((8, 8, 1), {"features": 0}, "features: got 0"),
    ],
)
def test_what_cannot_be_built_is_refused(shape, fields, message):
    with pytest.raises(ConfigError, match=message):
        ddpm.unet(shape, **fields)
