"""Ways back from noise: exact standard deviations of the analytic Gaussian, both samplers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion.gaussian import BestNoise, Recursion

from jaxgen.diffusion import DDIM, DDPM, Ancestral, marked, reverse
from jaxgen.diffusion.ddim import encode
from jaxgen.diffusion.process import process
from jaxgen.errors import ConfigError

KEY = jax.random.key(0)
LINEAR = process("linear", 1000)

# Standard deviations of samples of N(0, s^2), by {s: ...}, six digits.
DETERMINISTIC = {
    2.0: {10: 1.719879, 50: 1.940627, 1000: 1.996852},
    0.5: {10: 0.374128, 50: 0.472439, 1000: 0.498495},
}
STOCHASTIC = {
    2.0: {10: 1.545739, 50: 1.885441, 1000: 1.993684},
    0.5: {10: 0.333263, 50: 0.444123, 1000: 0.496110},
}
ANCESTRAL = {
    2.0: {"large": 1.997641, "small": 1.993684},
    0.5: {"large": 0.500752, "small": 0.496110},
}


@pytest.mark.parametrize("std", [2.0, 0.5])
@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_standard_deviations_of_ddim(std, steps):
    found = Recursion(std)
    assert found.of(DDIM(steps).moves(LINEAR)) == pytest.approx(DETERMINISTIC[std][steps], abs=5e-7)
    noisy = DDIM(steps, eta=1.0).moves(LINEAR)
    assert found.of(noisy) == pytest.approx(STOCHASTIC[std][steps], abs=5e-7)


@pytest.mark.parametrize("std", [2.0, 0.5])
@pytest.mark.parametrize("variance", ["large", "small"])
def test_standard_deviations_of_ancestral_sampling(std, variance):
    moves = Ancestral(variance).moves(LINEAR)
    assert Recursion(std).of(moves) == pytest.approx(ANCESTRAL[std][variance], abs=5e-7)


def test_all_steps_with_all_noise_are_ancestral_sampling_of_the_small_variance():
    by_ddim = DDIM(1000, eta=1.0).moves(LINEAR)
    ancestral = Ancestral("small").moves(LINEAR)
    for one, other in zip(by_ddim, ancestral, strict=True):
        assert one == pytest.approx(other, abs=1e-10)


def analytic(std, **fields):
    """A model with the best network, and its variables."""
    model = DDPM((), BestNoise(std), **fields)
    return model, model.init(KEY)


@pytest.mark.parametrize("std", [2.0, 0.5])
def test_the_compiled_chain_is_that_of_its_table(std):
    """In float64, begun at 1: without noise the end is the standard deviation itself."""
    with jax.enable_x64(True):
        model, variables = analytic(std, ddim=DDIM(50))
        denoise = model.denoiser(variables)
        chain = jax.jit(lambda x: reverse.run(model.moves, denoise, KEY, x))
        end = chain(jnp.ones(1, jnp.float64))
    assert float(end[0]) == pytest.approx(DETERMINISTIC[std][50], abs=5e-7)


def test_samples_have_the_standard_deviation_of_the_table():
    """20 000 draws of the model itself, ancestral: within four standard errors."""
    model, variables = analytic(2.0)
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 20_000))
    assert x.std() == pytest.approx(ANCESTRAL[2.0]["large"], abs=4 * 2.0 / 40_000**0.5)
    assert abs(x.mean()) < 4 * 2.0 / 20_000**0.5


def test_without_noise_a_chain_is_a_function_of_its_beginning():
    model, variables = analytic(0.5, ddim=DDIM(10))
    start = jnp.asarray(np.random.default_rng(0).normal(size=(7,)), jnp.float32)
    denoise = model.denoiser(variables)
    once = reverse.run(model.moves, denoise, KEY, start)
    again = reverse.run(model.moves, denoise, jax.random.key(9), start)
    np.testing.assert_array_equal(once, again)
    noisy = DDIM(10, eta=0.5).moves(model.process)
    first = reverse.run(noisy, denoise, KEY, start)
    assert np.abs(first - reverse.run(noisy, denoise, jax.random.key(9), start)).max() > 1e-3


def test_encoded_and_decoded_again_an_example_comes_back_the_nearer_the_more_steps():
    model, variables = analytic(0.5)
    denoise = model.denoiser(variables)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(9,)), jnp.float32)
    errors = []
    for steps in (10, 50, 250):
        sampler = DDIM(steps)
        code = encode(sampler, model.process, denoise, x)
        back = reverse.run(sampler.moves(model.process), denoise, KEY, code)
        errors.append(float(jnp.abs(back - x).max()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.05  # the error is of the first order in the step


def test_states_are_those_of_one_chain_and_the_last_is_its_end():
    model, variables = analytic(0.5, ddim=DDIM(10, eta=1.0))
    denoise = model.denoiser(variables)
    start = jnp.ones(3)
    found = reverse.states(model.moves, denoise, KEY, start, (0, 4, 10))
    np.testing.assert_array_equal(found[0], start)
    np.testing.assert_array_equal(found[2], reverse.run(model.moves, denoise, KEY, start))
    first = reverse.Moves(*(part[:4] for part in model.moves))
    assert np.asarray(found[1]) == pytest.approx(
        np.asarray(reverse.run(first, denoise, KEY, start)), abs=1e-6
    )
    assert marked.even_marks(10, 3) == (0, 5, 10)
    assert marked.even_marks(1000, 5) == (0, 250, 500, 750, 1000)


def test_times_are_those_of_the_papers_code():
    later, earlier = DDIM(10).times(LINEAR)
    assert list(later) == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    assert list(earlier) == [801, 701, 601, 501, 401, 301, 201, 101, 1, 0]
    assert len(DDIM(300).times(LINEAR)[0]) == 334  # 300 does not divide 1000: the stride is 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ancestral("medium"), "variance: got 'medium', expected one of large, small"),
        (lambda: DDIM(0), "steps: got 0"),
        (lambda: DDIM(10, eta=1.5), "eta: got 1.5"),
    ],
)
def test_what_is_no_sampler_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
