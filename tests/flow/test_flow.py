"""Flows in float64: they invert, log-determinants are Jacobians', densities sum to 1."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.flow import ICA, NICE, RealNVP
from jaxgen.flow.prior import prior

KEY = jax.random.key(0)
# dim 5 is odd: the halves are 3 and 2 elements
FLOWS = {
    "real nvp": RealNVP((5,), (8, 8), 4, dtype="float64"),
    "real nvp of images": RealNVP((2, 3, 1), (8,), 3, "logistic", "tanh", "float64"),
    "nice": NICE((5,), (8, 8), 4, dtype="float64"),
    "ica": ICA((2, 3)),
}
PLANAR = {
    "real nvp": RealNVP((2,), (8,), 4, dtype="float64"),
    "real nvp logistic": RealNVP((2,), (8,), 4, "logistic", dtype="float64"),
    "real nvp laplace": RealNVP((2,), (8,), 4, "laplace", dtype="float64"),
    "nice": NICE((2,), (8,), 4, dtype="float64"),
    "ica": ICA((2,), "laplace"),
}


def random_variables(model, size=0.3, seed=0):
    """Return variables away from their first values, in float64."""
    random = np.random.default_rng(seed)

    def moved(leaf):
        return jnp.asarray(np.asarray(leaf) + size * random.normal(size=leaf.shape))

    return jax.tree.map(moved, jax.jit(model.init)(KEY))


def examples(model, num=16, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(num, *model.shape)))


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_inverts_below_1e_10_both_ways(name):
    model = FLOWS[name]
    with jax.enable_x64(True):
        variables = random_variables(model)
        x = examples(model)
        z, _ = jax.jit(model.forward)(variables, x)
        back = jax.jit(model.inverse)(variables, z)
        assert z.shape == (16, model.dim)
        assert back.shape == x.shape
        assert float(jnp.abs(back - x).max()) < 1e-10
        assert float(jnp.abs(z - x.reshape(z.shape)).max()) > 0.1  # it is not the identity
        codes = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, model.dim)))
        decoded = jax.jit(model.decode)(variables, codes)
        assert decoded.shape == (2, 3, *model.shape)
        again = jax.jit(model.encode)(variables, decoded.reshape(6, *model.shape))
        assert float(jnp.abs(again - codes.reshape(6, -1)).max()) < 1e-10


@pytest.mark.parametrize("name", FLOWS)
def test_the_log_determinant_is_that_of_the_jacobian_below_1e_8(name):
    model = FLOWS[name]
    with jax.enable_x64(True):
        variables = random_variables(model)
        x = examples(model)

        def code(x):
            return model.encode(variables, x[None])[0]

        jacobian = jax.jit(jax.vmap(jax.jacfwd(code)))(x).reshape(16, model.dim, model.dim)
        expected = np.linalg.slogdet(np.asarray(jacobian)).logabsdet
        _, log_det = jax.jit(model.forward)(variables, x)
        assert np.asarray(log_det) == pytest.approx(expected, abs=1e-8)
        assert np.abs(expected).min() > 1e-3
        assert (np.ptp(expected) > 0.01) == isinstance(model, RealNVP)


@pytest.mark.parametrize("name", PLANAR)
def test_a_density_of_the_plane_integrates_to_one(name):
    model = PLANAR[name]
    with jax.enable_x64(True):
        variables = random_variables(model, 0.25)
        side = jnp.linspace(-40, 40, 1601)
        grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
        log_prob = jax.jit(model.log_prob)(variables, grid)
        total = float(jnp.exp(log_prob).sum() * (side[1] - side[0]) ** 2)
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", PLANAR)
def test_samples_have_the_density(name):
    """By the mean of -log p over draws, which is the entropy that a grid gives."""
    model = PLANAR[name]
    with jax.enable_x64(True):
        variables = random_variables(model, 0.25)
        log_prob = jax.jit(model.log_prob)
        drawn = jax.jit(model.sample, static_argnums=2)(variables, KEY, 20_000)
        nats = np.asarray(log_prob(variables, drawn))
        side = jnp.linspace(-40, 40, 1601)
        grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
        on_grid = log_prob(variables, grid)
        expected = float((jnp.exp(on_grid) * on_grid).sum() * (side[1] - side[0]) ** 2)
    assert nats.mean() == pytest.approx(expected, abs=4 * nats.std() / len(nats) ** 0.5)


def dependencies(num):
    """Return where the Jacobian of so many couplings is not 0, even elements of 4 first."""
    model = RealNVP((4,), (16,), num, activation="tanh", dtype="float64")
    with jax.enable_x64(True):
        variables = random_variables(model)
        x = examples(model, 1)
        jacobian = jax.jit(jax.jacfwd(partial(model.encode, variables)))(x)[0, :, 0]
    order = [0, 2, 1, 3]
    return np.abs(np.asarray(jacobian)[np.ix_(order, order)]) > 1e-9


def test_three_couplings_mix_all_elements_and_two_do_not():
    """The first keeps the even elements; the second moves them alone, by the odd ones."""
    two = dependencies(2)
    diagonal = np.eye(2, dtype=bool)
    assert (two[2:, 2:] == diagonal).all()  # odd by odd: scaled, not mixed
    assert two[2:, :2].all()
    assert two[:2].all()
    assert dependencies(3).all()


def test_a_fresh_flow_is_the_identity():
    model = RealNVP((3,), (4,), 2)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    z, log_det = model.forward(model.init(KEY), x)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(log_det, 0)


def test_an_affine_coupling_is_its_formula():
    """Of the first of two layers, whose second is the identity, and of hand-made weights."""
    model = RealNVP((2,), (), 2)
    params = model.init(KEY)["flow"]["params"]["couplings"]
    kernel = np.zeros((2, 2, 4), np.float32)
    kernel[0, 0] = [9.0, 0.4, 9.0, -0.7]  # s and t of both elements by the first one
    dense = {"kernel": jnp.asarray(kernel), "bias": params["network"]["Dense_0"]["bias"]}
    scale = jnp.asarray([[5.0, 1.5], [1.0, 1.0]])
    own = {"flow": {"params": {"couplings": {"network": {"Dense_0": dense}, "scale": scale}}}}
    z, log_det = model.forward(own, jnp.asarray([[0.5, 2.0]]))
    s = 1.5 * np.tanh(0.4 * 0.5)
    assert np.asarray(z)[0] == pytest.approx([0.5, 2.0 * np.exp(s) - 0.35], abs=1e-6)
    assert float(log_det[0]) == pytest.approx(s, abs=1e-6)
    standard = -0.5 * (np.asarray(z) ** 2 + np.log(2 * np.pi)).sum()
    log_prob = model.log_prob(own, jnp.asarray([[0.5, 2.0]]))
    assert float(log_prob[0]) == pytest.approx(standard + s, abs=1e-5)
    loss, _ = model.flow_loss(own, {"image": jnp.asarray([[0.5, 2.0]])}, KEY)
    assert float(loss) == pytest.approx(-standard - s, abs=1e-5)


def test_compiling_32_couplings_takes_at_most_twice_the_time_of_2():
    """The training gradient, of networks of 64; one trial of each first, so that both are warm."""

    def seconds(num):
        model = RealNVP((2,), (64, 64), num)
        variables = jax.eval_shape(model.init, KEY)
        batch = {"image": jax.ShapeDtypeStruct((512, 2), jnp.float32)}

        def loss(variables, batch):
            return model.flow_loss(variables, batch, KEY)[0]

        lowered = jax.jit(jax.grad(loss)).lower(variables, batch)
        text = lowered.as_text()
        start = time.process_time()
        lowered.compile()
        return time.process_time() - start, len(text.splitlines())

    seconds(2)
    few = [seconds(2) for _ in range(3)]
    many = [seconds(32) for _ in range(3)]
    assert many[0][1] == few[0][1]  # the program has as many lines
    assert min(many)[0] <= 2 * min(few)[0]


@pytest.mark.parametrize(
    ("name", "log_prob"),
    [
        ("normal", -0.5 * 0.49 - 0.5 * np.log(2 * np.pi)),
        ("logistic", -0.7 - 2 * np.log1p(np.exp(-0.7))),
        ("laplace", -0.7 - np.log(2)),
    ],
)
def test_priors_are_their_formulas(name, log_prob):
    assert float(prior(name).log_prob(jnp.float32(0.7))) == pytest.approx(log_prob, abs=1e-6)
    assert float(prior(name).log_prob(jnp.float32(-0.7))) == pytest.approx(log_prob, abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (1,)}, r"shape: got \[1\], expected 2 elements or more"),
        ({"shape": (0,)}, "shape: got"),
        ({"num_couplings": 1}, "num_couplings: got 1"),
        ({"hidden": (0,)}, "hidden: got"),
        ({"prior": "cauchy"}, "prior: got 'cauchy', expected one of normal, logistic, laplace"),
        ({"activation": "step"}, "activation: got 'step'"),
    ],
)
def test_settings_that_make_no_flow_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        RealNVP(**{"shape": (2,), **fields})
