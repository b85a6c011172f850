"""Shapes and precisions of the networks, and the blocks they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen.distributions.observation import DiscretizedLogistic, Gaussian
from jaxgen.errors import ConfigError
from jaxgen.nn import MLP, Downsample, Upsample, activation, depth_to_space
from jaxgen.vae import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder, iwae, linear_gaussian, vae


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


def test_a_convolutional_decoder_mirrors_its_encoder_and_begins_at_the_smallest_sides():
    model = vae.conv((5, 6, 1), latent_dim=2, widths=(2, 3))
    assert (model.encoder.widths, model.decoder.widths) == ((2, 3), (3, 2))
    variables = jax.eval_shape(model.decoder.init, jax.random.key(0), jnp.zeros((1, 2)))
    widths = {leaf.shape[-1] for leaf in jax.tree.leaves(variables["params"]["MLP_0"])}
    assert widths == {256, 2 * 2 * 3}  # 5 and 6 are halved twice, rounded up


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

    def make(dtype):
        if network == "mlp":
            return tiny.vae.mlp(shape, latent_dim=2, hidden=(3,), dtype=dtype)
        return tiny.vae.conv(shape, latent_dim=2, widths=(2,), dtype=dtype)

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


_LARGE = {
    "linear": lambda: linear_gaussian.linear((6,), latent_dim=2),
    "linear, a scale each": lambda: vae.mlp((6,), latent_dim=2, hidden=(), observation=Gaussian()),
    "relu": lambda: vae.mlp(
        (6,), latent_dim=2, hidden=(8, 8), activation="relu", observation=Gaussian()
    ),
    "elu, iwae": lambda: iwae.mlp(
        (6,), latent_dim=2, hidden=(8,), activation="elu", observation=Gaussian(), num_samples=3
    ),
    "convolutions": lambda: vae.conv(
        (4, 4, 1), latent_dim=2, widths=(3, 4), observation=Gaussian()
    ),
    "levels": lambda: vae.conv(
        (4, 4, 1), latent_dim=2, widths=(3,), observation=DiscretizedLogistic(4)
    ),
}


@pytest.mark.parametrize("name", _LARGE)
def test_the_first_loss_is_finite_however_large_the_data_are(name):
    model = _LARGE[name]()
    (player,) = model.players(optax.identity())
    variables = jax.jit(model.init)(jax.random.key(0))
    loss = jax.jit(jax.value_and_grad(lambda v, b, k: player.loss(v, b, k)[0]))
    x = jax.random.normal(jax.random.key(1), (16, *model.shape))
    for size in (1.0, 50.0, 1e4):
        value, gradient = loss(variables, {"image": size * x}, jax.random.key(2))
        # near that of N(0, 1) for each element, not an exponential of the data's size
        assert 0 < float(value) < 30 * x[0].size * size**2
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_scale_begins_at_one_where_it_would_be_as_large_as_the_data():
    x = 1e3 * jax.random.normal(jax.random.key(1), (4, 6))
    for encoder in (MLPEncoder((), 2), MLPEncoder((5,), 2, "relu"), MLPEncoder((5,), 2, "elu")):
        mean, log_std = encoder.init_with_output(jax.random.key(0), x)[0]
        assert jnp.abs(mean).max() > 1
        assert (log_std == 0).all()
    params = MLPDecoder((), (3,), 2).init_with_output(jax.random.key(0), x)[0]
    assert (params[..., 1] == 0).all()
    assert (params[..., 0] != 0).all()


def test_behind_bounded_units_nothing_begins_at_zero():
    x = jnp.zeros((1, 6))
    made = MLPEncoder((5,), 2).init(jax.random.key(0), x)["params"]["MLP_0"]
    assert (made["Dense_1"]["kernel"] != 0).all()
    logits = MLPDecoder((), (3,), 4).init(jax.random.key(0), x)["params"]["MLP_0"]
    assert (logits["Dense_0"]["kernel"] != 0).all()
    one = MLPDecoder((5,), (3,), 1, activation="relu").init(jax.random.key(0), x)["params"]["MLP_0"]
    assert (one["Dense_1"]["kernel"] != 0).all()
    assert MLP((3,), 2).kernel_init is None
