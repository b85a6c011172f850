"""Layers of adversarial networks: the properties that define them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk, add_bias, strided
from jaxgen.nn.batch_norm import ReferenceNorm, WithReference
from jaxgen.nn.initializer import Initializer
from jaxgen.nn.minibatch import MinibatchDiscrimination, nearness
from jaxgen.nn.patches import overlapped, patches
from jaxgen.nn.strided import Down, Up

KEY = jax.random.key(0)


def test_ranks_are_not_made_equal_without_a_word():
    logits = jnp.zeros((3, 1))
    with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
        logits - jnp.zeros(3)


def test_a_bias_is_the_same_at_all_leading_axes():
    maps = jax.random.normal(KEY, (2, 3, 4))
    bias, places = jnp.arange(4.0), jnp.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(add_bias(maps, bias), np.asarray(maps) + np.asarray(bias))
    np.testing.assert_array_equal(add_bias(maps, places), np.asarray(maps) + np.asarray(places))


def test_nearness_at_hand_computed_points():
    points = jnp.asarray([[[0.0, 0.0]], [[1.0, 2.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(
        nearness(points)[:, 0], [0.18512235, 0.41766651, 0.50321472], rtol=1e-6
    )
    np.testing.assert_allclose(nearness(jnp.ones((5, 2, 3))), 4.0, rtol=1e-6)


def test_minibatch_discrimination_does_not_know_the_order_of_the_batch():
    layer, x = MinibatchDiscrimination(kernels=3, dim=2), jax.random.normal(KEY, (6, 4))
    variables, order = layer.init(KEY, x), jnp.asarray([3, 1, 0, 5, 4, 2])
    y = layer.apply(variables, x)
    assert y.shape == (6, 7)
    np.testing.assert_array_equal(y[:, :4], x)
    np.testing.assert_allclose(layer.apply(variables, x[order]), y[order], rtol=1e-5)


def test_virtual_batch_normalisation_at_hand_computed_numbers():
    layer, x = ReferenceNorm(2), jnp.asarray([[0.0], [2.0], [5.0]])
    y = layer.apply(layer.init(KEY, x), x)
    assert y[2, 0] == pytest.approx(1.2977698, abs=1e-6)
    np.testing.assert_allclose(y[:2, 0], [-1.0, 1.0], rtol=1e-4)  # by their own statistics


@pytest.mark.parametrize("shape", [(5,), (3, 3, 2)])
def test_virtual_batch_normalisation_looks_at_no_other_example(shape):
    reference, x = jax.random.normal(KEY, (4, *shape)), jax.random.normal(KEY, (3, *shape))
    layer = ReferenceNorm(4)
    variables = layer.init(KEY, reference)

    def rows(x):
        return layer.apply(variables, jnp.concatenate([reference, x]))[4:]

    np.testing.assert_array_equal(rows(x)[:1], rows(x.at[1:].set(7.0))[:1])
    np.testing.assert_allclose(rows(x[:1]), rows(x)[:1], rtol=1e-5, atol=1e-6)  # a batch of one
    assert not np.allclose(rows(x)[1:], rows(x.at[1:].set(7.0))[1:])


def test_many_references_make_virtual_normalisation_that_of_the_reference():
    reference, x = jax.random.normal(KEY, (20_000, 2)), jnp.ones((1, 2)) * 3
    both = jnp.concatenate([reference, x])
    virtual, alone = (
        layer.apply(layer.init(KEY, both), both)
        for layer in (ReferenceNorm(20_000), ReferenceNorm(20_000, virtual=False))
    )
    np.testing.assert_allclose(virtual[-1], alone[-1], rtol=1e-3)
    np.testing.assert_allclose(alone[:-1].mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(alone[:-1].var(axis=0), 1.0, rtol=1e-3)


def test_a_generator_keeps_its_reference_and_its_rows_apart():
    network = MLPGenerator((8, 8), (2,), norm="virtual", num_reference=5)
    generator, z = WithReference(network, 5), jax.random.normal(KEY, (3, 4))
    variables = generator.init({"params": KEY}, z, train=False)
    assert variables["reference"]["z"].shape == (5, 4)
    x = generator.apply(variables, z, train=True)
    assert x.shape == (3, 2)
    jacobian = jax.jacobian(lambda z: generator.apply(variables, z, train=True))(z)
    for i in range(3):
        for j in range(3):
            assert bool((jacobian[i, :, j] == 0).all()) == (i != j)
    plain = MLPGenerator((8, 8), (2,), norm="batch")
    variables = plain.init(KEY, z, train=True)

    def apply(z):
        x, _ = plain.apply(variables, z, train=True, mutable=["batch_stats"])
        return x

    assert (jax.jacobian(apply)(z)[0, :, 1] != 0).any()  # batch normalisation does look


def trained(network, x, passes):
    """Variables after so many passes in training mode."""
    variables = network.init(KEY, x, train=True)
    for _ in range(passes):
        _, mutated = network.apply(variables, x, train=True, mutable=["batch_stats"])
        variables = {**variables, **mutated}
    return variables


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    trunk, x = MLPTrunk((16,), "relu", spectral=True), jax.random.normal(KEY, (5, 8))
    variables = trained(trunk, x, 50)
    kernel = np.asarray(variables["params"]["Dense_0"]["kernel"], np.float64)
    largest = np.linalg.svd(kernel, compute_uv=False)[0]
    y = trunk.apply(variables, x, train=False)
    np.testing.assert_allclose(y, np.maximum(x @ (kernel / largest), 0), rtol=2e-3, atol=1e-4)
    scaled = jax.tree.map(lambda p: 10 * p, variables["params"])
    again = trunk.apply({**variables, "params": scaled}, x, train=False)
    np.testing.assert_allclose(again, y, rtol=2e-3, atol=1e-4)  # biases are zero


def test_a_spectrally_normalised_network_has_slope_at_most_one():
    network = Discriminator(MLPTrunk((16, 16), "relu", spectral=True), spectral=True)
    x = 3 * jax.random.normal(KEY, (10_000, 4))
    variables = trained(network, x[:8], 100)
    y = network.apply(variables, x, train=False)[0]
    other = jax.random.normal(jax.random.key(1), x.shape)
    change = jnp.abs(network.apply(variables, other, train=False)[0] - y)
    assert (change <= (1 + 1e-3) * jnp.linalg.norm(x - other, axis=-1)).all()


SIZES = [(4, 6), (5, 4), (3, 4), (2, 3), (1, 2)]


def strided_case(size, side):
    """(x, kernel, y) of a strided convolution."""
    x = jax.random.normal(KEY, (4, 2 * side, 2 * side + 2, 2))
    kernel = jax.random.normal(jax.random.key(1), (size, size, 2, 3))
    return x, kernel, jax.random.normal(jax.random.key(2), (4, side, side + 1, 3))


def flax_pair(x, kernel, y):
    """((down, theirs, arguments), (up, theirs, arguments))."""
    size = kernel.shape[:2]
    conv = nn.Conv(3, size, (2, 2), use_bias=False)
    transposed = nn.ConvTranspose(2, size, (2, 2), use_bias=False, transpose_kernel=True)

    def halved(x, k):
        return conv.apply({"params": {"kernel": k}}, x)

    def doubled(y, k):
        return transposed.apply({"params": {"kernel": k}}, y)

    return (strided.down, halved, (x, kernel)), (strided.up, doubled, (y, kernel))


def derivatives(function, first, kernel):
    """First and second ones with respect to both."""

    def scalar(x, k):
        return jnp.sin(function(x, k)).sum()

    def second(x, k):
        return sum(jnp.square(slope).sum() for slope in jax.grad(scalar, (0, 1))(x, k))

    both = jax.jit(lambda x, k: [jax.grad(f, (0, 1))(x, k) for f in (scalar, second)])
    return both(first, kernel)


def assert_near(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("backend", ["cpu", "another"])
@pytest.mark.parametrize(("size", "side"), SIZES[:2])
def test_strided_convolutions_and_their_derivatives_are_flaxs(size, side, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(strided, "_PATCHES", 64)  # an image at a time
    for ours, theirs, arguments in flax_pair(*strided_case(size, side)):
        np.testing.assert_allclose(ours(*arguments), theirs(*arguments), rtol=1e-5, atol=1e-5)
        jax.tree.map(assert_near, derivatives(ours, *arguments), derivatives(theirs, *arguments))


@pytest.mark.parametrize(("size", "side"), SIZES)
def test_both_ways_to_compute_a_strided_convolution_agree(size, side):
    x, kernel, y = strided_case(size, side)
    assert_near(strided.down_by_matmul(x, kernel), strided.down_by_lax(x, kernel))
    assert_near(strided.up_by_matmul(y, kernel), strided.up_by_lax(y, kernel))
    assert_near(strided.correlate_by_matmul(x, y, size), strided.correlate_by_lax(x, y, size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_of_odd_sides_the_half_is_rounded_up(size):
    x, kernel, y = strided_case(size, 3)
    (ours, theirs, _), _ = flax_pair(x, kernel, y)
    for odd in (x[:, 1:], x[:, :, 1:], x[:, 1:, 1:]):
        assert_near(ours(odd, kernel), theirs(odd, kernel))
    jax.tree.map(assert_near, derivatives(ours, odd, kernel), derivatives(theirs, odd, kernel))


def test_no_examples_stay_none():
    x, kernel, y = strided_case(4, 3)
    assert strided.down(x[:0], kernel).shape == (0, 3, 4, 3)
    assert strided.up(y[:0], kernel).shape == (0, 6, 8, 2)


def test_the_three_maps_are_gradients_of_one_number():
    x, kernel, y = strided_case(4, 6)
    inner = float((strided.down(x, kernel) * y).sum())
    assert inner == pytest.approx(float((x * strided.up(y, kernel)).sum()), rel=1e-4)
    assert inner == pytest.approx(float((kernel * strided.correlate(x, y, 4)).sum()), rel=1e-4)


def test_patches_are_those_of_the_drawing():
    row = jnp.arange(6.0).reshape(1, 1, 6, 1) + 1  # pixels 1 .. 6, so that padding is 0
    x = jnp.concatenate([row, 10 * row], axis=1)
    seen = patches(x, 4).reshape(3, 4, 4)  # three outputs, of 4 x 4 pixels each
    own = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 0]]
    np.testing.assert_array_equal(seen[:, 0], np.zeros((3, 4)))
    np.testing.assert_array_equal(seen[:, 1], own)
    np.testing.assert_array_equal(seen[:, 2], 10 * np.array(own))
    np.testing.assert_array_equal(seen[:, 3], np.zeros((3, 4)))
    shared = overlapped(jnp.ones((1, 1, 3, 16)), 4)[0, ..., 0]
    np.testing.assert_array_equal(shared, [[1, 2, 2, 2, 2, 1]] * 2)  # patches that hold a pixel


def test_layers_of_stride_two_are_flaxs_with_bias():
    x = jax.random.normal(KEY, (2, 8, 8, 3))
    layer, flax = Down(5, 5), nn.Conv(5, (5, 5), (2, 2))
    variables = layer.init(KEY, x)
    np.testing.assert_allclose(layer.apply(variables, x), flax.apply(variables, x), atol=1e-5)
    assert Up(3).init_with_output(KEY, x)[0].shape == (2, 16, 16, 3)


def test_initialisers_have_their_scales():
    shape = (400, 300)
    for name, scale, expected in (
        ("normal", 0.02, 0.02),
        ("he_normal", 1.0, np.sqrt(2 / 400)),
        ("he_uniform", 1.0, np.sqrt(2 / 400)),
        ("lecun_normal", 1.0, np.sqrt(1 / 400)),
        ("orthogonal", 0.8, 0.8 / np.sqrt(400)),
    ):
        assert Initializer(name, scale)(KEY, shape).std() == pytest.approx(expected, rel=0.02)
    square = Initializer("orthogonal", 0.8)(KEY, (32, 32))
    np.testing.assert_allclose(square @ square.T, 0.64 * np.eye(32), atol=1e-5)
    with pytest.raises(ConfigError, match="initializer: got 'x', expected one of lecun_normal"):
        Initializer("x")


def test_maxout_takes_the_largest_of_its_pieces():
    trunk, x = MLPTrunk((3,), pieces=4), jax.random.normal(KEY, (5, 2))
    variables = trunk.init(KEY, x, train=False)
    dense = variables["params"]["Dense_0"]
    expected = (x @ dense["kernel"] + dense["bias"][None]).reshape(5, 3, 4).max(axis=-1)
    np.testing.assert_allclose(trunk.apply(variables, x, train=False), expected, rtol=1e-5)


def test_noise_and_dropout_are_for_training_alone():
    trunk, x = MLPTrunk((8,), noise=(0.3, 0.5), dropout=(0.2, 0.5)), jnp.ones((4, 6))
    variables = trunk.init(KEY, x, train=False)

    def at(seed):
        return trunk.apply(variables, x, train=True, rngs={"noise": jax.random.key(seed)})

    assert not np.allclose(at(1), at(2))
    np.testing.assert_array_equal(at(1), at(1))
    still = trunk.apply(variables, x, train=False)
    np.testing.assert_array_equal(still[0], still[1])
