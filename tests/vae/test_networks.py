"""Shapes and precisions of the networks, and the blocks they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.errors import ConfigError
from jaxgen.nn import Downsample, Upsample, activation, depth_to_space
from jaxgen.vae import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder


def shapes(network, x):
    """The shapes of outputs, without computing them."""
    variables = jax.eval_shape(network.init, jax.random.key(0), x)
    return jax.tree.map(lambda y: y.shape, jax.eval_shape(network.apply, variables, x))


def test_depth_to_space_lays_channels_out_as_blocks():
    x = jnp.arange(16.0).reshape(1, 1, 2, 8)  # two pixels of 4 x 2 channels
    top, bottom = [[0, 1], [2, 3], [8, 9], [10, 11]], [[4, 5], [6, 7], [12, 13], [14, 15]]
    np.testing.assert_array_equal(depth_to_space(x), [[top, bottom]])


@pytest.mark.parametrize(
    ("sides", "smaller"), [((5, 6), (2, 2)), ((8, 4), (2, 1)), ((28, 7), (7, 2))]
)
def test_two_halvings_round_up(sides, smaller):
    assert shapes(Downsample((3, 4)), jnp.zeros((2, *sides, 1))) == (2, *smaller, 4)


def test_two_doublings_multiply_the_sides_by_four():
    assert shapes(Upsample((3, 2)), jnp.zeros((2, 2, 3, 5))) == (2, 8, 12, 2)


@pytest.mark.parametrize("shape", [(5, 6, 1), (4, 8, 3), (1, 1, 2)])
def test_convolutional_networks_fit_any_sides(shape):
    encoder, decoder = ConvEncoder((2, 3), 4), ConvDecoder((3, 2), shape, 2, hidden=5)
    assert shapes(encoder, jnp.zeros((7, *shape))) == ((7, 4), (7, 4))
    assert shapes(decoder, jnp.zeros((7, 4))) == (7, *shape, 2)
    assert shapes(decoder, jnp.zeros((2, 7, 4))) == (2, 7, *shape, 2)


@pytest.mark.parametrize("hidden", [(), (3,), (3, 5)])
def test_dense_networks_fit_any_shape(hidden):
    encoder, decoder = MLPEncoder(hidden, 4), MLPDecoder(hidden, (2, 3, 1), 2)
    assert shapes(encoder, jnp.zeros((7, 2, 3, 1))) == ((7, 4), (7, 4))
    assert shapes(decoder, jnp.zeros((2, 7, 4))) == (2, 7, 2, 3, 1, 2)


def test_a_shared_scale_is_one_learned_number():
    decoder = MLPDecoder((), (3,), 2, shared_scale=True)
    variables = decoder.init(jax.random.key(0), jnp.zeros((1, 2)))
    assert variables["params"]["log_scale"].shape == ()
    variables["params"]["log_scale"] = jnp.asarray(0.7)
    params = decoder.apply(variables, jax.random.normal(jax.random.key(1), (5, 2)))
    np.testing.assert_allclose(params[..., 1], np.full((5, 3), 0.7), rtol=1e-6)
    assert len(np.unique(params[..., 0])) == 15


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_bfloat16_computes_in_bfloat16_between_float32_ends(network):
    shape = (2, 2, 1)
    make = lambda dtype: {  # noqa: E731
        "mlp": lambda: tiny.vae.mlp(shape, latent_dim=2, hidden=(3,), dtype=dtype),
        "conv": lambda: tiny.vae.conv(shape, latent_dim=2, widths=(2,), dtype=dtype),
    }[network]()
    model, exact = make("bfloat16"), make("float32")
    variables = jax.jit(model.init)(jax.random.key(0))
    batch = {"image": tiny.examples(model), "step": jnp.zeros((), jnp.int32)}

    def loss(model, variables):
        return model.vae_loss(variables, batch, jax.random.key(1))[0]

    value, gradients = jax.jit(jax.value_and_grad(lambda v: loss(model, v)))(variables)
    encoded = jax.eval_shape(model.posterior, variables, batch["image"])
    decoded = jax.eval_shape(model.decode, variables, jnp.ones((3, 2)))
    for leaf in jax.tree.leaves((variables, gradients, encoded, decoded, value)):
        assert leaf.dtype == jnp.float32
    jaxpr = str(jax.make_jaxpr(lambda v: loss(model, v))(variables))
    assert "bf16" in jaxpr
    assert "bf16" not in str(jax.make_jaxpr(lambda v: loss(exact, v))(variables))
    assert float(value) == pytest.approx(
        float(jax.jit(lambda v: loss(exact, v))(variables)), rel=0.05
    )


def test_an_unknown_activation_names_the_choices():
    with pytest.raises(ConfigError, match="got 'swish', expected one of tanh, relu"):
        activation("swish")
