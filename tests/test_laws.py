"""What every model promises, over the table of tiny models."""

import json

import jax
import numpy as np
import pytest
import tiny

from jaxgen.checkpoint import Checkpoints
from jaxgen.run import known_classes
from jaxgen.spec import from_json, to_json
from jaxgen.train import update

EVERY_NUMBER = {"vae", "game"}  # of devices; the others on one and on four
# Whose loss draws numbers: all but the autoencoder and exact likelihoods (without dropout).
NOISY = set(tiny.MODELS) - {"autoencoder"} - set(tiny.AUTOREGRESSIVE) | tiny.NOISY


@pytest.fixture(params=tiny.MODELS, scope="module")
def name(request):
    return request.param


def differ(a, b):
    """Per leaf: whether anything differs."""
    return jax.tree.map(lambda x, y: bool(np.any(x != y)), tiny.host(a), tiny.host(b))


def test_initialisation_is_a_function_of_the_key(name):
    tiny.assert_same(tiny.fresh(name), tiny.fresh(name))
    first, other = tiny.fresh(name).variables, tiny.fresh(name, seed=1).variables
    for network in first:
        assert any(jax.tree.leaves(differ(first[network], other[network])))


def test_every_network_is_owned(name):
    owned = {network for player in tiny.experiment(name).players() for network in player.owns}
    assert owned == set(tiny.fresh(name).variables)


def test_a_player_moves_every_parameter_it_owns_and_no_other(name):
    players = tiny.experiment(name).players()
    before = tiny.host(tiny.fresh(name).variables)
    for player in players:
        after = _move(name, player).variables
        for network in before:
            moved = jax.tree.leaves(differ(before[network]["params"], after[network]["params"]))
            assert all(moved) if network in player.owns else not any(moved)


def _move(name, player):
    """The state after one move of the player; a step is one where there is but one player."""
    state, batch = tiny.fresh(name), tiny.batch(name)
    if len(tiny.experiment(name).players()) == 1:
        return tiny.train(name, state, range(1))[0]
    return jax.jit(lambda s, b, k: update(player, s, b, k))(state, batch, jax.random.key(1))[0]


def test_a_step_is_a_function_of_the_state_and_the_batch(name):
    first, _ = tiny.train(name, tiny.fresh(name), range(2))
    second, _ = tiny.train(name, tiny.fresh(name), range(2))
    tiny.assert_same(first, second)


def test_the_noise_of_a_step_depends_on_its_number_and_on_the_key(name):
    state = tiny.fresh(name)
    later, other = state.replace(step=state.step + 1), state.replace(key=jax.random.key(9))
    runs = [tiny.train(name, tiny.fork(s), range(1))[1] for s in (state, later, other)]
    losses = [next(v for key, v in run.items() if key.endswith("loss")) for run in runs]
    assert len(np.unique(losses)) == (3 if name in NOISY else 1)


def test_a_step_counts_by_one_and_is_traced_once(name):
    state = tiny.fresh(name)
    for count in range(1, 4):
        state, _ = tiny.train(name, state, range(1))
        assert int(state.step) == count
    assert tiny.step(name, 1).traces == [1]


def test_the_average_is_the_exponential_moving_average_of_the_parameters(name):
    state = tiny.fresh(name)
    average = tiny.host(state.variables)
    for seed in range(4):
        state, _ = tiny.train(name, state, range(seed, seed + 1))
        for network, variables in tiny.host(state.variables).items():
            old = average[network]
            kept = [name for name in ("params", "batch_stats") if name in variables]
            moved = {name: jax.tree.map(_decay, old[name], variables[name]) for name in kept}
            average[network] = {**variables, **moved}
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)  # noqa: E731
    jax.tree.map(close, tiny.host(state.ema), average)


def _decay(old, new):
    return tiny.EMA_DECAY * old + (1 - tiny.EMA_DECAY) * new


def test_six_steps_are_three_saved_restored_and_three_more(name, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        state, _ = tiny.train(name, tiny.fresh(name), range(3))
        checkpoints.save(state, {})  # in the background, while the state is donated
        straight, straight_metrics = tiny.train(name, state, range(3, 6))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        restored = checkpoints.restore(3, tiny.experiment(name).abstract_state())
    resumed, resumed_metrics = tiny.train(name, restored, range(3, 6))
    tiny.assert_same(straight, resumed)
    tiny.assert_same(straight_metrics, resumed_metrics)
    assert int(resumed.step) == 6


def test_one_two_and_four_devices_make_the_same_run(name):
    tolerance = 2e-3 if "bfloat16" in name else 1e-6  # a sum in another order may round elsewhere
    _, one = tiny.train(name, tiny.fresh(name), range(10))
    for num in (2, 4) if name in EVERY_NUMBER else (4,):  # compiling takes long
        _, several = tiny.train(name, tiny.fresh(name), range(10), num_devices=num)
        for key in (key for key in one if key.endswith("loss")):
            np.testing.assert_allclose(
                several[key], one[key], rtol=tolerance, atol=2e-7, err_msg=f"{key}, {num}"
            )


def test_a_spec_survives_json_text(name):
    experiment = tiny.experiment(name)
    table = known_classes([tiny.ToyGame, tiny.Generator])
    back = from_json(json.loads(json.dumps(to_json(experiment))), table)
    assert back == experiment
    assert type(back.model) is type(experiment.model)


@pytest.mark.parametrize("name", tiny.GENERATIVE)
def test_samples_have_the_shape_and_the_range_of_data(name):
    model, variables = tiny.experiment(name).model, tiny.fresh(name).variables
    x = np.asarray(jax.jit(lambda v, k: model.sample(v, k, 64))(variables, jax.random.key(1)))
    low, high = getattr(model, "observation", model).range
    assert x.shape == (64, *model.shape)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert low <= x.min() < x.max() <= high
    if hasattr(model, "observation") and np.isfinite(high):
        assert set(np.unique(x)) <= set(np.arange(low, high + 1))
