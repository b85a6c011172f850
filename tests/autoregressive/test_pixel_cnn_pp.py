"""PixelCNN++: the mixture against plain NumPy, shifted convolutions, the network's laws."""

import itertools
import math
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.autoregressive import MixtureOfLogistics, chain_rule, pixel_cnn_pp
from jaxgen.autoregressive.base import drawing
from jaxgen.errors import ConfigError
from jaxgen.nn import add_bias, shifted

TINY = {"num_components": 2, "features": 3, "num_blocks": 1}


@lru_cache
def three_stages():
    """Sides that no stride divides, maps down to a quarter, and noise for parameters."""
    model = pixel_cnn_pp.build((5, 6, 1), levels=3, num_stages=3, coordinates=True, **TINY)
    leaves, tree = jax.tree.flatten(jax.eval_shape(model.init, jax.random.key(0)))
    noise = [np.random.default_rng(i).normal(size=x.shape) for i, x in enumerate(leaves)]
    return model, jax.tree.unflatten(tree, [jnp.asarray(x, jnp.float32) for x in noise])


@lru_cache
def conditional():
    """One stage, three classes, fresh parameters and a batch."""
    model = pixel_cnn_pp.build((4, 3, 1), levels=5, num_stages=1, num_classes=3, **TINY)
    x = np.random.default_rng(0).integers(0, 5, (256, 4, 3, 1))
    batch = {"image": jnp.asarray(x, jnp.float32), "label": jnp.arange(256) % 3}
    return model, jax.jit(model.init)(jax.random.key(0)), batch


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(outputs, x, levels, num):
    """log P of pixels x [B, 3] from outputs [B, 10 K], as the paper writes it, in float64."""
    value = 2 * x / (levels - 1) - 1
    rows = outputs.reshape(len(x), 10, num)
    weights = np.exp(rows[:, 0]) / np.exp(rows[:, 0]).sum(axis=-1, keepdims=True)
    means = rows[:, 1:7:2]
    log_scales = rows[:, 2:7:2]
    a = np.tanh(rows[:, 7:])
    green = means[:, 1] + a[:, 0] * value[:, :1]
    blue = means[:, 2] + a[:, 1] * value[:, :1] + a[:, 2] * value[:, 1:2]
    total = weights
    for c, mean in enumerate((means[:, 0], green, blue)):
        least = -7 + np.log(255 / (levels - 1))  # as narrow in levels as -7 is among 256
        scale = np.exp(np.maximum(log_scales[:, c], least))
        half = 1 / (levels - 1)
        at = value[:, c, None]
        upper = np.where(at > 0.999, 1, sigmoid((at + half - mean) / scale))
        lower = np.where(at < -0.999, 0, sigmoid((at - half - mean) / scale))
        total = total * (upper - lower)
    return np.log(total.sum(axis=-1))


def outputs_for(batch, num, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, 10 * num))


@partial(jax.jit, static_argnums=0)
def _log_prob_of_pixels(observation, outputs, x):
    return observation.log_prob(observation.sub_pixels(outputs, x), x).sum(axis=-1)


def log_prob_of_pixels(observation, outputs, x):
    return np.asarray(_log_prob_of_pixels(observation, outputs, x), np.float64)


def test_probabilities_of_256_levels_sum_to_one():
    with jax.enable_x64(True):
        observation = MixtureOfLogistics(256, 3)
        x = jnp.arange(256.0)
        for scale in (0.01, 1.0, 30.0):
            means_and_scales = np.random.default_rng(1).normal(size=9) * scale
            params = jnp.asarray(means_and_scales)[None] * jnp.ones((256, 1))
            assert abs(float(jnp.exp(observation.log_prob(params, x)).sum()) - 1) < 1e-12


def test_channels_in_turn_give_the_mixture_over_whole_pixels():
    """sum_c log P(x_c | x_<c) = log sum_k pi_k prod_c P_k(x_c | x_<c)."""
    x = np.array(list(itertools.product(range(5), repeat=3)), float)
    outputs = outputs_for(len(x), 4)
    found = log_prob_of_pixels(MixtureOfLogistics(5, 4), outputs, x)
    np.testing.assert_allclose(found, by_hand(outputs, x, 5, 4), atol=2e-5)


