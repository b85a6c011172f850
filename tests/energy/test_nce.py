"""Noise-contrastive estimation: its optimum, its gradient, log Z learnt, and its chains."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energy.machines import law, log_sum, log_weights, machine, states, variables_of
from scipy import optimize

from jaxgen.autoregressive import tabular
from jaxgen.distributions import Bernoulli, Gaussian
from jaxgen.energy import NCE, RBM, DiagonalNormal, QuadraticEnergy
from jaxgen.errors import ConfigError

KEY = jax.random.key(0)
TEACHER = machine(6, 4)
X = states(6)


@dataclass(frozen=True)
class Independent:
    """Independent bits of given probabilities, the marginals of the teacher."""

    shape: tuple[int, ...] = (6,)
    observation: Bernoulli = Bernoulli()  # noqa: RUF009 (frozen)

    @property
    def logits(self):
        """Of each bit."""
        mean = law(TEACHER) @ X
        return jnp.asarray(np.log(mean) - np.log1p(-mean))

    def init(self, key):
        """Nothing is learnt."""
        return {}

    def log_prob(self, variables, x):
        """Exact, [B]."""
        return Bernoulli().log_prob(self.logits[None, :, None], x).sum(axis=-1)

    def sample(self, variables, key, num):
        """[num, 6]."""
        return jax.random.bernoulli(key, jax.nn.sigmoid(self.logits), (num, 6)).astype(float)


def with_normaliser(found, c):
    return {**variables_of(found), "normaliser": {"params": {"c": jnp.asarray(c)}}}


def expected_cost(model, p_d, p_n, variables):
    """The loss under probabilities of all states in the place of draws."""
    logits = model.logits(variables, jnp.asarray(X))
    told = (p_d * jax.nn.softplus(-logits)).sum()
    return told + model.ratio * (p_n * jax.nn.softplus(logits)).sum()


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(float)


@pytest.mark.parametrize("ratio", [1, 5])
def test_log_z_of_a_teacher_is_recovered(ratio):
    """A 6-4 machine against bits at its own marginals, exact expectations: BFGS near the truth."""
    with jax.enable_x64(True):
        model = NCE(RBM((6,), 4, learning="cd"), Independent(), ratio)
        p_d = law(TEACHER)
        p_n = np.exp(np.asarray(model.noise.log_prob({}, jnp.asarray(X))))
        log_z = log_sum(log_weights(TEACHER))
        truth = with_normaliser(TEACHER, -log_z)
        like, unflatten = jax.flatten_util.ravel_pytree(truth)

        def cost(values):
            return expected_cost(model, p_d, p_n, unflatten(values))

        both = jax.jit(jax.value_and_grad(cost))
        assert np.abs(both(like)[1]).max() < 1e-12
        logits = np.asarray(model.logits(truth, jnp.asarray(X)))
        best = p_d / (p_d + ratio * p_n)
        assert 1 / (1 + np.exp(-logits)) == pytest.approx(best, abs=1e-12)

        def as_floats(values):
            value, slope = both(jnp.asarray(values))
            return float(value), np.asarray(slope, float)

        start = np.asarray(like) + 0.1 * np.random.default_rng(0).normal(size=len(like))
        done = optimize.minimize(
            as_floats, start, jac=True, method="BFGS", options={"gtol": 1e-11, "maxiter": 5000}
        )
        found = unflatten(jnp.asarray(done.x))
        learnt = float(model.learnt_log_partition(found))
        own = float(model.log_partition(found))
        log_p = -np.asarray(model.energy(found, jnp.asarray(X))) - own
    assert abs(learnt - own) < 1e-6
    assert p_d @ (np.log(p_d) - log_p) < 1e-8


def test_against_itself_the_gradient_is_half_of_the_likelihoods():
    with jax.enable_x64(True):
        model = NCE(RBM((6,), 4, learning="cd"), Independent())
        student = machine(6, 4, seed=3)
        variables = variables_of(student)
        log_z = log_sum(log_weights(student))
        p_d, p_m = law(TEACHER), law(student)
        x = jnp.asarray(X)

        def contrastive(params):
            energy = model.unnormalised.energy({"rbm": {"params": params}}, x)
            logits = -energy - log_z - jnp.asarray(np.log(p_m))  # c at the truth
            told = (p_d * jax.nn.softplus(-logits)).sum()
            return told + (p_m * jax.nn.softplus(logits)).sum()

        def likelihood(params):
            own = {"rbm": {"params": params}}
            log_p = -model.unnormalised.energy(own, x) - model.unnormalised.log_partition(own)
            return -(p_d * log_p).sum()

        params = variables["rbm"]["params"]
        slopes = [flat(jax.jit(jax.grad(f))(params)) for f in (contrastive, likelihood)]
    assert slopes[0] == pytest.approx(0.5 * slopes[1], abs=1e-12)


def normal(mean, precision, c):
    """Variables of a 1-D quadratic energy with noise N(0, 4)."""
    energy = {"root": jnp.sqrt(jnp.asarray([[precision]])), "mean": jnp.asarray([mean])}
    noise = {"mean": jnp.zeros(1), "log_std": jnp.asarray([np.log(2.0)])}
    return {
        "energy": {"params": energy},
        "noise": {"params": noise},
        "normaliser": {"params": {"c": jnp.asarray(c)}},
    }


@pytest.mark.parametrize("ratio", [1, 10])
def test_the_gradient_vanishes_at_the_truth_and_is_the_formula(ratio):
    """By quadrature in one dimension: data N(0, 1.5^2), noise N(0, 4)."""
    model = NCE(QuadraticEnergy((1,)), DiagonalNormal((1,)), ratio)
    grid = np.linspace(-30, 30, 20_001)[:, None]
    width = grid[1, 0] - grid[0, 0]
    p_d = np.exp(-0.5 * (grid[:, 0] / 1.5) ** 2) / (1.5 * np.sqrt(2 * np.pi)) * width
    p_n = np.exp(-0.5 * (grid[:, 0] / 2) ** 2) / (2 * np.sqrt(2 * np.pi)) * width
    c = -np.log(1.5 * np.sqrt(2 * np.pi))

    def cost(moved, fixed):
        logits = model.logits({**fixed, **moved}, jnp.asarray(grid))
        told = (p_d * jax.nn.softplus(-logits)).sum()
        return told + ratio * (p_n * jax.nn.softplus(logits)).sum()

    def moved(variables):
        return {name: variables[name] for name in ("energy", "normaliser")}

    with jax.enable_x64(True):
        slopes = jax.jit(jax.grad(cost))
        truth = normal(0.0, 1 / 1.5**2, c)
        assert np.abs(flat(slopes(moved(truth), truth))).max() < 1e-8
        other = normal(0.4, 0.7, c + 0.3)
        found = slopes(moved(other), other)
        h = 1 / (1 + np.exp(-np.asarray(model.logits(other, jnp.asarray(grid)))))
    weight = -((1 - h) * p_d - ratio * h * p_n)
    assert float(found["normaliser"]["params"]["c"]) == pytest.approx(weight.sum(), abs=1e-10)
    of_mean = weight @ (0.7 * (grid[:, 0] - 0.4))
    assert float(found["energy"]["params"]["mean"][0]) == pytest.approx(of_mean, abs=1e-10)


@pytest.mark.parametrize(("ratio", "num"), [(1, 100_000), (10, 30_000)])
def test_a_gaussian_and_its_log_z_are_learnt_from_draws(ratio, num):
    """Points of N(0, 1.5^2), noise N(0, 4): precision 0.4444, c -1.3244."""
    model = NCE(QuadraticEnergy((1,)), DiagonalNormal((1,)), ratio)
    random = np.random.default_rng(0)
    x = jnp.asarray(1.5 * random.normal(size=(num, 1)), jnp.float32)
    y = jnp.asarray(2.0 * random.normal(size=(num * ratio, 1)), jnp.float32)

    @jax.jit
    def both(values):
        def cost(values):
            variables = normal(0.0, jnp.exp(values[0]), values[1])
            return model.cost(model.logits(variables, x), model.logits(variables, y))

        return jax.value_and_grad(cost)(values)

    def as_floats(values):
        value, slope = both(jnp.asarray(values, jnp.float32))
        return float(value), np.asarray(slope, float)

    done = optimize.minimize(as_floats, [0.0, 0.0], jac=True, method="L-BFGS-B")
    assert np.exp(done.x[0]) == pytest.approx(1 / 2.25, abs=0.01)
    assert done.x[1] == pytest.approx(-1.3244, abs=0.015)


def test_chains_of_noise_have_the_law_of_the_energy():
    model = NCE(RBM((3,), 2, learning="cd"), tabular.independent((3,)), sweeps=30)
    found = machine(3, 2, seed=6)
    variables = {**jax.jit(model.init)(KEY), **variables_of(found)}
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 20_000))
    frequencies = np.bincount((drawn @ [4, 2, 1]).astype(int), minlength=8) / len(drawn)
    assert frequencies == pytest.approx(law(found), abs=0.02)


def test_the_normaliser_begins_near_the_energys_own():
    model = NCE(QuadraticEnergy((2,)), DiagonalNormal((2,)))
    variables = jax.jit(model.init)(KEY)
    learnt = float(model.learnt_log_partition(variables))
    assert learnt == pytest.approx(float(model.log_partition(variables)), abs=0.02)
    assert model.frozen == ("noise",)


def test_a_quadratic_energy_is_a_gaussian():
    random = np.random.default_rng(0)
    root, mean = random.normal(size=(3, 3)), random.normal(size=3)
    energy = QuadraticEnergy((3,))
    with jax.enable_x64(True):
        params = {"root": jnp.asarray(root), "mean": jnp.asarray(mean)}
        variables = {"energy": {"params": params}}
        x = random.normal(size=(5, 3))
        found = -np.asarray(energy.energy(variables, jnp.asarray(x)))
        found -= float(energy.log_partition(variables))
    covariance = np.linalg.inv(root.T @ root)
    squares = np.einsum("bi,ij,bj->b", x - mean, root.T @ root, x - mean)
    expected = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance).logabsdet)
    assert found == pytest.approx(expected, abs=1e-10)


@dataclass(frozen=True)
class Own:
    """An energy of one's own, of which nothing else is known."""

    shape: tuple[int, ...] = (2,)
    observation: Gaussian = Gaussian()  # noqa: RUF009 (frozen)

    def init(self, key):
        """One number."""
        return {"own": {"params": {"scale": jnp.ones(())}}}

    def energy(self, variables, x):
        """[B]."""
        return variables["own"]["params"]["scale"] * jnp.square(x).sum(axis=-1)


def test_any_energy_will_do():
    model = NCE(Own(), DiagonalNormal((2,)))
    variables = jax.jit(model.init)(KEY)
    assert float(model.learnt_log_partition(variables)) == pytest.approx(np.log(np.pi), abs=0.1)
    assert not model.is_tractable
    with pytest.raises(ConfigError, match="log Z of Own is not known"):
        model.log_partition(variables)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (lambda: DiagonalNormal((3,)), r"noise: is of \[3\], but the energy of \[2\]"),
        (lambda: NCE(QuadraticEnergy((2,)), DiagonalNormal((2,))), r"networks \['energy'"),
    ],
)
def test_noise_that_does_not_fit_is_refused(noise, message):
    with pytest.raises(ConfigError, match=message):
        NCE(QuadraticEnergy((2,)), noise())
