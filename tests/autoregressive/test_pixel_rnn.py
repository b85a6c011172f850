"""PixelRNN: receptive fields as the paper's structure has them, the LSTMs against plain loops."""

import importlib
import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import DiagonalBiLSTM, RowLSTM, chain_rule, pixel_rnn
from jaxgen.autoregressive.base import drawing
from jaxgen.autoregressive.pixel_rnn import multi_scale
from jaxgen.autoregressive.pixel_rnn.skew import skew, unskew
from jaxgen.distributions.observation import Categorical
from jaxgen.errors import ConfigError
from jaxgen.step import init_state, train_step

SIDE = 9
DTYPES = ("float32", "bfloat16")
KINDS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


def noisy(init, scale=0.5, seed=7):
    """Parameters of a size that makes everything depend on everything it can."""
    shapes = jax.eval_shape(init, jax.random.key(0))
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(scale * random.normal(size=x.shape)), shapes)


def reads(function, shape, examples=4):
    """Whether d function(x)_i / d x_j is anything but zero, [D, D], in float64."""
    dim = math.prod(shape)

    def flat(x):
        return function(x.reshape(1, *shape)).reshape(dim, -1)

    x = np.random.default_rng(0).random((examples, dim))
    slopes = jax.jit(jax.vmap(jax.jacrev(flat)))(jnp.asarray(x))
    return np.asarray(abs(slopes).sum(axis=(0, 2)) > 0)


@lru_cache
def model_reads(kind, num_layers, shape=(SIDE, SIDE, 1), **settings):
    with jax.enable_x64(True):
        model = _float64(kind, num_layers, shape, **settings)
        variables = noisy(model.init)
        return model, reads(lambda x: model.conditionals(variables, x), shape)


def _float64(kind, num_layers, shape, features=4, **settings):
    settings = {"head": 36, **settings}  # so many that not all of a pixel's units are dead
    return pixel_rnn.build(
        KINDS[kind], shape, num_layers=num_layers, features=features, dtype="float64", **settings
    )


def places(n=SIDE):
    return [(r, c) for r in range(n) for c in range(n)]


def as_matrix(sees):
    """[D, D] from a predicate of (r, c) and (row, column)."""
    return np.array([[sees(r, c, i, j) for i, j in places()] for r, c in places()])


def row_field(num_layers):
    """With the 7x7 mask-A convolution first, as the reference sheet has it."""

    def sees(r, c, i, j):
        k = r - i
        if k == 0:
            return c - num_layers - 3 <= j <= c - 1
        return k > 0 and c - k - num_layers - 3 <= j <= c + k + 2

    return as_matrix(sees)


def diagonal_field(num_layers):
    """All earlier pixels but the last of the row above, until the window reaches it."""
    del num_layers
    last = SIDE - 1

    def sees(r, c, i, j):
        hidden = (i, j) == (r - 1, last) and c + 3 < last
        return (i, j) < (r, c) and not hidden

    return as_matrix(sees)


@pytest.mark.parametrize(
    ("kind", "field", "num_layers"),
    [("row", row_field, 1), ("row", row_field, 3), ("diagonal", diagonal_field, 2)],
)
def test_the_receptive_field_is_the_one_of_the_published_design(kind, field, num_layers):
    model, found = model_reads(kind, num_layers)
    np.testing.assert_array_equal(found, field(num_layers))
    np.testing.assert_array_equal(model.dependencies(), found)


@pytest.mark.parametrize("num_layers", [1, 7])
def test_one_bilstm_already_sees_all_that_any_number_see(num_layers):
    model = pixel_rnn.diagonal_bilstm((SIDE, SIDE, 1), num_layers=num_layers, features=2)
    np.testing.assert_array_equal(model.dependencies(), diagonal_field(num_layers))


def test_depth_widens_a_row_lstm_on_the_left_alone():
    deep = pixel_rnn.row_lstm((SIDE, SIDE, 1), num_layers=7, features=2).dependencies()
    np.testing.assert_array_equal(deep, row_field(7))