def test_eight_colours_sum_to_one():
    x = np.array(list(itertools.product(range(2), repeat=3)), float)
    outputs = np.repeat(outputs_for(1, 3), 8, axis=0)
    total = np.exp(log_prob_of_pixels(MixtureOfLogistics(2, 3), outputs, x)).sum()
    assert abs(total - 1) < 1e-6
    uncoupled = outputs.copy()
    uncoupled[:, 21:] = 0
    other = log_prob_of_pixels(MixtureOfLogistics(2, 3), uncoupled, x)
    assert np.abs(other - log_prob_of_pixels(MixtureOfLogistics(2, 3), outputs, x)).max() > 0.05


def test_one_component_without_coupling_is_a_product():
    x = np.random.default_rng(0).integers(0, 17, (50, 3)).astype(float)
    outputs = outputs_for(50, 1)
    outputs[:, 7:] = 0
    observation = MixtureOfLogistics(17, 1)
    pairs = jnp.asarray(outputs[:, 1:7].reshape(50, 3, 2))
    product = jax.jit(observation.component.log_prob)(pairs, jnp.asarray(x)).sum(axis=-1)
    np.testing.assert_allclose(log_prob_of_pixels(observation, outputs, x), product, rtol=1e-5)


def test_gradients_are_finite_at_the_smallest_scale_and_far_from_the_mean():
    observation = MixtureOfLogistics(256, 2)

    def log_prob(rows):
        x = jnp.array([[0.0, 128.0, 255.0]])
        params = observation.sub_pixels(rows.reshape(1, -1), x)
        return observation.log_prob(params, x).sum()

    rows = jnp.zeros((10, 2)).at[2:7:2].set(-7.0).at[1].set(1.0).at[5].set(-1.0).at[3].set(2.0)
    value, slopes = jax.jit(jax.value_and_grad(log_prob))(rows)
    assert math.isfinite(value)
    assert np.isfinite(slopes).all()


def test_samples_of_a_mixture_have_its_probabilities():
    observation = MixtureOfLogistics(4, 2)
    params = jnp.array([0.3, -0.4, -0.8, 0.6, -1.0, -1.5])
    many = jnp.broadcast_to(params, (40_000, 6))
    drawn = np.asarray(observation.sample(many, jax.random.key(0))).astype(int)
    wanted = np.exp(observation.log_prob(jnp.broadcast_to(params, (4, 6)), jnp.arange(4.0)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 40_000, wanted, atol=0.01)


def reached(layer, height=5, width=6, at=(3, 2)):
    """The pixels that the layer's output at `at` sees, {(row, column)}."""
    pixels = jnp.eye(height * width).reshape(-1, height, width, 1)
    seen = np.asarray(layer(pixels))[:, at[0], at[1], 0] != 0
    return {divmod(int(i), width) for i in np.flatnonzero(seen)}


def test_shifted_convolutions_see_what_is_before():

    def conv(x, height, width):
        return shifted.shifted_conv(x, jnp.ones((height, width, 1, 1)))

    def down(x):
        return shifted.shift(conv(x, 2, 3), axis=1)

    def right(x):
        return shifted.shift(conv(x, 2, 1), axis=2)

    assert reached(partial(conv, height=2, width=3)) == {(r, c) for r in (2, 3) for c in (1, 2, 3)}
    assert reached(partial(conv, height=2, width=2)) == {(r, c) for r in (2, 3) for c in (1, 2)}
    assert reached(down) == {(r, c) for r in (1, 2) for c in (1, 2, 3)}
    assert reached(right) == {(2, 1), (3, 1)}


@pytest.mark.parametrize("width", [2, 3])
def test_upsampling_is_the_transposed_convolution(width):
    """Stride 2, cropped as in the published code: half of what the width adds from each side."""
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 4, 2))
    kernel = random.normal(size=(2, width, 2, 3))
    full = np.zeros((2, 7, 7 + width, 3))
    for i, j, a, b in itertools.product(range(3), range(4), range(2), range(width)):
        full[:, 2 * i + a, 2 * j + b] += x[:, i, j] @ kernel[a, b]
    side = (width - 1) // 2
    found = shifted.shifted_upsample(jnp.asarray(x), jnp.asarray(kernel))
    np.testing.assert_allclose(found, full[:, :6, side : side + 8], rtol=1e-4, atol=1e-5)


