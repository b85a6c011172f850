"""Annealed importance sampling against exact sums."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energy.machines import law, log_sum, log_weights, machine, states, variables_of

from jaxgen.distributions import Gaussian
from jaxgen.distributions.path import Path
from jaxgen.energy import RBM, Bipartite
from jaxgen.errors import ConfigError
from jaxgen.evaluation import annealed, measure
from jaxgen.evaluation.estimates import Measured

KEY = jax.random.key(0)


@lru_cache
def estimate(model, num_temperatures, num_runs=100):
    """The compiled estimate."""

    @jax.jit
    def of_variables(variables, base, key):
        betas = annealed.linear_schedule(num_temperatures)
        path = model.annealing(variables, base)
        return annealed.log_partition(path, key, betas, num_runs)

    return of_variables


@pytest.mark.parametrize(("num", "bound"), [(10, 0.08), (100, 0.036), (1000, 0.012)])
def test_estimates_come_near_the_exact_sum_with_the_temperatures(num, bound):
    """100 runs on an 8-6 machine with N(0, 1) weights, from its base rates; five seeds."""
    found = machine(8, 6)
    exact = log_sum(log_weights(found))
    drawn = np.random.default_rng(0).choice(256, 1000, p=law(found))
    base = annealed.base_rates(states(8)[drawn]).astype(np.float32)
    run = estimate(RBM((8,), 6), num)
    made = [run(variables_of(found), base, jax.random.key(seed)) for seed in range(5)]
    errors = [abs(float(each.value) - exact) for each in made]
    assert max(errors) <= bound
    assert max(errors) <= 5 * max(float(each.standard_error) for each in made)


def test_the_weights_have_no_bias_and_their_log_errs_low():
    """Few temperatures and runs, many times: E[w] = Z, E[log mean w] < log Z."""
    found = machine(4, 3, seed=1, std=1.5)
    exact = log_sum(log_weights(found))
    run = estimate(RBM((4,), 3), 3, 40_000)
    log_w = np.asarray(run(variables_of(found), np.zeros(4, np.float32), KEY).log_weights)
    weights = np.exp(log_w - exact)
    assert weights.mean() == pytest.approx(1, abs=5 * weights.std() / len(weights) ** 0.5)
    of_two = np.log(weights.reshape(-1, 2).mean(axis=1))
    assert of_two.mean() < -5 * of_two.std() / len(of_two) ** 0.5


def test_the_standard_error_is_the_spread_of_estimates():
    found = machine(4, 3, seed=1)
    run = estimate(RBM((4,), 3), 3, 20_000)
    made = run(variables_of(found), np.zeros(4, np.float32), KEY)
    groups = np.asarray(made.log_weights).reshape(200, 100)
    values = np.logaddexp.reduce(groups, axis=1) - np.log(100)
    expected = values.std() / 200**0.5
    assert float(made.standard_error) == pytest.approx(expected, rel=0.25)
    low, high = made.interval()
    relative = 3 * float(made.standard_error)
    assert float(high - made.value) == pytest.approx(np.log1p(relative), abs=1e-5)
    assert float(low - made.value) == pytest.approx(np.log1p(-relative), abs=1e-5)


def test_one_run_has_no_standard_error():
    made = annealed.estimated(jnp.zeros(1))
    assert np.isnan(made.standard_error)
    assert float(made.value) == 0


def test_real_units_have_a_path_too():
    found = machine(3, 4, seed=2)
    model = RBM((3,), 4, Gaussian(0.8))
    exact = float(model.log_partition(variables_of(found)))
    base = np.asarray(found.left, np.float32) + 0.3
    made = estimate(model, 300)(variables_of(found), base, KEY)
    assert float(made.value) == pytest.approx(exact, abs=0.1)


def test_a_machine_without_weights_has_no_error():
    """From its own biases the path stands still: every weight is Z."""
    found = machine(5, 3)
    flat = Bipartite(np.zeros((5, 3)), found.left, np.zeros(3))
    base = np.asarray(flat.left, np.float32)
    made = estimate(RBM((5,), 3), 7)(variables_of(flat), base, KEY)
    assert np.asarray(made.log_weights) == pytest.approx(log_sum(log_weights(flat)), abs=1e-5)


def test_any_path_will_do():
    """From N(0, 1) to exp(-2 x^2): Z = sqrt(pi / 2), by one draw of T at each temperature."""

    def scale(beta):
        return 1 / jnp.sqrt(1 + 3 * beta)

    path = Path(
        log_base=jnp.asarray(0.5 * np.log(2 * np.pi)),
        start=lambda key, num: jax.random.normal(key, (num,)),
        log_density=lambda x, beta: -0.5 * jnp.square(x / scale(beta)),
        move=lambda key, x, beta: scale(beta) * jax.random.normal(key, x.shape),
    )
    run = jax.jit(partial(annealed.log_partition, path, num_runs=500))
    assert float(run(KEY).value) == pytest.approx(0.5 * np.log(np.pi / 2), abs=0.01)


def test_schedules_begin_at_0_and_end_at_1():
    published = annealed.published_schedule()
    assert len(published) == 14_501
    steps = np.diff(published)
    assert (steps > 0).all()
    assert steps[[0, 500, 4500, -1]] == pytest.approx([1e-3, 1e-4, 1e-5, 1e-5])
    assert published[[0, 500, 4500, -1]] == pytest.approx([0, 0.5, 0.9, 1])
    assert annealed.linear_schedule(4) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    with pytest.raises(ConfigError, match="temperatures: got 0"):
        annealed.linear_schedule(0)


def test_base_rates_are_smoothed_logits():
    x = np.zeros((10, 2, 2))
    x[:, 0, 1] = 1
    x[:4, 1, 0] = 1
    expected = [np.log(5 / 15), np.log(15 / 5), np.log(9 / 11), np.log(5 / 15)]
    assert annealed.base_rates(x) == pytest.approx(expected)


def measured(hidden) -> tuple[Measured, Bipartite]:
    """A machine of 25 visible units, of whose hidden units the first 7 are joined to them."""
    found = machine(25, hidden, std=0.3)
    found.weight[:, 7:] = 0
    model = RBM((5, 5), hidden)
    x = np.random.default_rng(0).integers(0, 2, (50, 5, 5)).astype(np.float32)
    batch = {"image": x}
    return measure(model, variables_of(found), batch, KEY, num_samples=30), found


def test_a_machine_that_can_be_summed_has_an_exact_figure():
    made, found = measured(7)
    means = made.means()
    assert set(means) == {"log_prob", "log_partition"}
    model = RBM((5, 5), 7)
    assert means["log_partition"] == pytest.approx(
        float(model.log_partition(variables_of(found))), abs=1e-4
    )
    assert "exact" in made.rows[0].protocol


def test_a_machine_that_cannot_be_summed_has_an_estimate_that_says_so():
    made, found = measured(21)
    means = made.means()
    assert set(means) == {
        "log_prob_ais",
        "log_partition_ais",
        "log_partition_ais_standard_error",
    }
    joined = Bipartite(found.weight[:, :7], found.left, found.right[:7])
    alone = np.logaddexp(0, found.right[7:]).sum()
    exact = float(RBM((5, 5), 7).log_partition(variables_of(joined))) + alone
    error = means["log_partition_ais_standard_error"]
    assert means["log_partition_ais"] == pytest.approx(exact, abs=5 * error)
    table = made.records(
        split="test", protocol=lambda how: how, seed=3, bits_per_dim=lambda nats: None
    )
    assert "30 runs of 1000 temperatures, seed 3; it errs low on average, and log p(x) high" in (
        table[0].protocol
    )
    assert [record.metric for record in table] == ["log_prob_ais", "log_partition_ais"]