def layer_field(kind):
    """One layer alone, which sees its own pixel."""
    if kind == "diagonal":
        return as_matrix(lambda r, c, i, j: (i, j) <= (r, c))
    return as_matrix(lambda r, c, i, j: r >= i and c - (r - i) - 1 <= j <= c + (r - i))


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_of_a_layer_alone(kind):
    with jax.enable_x64(True):
        layer = KINDS[kind](features=1, dtype="float64")
        weights = layer.apply(noisy(layer.init))
        spread = jnp.asarray([[0.5, -1.0]])  # one map -> 2h
        found = reads(lambda x: weights.forward(x @ spread, None), (SIDE, SIDE, 1), examples=1)
    np.testing.assert_array_equal(found, layer_field(kind))


def test_without_the_shift_the_pixels_to_the_right_leak(monkeypatch):
    """The second direction at (r, c) has read them: the law above must notice."""
    # By its name: `pixel_rnn.diagonal_bilstm` is the builder.
    module = importlib.import_module(DiagonalBiLSTM.__module__)
    true = module.shift_down

    def unshifted(x, axis=1):
        return x if axis == 1 else true(x, axis)

    model_reads.cache_clear()
    monkeypatch.setattr(module, "shift_down", unshifted)
    _, found = model_reads("diagonal", 2)
    model_reads.cache_clear()
    later = found & as_matrix(lambda r, c, i, j: (i, j) >= (r, c))
    centre = later[4 * SIDE + 4].reshape(SIDE, SIDE)
    # Itself and three: the feature of the last pixel does not contain it.
    assert list(zip(*np.nonzero(centre), strict=True)) == [(4, 4), (4, 5), (4, 6), (4, 7)]


def rgb_field(kind):
    """Elements of a 2x4 RGB image behind a 3x3 mask-A convolution and one layer."""

    def sees(r, c, channel, i, j, other):
        if (i, j) == (r, c):
            return other < channel
        if kind == "row":
            return (i == r and c - 2 <= j < c) or (i == r - 1 and c - 3 <= j <= c + 1)
        hidden = (i, j, other) == (r - 1, 3, 2) and c + 1 < 3  # of the last pixel above, its B
        return (i, j) < (r, c) and not hidden

    elements = [(r, c, channel) for r in range(2) for c in range(4) for channel in range(3)]
    return np.array([[sees(*a, *b) for b in elements] for a in elements])