def test_first_scales_give_zero_mean_and_unit_variance():
    x = 3 + 5 * jax.random.normal(jax.random.key(0), (8, 4, 4, 2))
    kernel = jax.random.normal(jax.random.key(1), (2, 3, 2, 6))
    params, outputs = shifted.data_dependent(kernel, lambda k: shifted.shifted_conv(x, k), 0.1)
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std((0, 1, 2)), 0.1, rtol=1e-4)
    weights = shifted.normalized(params)
    again = add_bias(shifted.shifted_conv(x, weights["kernel"]), weights["bias"])
    np.testing.assert_allclose(again, outputs, atol=1e-5)
    lengths = np.sqrt((weights["kernel"] ** 2).sum((0, 1, 2)))
    np.testing.assert_allclose(lengths, np.abs(params["scale"]), rtol=1e-5)


def test_an_output_that_does_not_vary_starts_unscaled():
    constant = jnp.ones((8, 4, 4, 2))
    params, _ = shifted.data_dependent(jnp.ones((2, 3)), lambda k: constant @ k, 0.1)
    np.testing.assert_allclose(params["scale"], 0.1)
    np.testing.assert_array_equal(params["bias"], 0)


def test_a_fresh_model_has_outputs_of_zero_mean_and_unit_variance_on_noise():
    model, variables, batch = conditional()
    params = variables["network"]["params"]
    x = model.observation.normalize(batch["image"])
    outputs = jax.jit(model.network.apply)(params, x, batch["label"])
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0, atol=0.2)
    np.testing.assert_allclose(outputs.std((0, 1, 2)), 1, atol=0.2)


def test_the_paper_has_layers_for_every_map_of_the_way_down():
    """Stages of 5, 5, 5 layers down and 5, 6, 6 up, in both streams; 10 K outputs."""
    model = pixel_cnn_pp.build((32, 32, 3), features=2)
    params = jax.eval_shape(model.init, jax.random.key(0))["network"]["params"]

    def count(start):
        return sum(name.startswith(start) and name.endswith("_in") for name in params)

    for stream in ("u", "ul"):
        assert [count(f"{stream}{level}_down") for level in range(3)] == [5, 5, 5]
        assert [count(f"{stream}{level}_up") for level in (2, 1, 0)] == [5, 6, 6]
    assert params["ul0_out"]["kernel"].shape == (2, 100)


def test_layer_caches_draw_what_full_passes_draw_at_three_resolutions():
    model, variables = three_stages()
    choose = drawing(model.observation, jax.random.key(2))
    fast = jax.jit(lambda v: model.generate(v, choose, 8))(variables)
    slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, 8))(variables)
    assert len(np.unique(slow)) == 3
    np.testing.assert_array_equal(fast, slow)


def test_the_field_is_exact_at_three_resolutions():
    model, variables = three_stages()
    depends = model.dependencies()

    def outputs(x):
        return model.conditionals(variables, x.reshape(1, *model.shape)).sum(-1).reshape(-1)

    x = np.random.default_rng(0).uniform(0, 2, (8, 30)).astype(np.float32)
    slopes = np.abs(np.asarray(jax.jit(jax.vmap(jax.jacrev(outputs)))(x))).sum(axis=0)
    np.testing.assert_array_equal(slopes > 0, depends)
    assert not (depends & ~np.tri(30, k=-1, dtype=bool)).any()