@pytest.mark.parametrize("kind", KINDS)
def test_red_green_and_blue_see_those_before_them(kind):
    settings = {"features": 6, "kernel_size": 3, "observation": Categorical(4)}
    model, found = model_reads(kind, 1, (2, 4, 3), **settings)
    pixel = found.reshape(8, 3, 8, 3)[5, :, 5]
    np.testing.assert_array_equal(pixel, [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(found, rgb_field(kind))
    np.testing.assert_array_equal(model.dependencies(), found)


@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_change_outputs_and_no_dependency(kind):
    settings = {"num_layers": 1, "features": 3, "head": 16}
    plain = pixel_rnn.build(KINDS[kind], (3, 4, 1), **settings)
    told = pixel_rnn.build(KINDS[kind], (3, 4, 1), coordinates=True, **settings)
    np.testing.assert_array_equal(plain.dependencies(), told.dependencies())
    variables = noisy(told.init)
    black = jnp.zeros((1, 3, 4, 1))
    conditionals = jax.jit(told.conditionals)
    with_coordinates = conditionals(variables, black)
    layer = variables["pixel_rnn"]["params"]["layers_0"]
    layer["context"] = jnp.zeros_like(layer["context"])
    assert (np.abs(conditionals(variables, black) - with_coordinates) > 0).all()


@pytest.mark.parametrize("shape", [(3, 5), (4, 2), (1, 3), (3, 1)])
def test_skewing_shifts_row_r_by_r_and_unskewing_undoes_it(shape):
    height, width = shape
    x = np.random.default_rng(0).normal(size=(2, height, width, 3))
    skewed = skew(x)
    assert skewed.shape == (2, height, height + width - 1, 3)
    for r in range(height):
        np.testing.assert_array_equal(skewed[:, r, r : r + width], np.float32(x[:, r]))
        assert not np.delete(skewed[:, r], np.s_[r : r + width], axis=1).any()
    np.testing.assert_array_equal(unskew(skewed, width), np.float32(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(gates, c):
    o, f, i, g = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def loop_row(w, x, context):
    """Pixel by pixel, one example."""
    height, width, _ = x.shape
    size = w.first.shape[1]
    h, c = np.zeros((2, height, width, size))
    kernel = np.asarray(w.states).reshape(3, size, -1)
    for r in range(height):
        for s in range(width):
            gates = w.bias + x[r, s] @ w.inputs[1] + context[r, s] @ w.context
            gates += x[r, s - 1] @ w.inputs[0] if s else 0
            for tap in (-1, 0, 1):
                if 0 <= s + tap < width:
                    above = h[r - 1, s + tap] if r else w.first[0]
                    gates += above @ kernel[tap + 1]
            h[r, s], c[r, s] = cell(gates, c[r - 1, s] if r else w.first[1])
    return x + h @ w.up + w.up_bias[None, None]


def loop_diagonal(w, x, context):
    """Pixel by pixel, one example; the second direction on the mirrored image."""
    height, width, _ = x.shape
    size = w.first.shape[2]

    def direction(d, x, context):
        h, c = np.zeros((2, height, width, size))
        for r in range(height):
            for s in range(width):
                left = (h[r, s - 1], c[r, s - 1]) if s else w.first[d]
                above = h[r - 1, s] if r else np.zeros(size)
                gates = w.bias[d] + x[r, s] @ w.inputs[d] + context[r, s] @ w.context[d]
                gates += left[0] @ w.states[d, 0] + above @ w.states[d, 1]
                h[r, s], c[r, s] = cell(gates, left[1])
        return h

    total = direction(0, x, context)
    total[1:] += direction(1, x[:, ::-1], context[:, ::-1])[:-1, ::-1]
    return x + total @ w.up + w.up_bias[None, None]


@pytest.mark.parametrize(("kind", "loop"), [("row", loop_row), ("diagonal", loop_diagonal)])
def test_a_layer_is_a_double_loop_over_pixels(kind, loop):
    with jax.enable_x64(True):
        layer = KINDS[kind](features=3, context_dim=2, dtype="float64")
        weights = layer.apply(noisy(layer.init))
        random = np.random.default_rng(1)
        x = random.normal(size=(2, 4, 5, 6))
        context = random.normal(size=(2, 4, 5, 2))
        fast = np.asarray(jax.jit(type(weights).forward)(weights, x, context))
        weights = jax.tree.map(np.asarray, weights)
    slow = np.stack([loop(weights, *pair) for pair in zip(x, context, strict=True)])
    assert np.abs(fast - slow).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_paper(kind):
    h = 6
    model = pixel_rnn.build(KINDS[kind], (5, 5, 3), features=h, num_layers=1, head=9)
    params = jax.eval_shape(model.init, jax.random.key(0))["pixel_rnn"]["params"]
    count = sum(x.size for x in jax.tree.leaves(params["layers_0"]))
    up = h * 2 * h + 2 * h
    if kind == "row":  # two live taps of the masked 3x1, three of the state's, first h and c
        assert count == 2 * (2 * h * 4 * h) + 4 * h + 3 * h * 4 * h + 2 * h + up
    else:
        assert count == 2 * (2 * h * 4 * h + 4 * h + 2 * h * 4 * h + 2 * h) + up
    assert params["kernel"].shape == (4, 7, 3, 2 * h)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((5, 6, 1), {"features": 4, "coordinates": True}),
        ((2, 3, 3), {"features": 3, "observation": Categorical(3)}),
    ],
)
def test_the_cached_sampler_draws_what_the_naive_one_draws(kind, shape, settings):
    model = pixel_rnn.build(KINDS[kind], shape, num_layers=2, head=6, **settings)
    variables = noisy(model.init)
    choose = drawing(model.observation, jax.random.key(5))
    fast = jax.jit(lambda v: model.generate(v, choose, 16))(variables)
    slow = jax.jit(lambda v: chain_rule.naive(model, v, choose, 16))(variables)
    assert len(np.unique(slow, axis=0)) > 8
    np.testing.assert_array_equal(fast, slow)


def test_bfloat16_is_close_to_float32():
    """The same parameters: outputs of size one differ by a few of bfloat16's steps."""
    models = [
        pixel_rnn.diagonal_bilstm((4, 4, 1), num_layers=1, features=4, dtype=t) for t in DTYPES
    ]
    variables = jax.jit(models[0].init)(jax.random.key(0))
    x = tiny.examples(models[0], 4)
    exact, rough = (jax.jit(m.conditionals)(variables, x) for m in models)
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(exact - rough).max() < 0.05


def test_the_large_image_knows_the_small_one_whole():
    """Every fourth pixel first: those below and to the right of a pixel count too."""
    model = multi_scale.build(
        RowLSTM, (4, 8, 1), widths=(2, 3), num_layers=1, features=4, head=36, kernel_size=3
    )
    np.testing.assert_array_equal(model.order[:3], [0, 4, 1])
    variables = noisy(model.init)
    found = reads(lambda x: model.conditionals(variables, x), model.shape)
    np.testing.assert_array_equal(model.dependencies(), found)
    assert found[1, 4]  # which is later in the raster
    assert not found[4, 1:4].any()  # of the small image: the others are not read


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pixel_rnn.row_lstm((2, 3)), "images"),
        (lambda: pixel_rnn.row_lstm((2, 3, 1), kernel_size=4), "kernel_size: got 4"),
        (lambda: pixel_rnn.row_lstm((2, 3, 1), num_layers=0), "num_layers: got 0"),
        (
            lambda: pixel_rnn.diagonal_bilstm((2, 3, 3), features=4).init(jax.random.key(0)),
            "groups",
        ),
        (lambda: multi_scale.build(RowLSTM, (3, 4, 1)), "1/2 of those"),
        (
            lambda: pixel_rnn.row_lstm((2, 3, 1), context_dim=2)._beside(None),
            "context: got None",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.slow
def test_two_bilstms_learn_bars_to_within_a_thirtieth_of_a_nat():
    """Entropy 3.379 nats, 16 ln 2 = 11.09 at first; exact over all 2^16 images."""
    import optax

    from jaxgen.data.readers.synthetic import bars_draw, bars_log_prob

    model = pixel_rnn.diagonal_bilstm((4, 4, 1), num_layers=2, features=16)
    players = model.players(optax.adam(3e-3))
    state = init_state(jax.random.key(1), model.init(jax.random.key(0)), players)
    step = jax.jit(lambda s, b: train_step(players, s, b), donate_argnums=0)
    images = ((np.arange(2**16)[:, None] >> np.arange(16)) & 1).reshape(-1, 4, 4, 1)
    log_p = bars_log_prob(images)
    log_prob = jax.jit(model.log_prob)

    def measure(variables):
        parts = [log_prob(variables, np.float32(part)) for part in np.split(images, 16)]
        log_q = np.concatenate(parts).astype(np.float64)
        support = np.isfinite(log_p)
        return np.exp(log_q).sum(), -(np.exp(log_p[support]) * log_q[support]).sum()

    assert abs(measure(state.variables)[1] - 16 * math.log(2)) < 0.5
    random = np.random.default_rng(0)
    bounds = {600: 3.5, 1500: 3.41}
    for number in range(1, 1501):
        state, _ = step(state, {"image": np.float32(bars_draw(random, 100))})
        if number in bounds:
            total, nats = measure(state.variables)
            assert abs(total - 1) < 1e-4
            assert 3.379 < nats < bounds[number]