def test_the_field_of_one_stage_is_a_rectangle_and_the_left():
    """Two layers of two convolutions: u reaches 6 rows up, 5 columns each way, ul 1 more of both.

    The second convolution of the last ul-layer sees the u-stream one row up and one to the left.
    """
    model = pixel_cnn_pp.build((9, 14, 1), levels=2, num_stages=1, **TINY)
    field = model.dependencies()[8 * 14 + 7].reshape(9, 14)
    expected = np.zeros((9, 14), bool)
    expected[1:8, 1:13] = expected[8, 2:7] = True
    np.testing.assert_array_equal(field, expected)


def test_dropout_is_in_the_loss_alone():
    model, variables, batch = conditional()
    loss = jax.jit(lambda v, k: model.likelihood_loss(v, batch, k)[0])
    first, second = (float(loss(variables, jax.random.key(i))) for i in (1, 2))
    sure = replace(model, network=replace(model.network, dropout=0.0))
    exact = float(
        jax.jit(lambda v, k: sure.likelihood_loss(v, batch, k)[0])(variables, jax.random.key(0))
    )
    log_prob = jax.jit(model.log_prob)(variables, batch["image"], label=batch["label"])
    assert exact == pytest.approx(-float(log_prob.mean()), abs=1e-5)
    assert len({first, second, exact}) == 3


def test_labels_shift_layers_and_a_table_of_zeros_is_no_label():
    model, variables, batch = conditional()
    params = variables["network"]["params"]
    x = batch["image"][:3]
    label = jnp.arange(3)
    conditionals = jax.jit(lambda p: model.conditionals({"network": {"params": p}}, x, label=label))
    turned = {n: {"table": p["table"][::-1]} if "table" in p else p for n, p in params.items()}
    assert np.abs(conditionals(params) - conditionals(turned)).max() > 1e-4
    zeroed = {n: {"table": 0 * p["table"]} if "table" in p else p for n, p in params.items()}
    rest = {n: p for n, p in params.items() if "table" not in p}
    plain = replace(model, network=replace(model.network, num_classes=0))
    unconditional = jax.jit(plain.conditionals)({"network": {"params": rest}}, x)
    np.testing.assert_allclose(conditionals(zeroed), unconditional, atol=1e-6)


def test_bfloat16_is_close_to_float32():
    model, variables, batch = conditional()
    half = replace(model, network=replace(model.network, dtype="bfloat16"))
    arguments = (variables, batch["image"])
    full = jax.jit(model.log_prob)(*arguments, label=batch["label"])
    low = jax.jit(half.log_prob)(*arguments, label=batch["label"])
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, full, rtol=0.05)
    assert (np.asarray(low) != np.asarray(full)).any()


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        ((8, 8), {}, "images"),
        ((8, 8, 1), {"dropout": 1.0}, "dropout: got 1.0"),
        ((8, 8, 1), {"levels": 1}, "levels: got 1"),
        ((8, 8, 1), {"num_components": 0}, "num_components: got 0"),
        ((8, 8, 1), {"num_blocks": 0}, "num_blocks: got 0"),
    ],
)
def test_what_cannot_be_is_refused(shape, settings, said):
    with pytest.raises(ConfigError, match=said):
        pixel_cnn_pp.build(shape, **settings)


def test_a_network_for_other_channels_is_refused():
    model = pixel_cnn_pp.build((8, 8, 1))
    with pytest.raises(ConfigError, match="outputs: got 30, expected 100"):
        replace(model, shape=(8, 8, 3))


@pytest.mark.parametrize(("num_classes", "label"), [(0, np.zeros(2, int)), (3, None)])
def test_labels_come_with_classes_and_only_then(num_classes, label):
    model = pixel_cnn_pp.build((4, 4, 1), num_classes=num_classes, **TINY)
    variables = jax.eval_shape(model.init, jax.random.key(0))
    with pytest.raises(ConfigError, match=f"num_classes {num_classes}: got label"):
        model.conditionals(variables, jnp.zeros((2, 4, 4, 1)), label=label)
    with pytest.raises(ConfigError, match=f"num_classes {num_classes}: got label"):
        model.generate(variables, lambda site, params: params[:, 0], 2, label=label)
