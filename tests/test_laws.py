"""What every model promises, over the table of tiny models.

The laws of one family are elsewhere: those that `jaxgen check` knows in `jaxgen/check/`
(`autoregressive.py`, `bounds.py`, `adversarial.py`; tests in `tests/check/`), and that a sampler
equals its naive form in `tests/autoregressive/test_chain_rule.py`.
"""

import json
from functools import partial

import jax
import numpy as np
import pytest
import tiny

from jaxgen.experiment.spec import from_json, to_json, types_in
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.loaded import known_classes
from jaxgen.step import update


@pytest.fixture(params=tiny.MODELS, scope="module")
def name(request):
    return request.param


def differ(a, b):
    """Per leaf: whether anything differs."""
    return jax.tree.map(lambda x, y: bool(np.any(x != y)), tiny.host(a), tiny.host(b))


def test_initialisation_is_a_function_of_the_key(name):
    tiny.assert_same(tiny.fresh(name), tiny.fresh(name))
    first, other = tiny.fresh(name).variables, tiny.fresh(name, seed=1).variables
    for network in with_parameters(first):
        assert any(jax.tree.leaves(differ(first[network], other[network])))


def with_parameters(variables):
    """Return the networks that have parameters: chains and pools have none."""
    return {network for network, collections in variables.items() if "params" in collections}


def test_every_network_is_owned_or_frozen(name):
    experiment = tiny.experiment(name)
    owned = {network for player in experiment.players() for network in player.owns}
    frozen = set(getattr(experiment.model, "frozen", ()))
    assert owned & frozen == set()
    assert owned | frozen == with_parameters(tiny.fresh(name).variables)


def test_a_player_moves_every_parameter_it_owns_and_no_other(name):
    players = tiny.experiment(name).players()
    before = tiny.host(tiny.perturbed(name).variables)
    for player in players:
        after = _move(name, player).variables
        for network in before:
            parameters = [variables[network].get("params", {}) for variables in (before, after)]
            moved = jax.tree.leaves(differ(*parameters))
            assert all(moved) if network in player.owns else not any(moved)


def _move(name, player):
    """The state after one move of the player; a step is one where there is but one player."""
    later = tiny.perturbed(name).step + 3  # what fades in is not there at the first step
    state = tiny.perturbed(name).replace(step=later)
    batch = tiny.batch(name)
    if len(tiny.experiment(name).players()) == 1:
        return tiny.train(name, state, range(1))[0]
    return jax.jit(lambda s, b, k: update(player, s, b, k))(state, batch, jax.random.key(1))[0]


def test_a_step_is_a_function_of_the_state_and_the_batch(name):
    first, _ = tiny.train(name, tiny.perturbed(name), range(2))
    second, _ = tiny.train(name, tiny.perturbed(name), range(2))
    tiny.assert_same(first, second)


def test_the_noise_of_a_step_depends_on_its_number_and_on_the_key(name):
    state = tiny.perturbed(name)
    later, other = state.replace(step=state.step + 1), state.replace(key=jax.random.key(9))
    runs = [tiny.train(name, tiny.fork(s), range(1))[1] for s in (state, later, other)]
    losses = {tuple(float(v[0]) for k, v in run.items() if k.endswith("loss")) for run in runs}
    assert len(losses) == (3 if tiny.tiny(name).noisy else 1)


def test_a_step_counts_by_one_and_is_traced_once(name):
    state = tiny.perturbed(name)
    for count in range(1, 4):
        state, _ = tiny.train(name, state, range(1))
        assert int(state.step) == count
    assert tiny.step(name, 1).traces == [1]


def test_the_average_is_the_warm_average_over_the_updates_of_each_network(name):
    state = tiny.perturbed(name)
    players = tiny.experiment(name).players()
    average = tiny.host(state.variables)
    updates = dict.fromkeys(average, 0)
    for step in range(4):
        state, _ = tiny.train(name, state, range(step, step + 1))
        for network, variables in tiny.host(state.variables).items():
            owners = [player for player in players if network in player.owns]
            moves = not owners or any(step % player.every == 0 for player in owners)
            updates[network] += moves
            weight = max(1 - tiny.EMA_DECAY, 4 / (updates[network] + 3)) if moves else 0.0
            kept = [name for name in ("params", "batch_stats") if name in variables]
            towards = partial(_towards, weight)
            moved = {name: jax.tree.map(towards, average[network][name], variables[name])
                     for name in kept}  # fmt: skip
            average[network] = {**variables, **moved}
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, tiny.host(state.ema), average)


def _towards(weight, old, new):
    return old + weight * (new - old)


def test_six_steps_are_three_saved_restored_and_three_more(name, tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        state, _ = tiny.train(name, tiny.perturbed(name), range(3))
        checkpoints.save(state, {})  # in the background, while the state is donated
        straight, straight_metrics = tiny.train(name, state, range(3, 6))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        restored = checkpoints.restore(3, tiny.experiment(name).abstract_state())
    resumed, resumed_metrics = tiny.train(name, restored, range(3, 6))
    tiny.assert_same(straight, resumed)
    tiny.assert_same(straight_metrics, resumed_metrics)
    assert int(resumed.step) == 6


def several_devices(name):
    """Return the numbers of devices that a model is tried on, for compiling takes long."""
    networks = tiny.experiment(name).abstract_state().variables.values()
    mutable = any(set(collections) - {"params"} for collections in networks)
    return tiny.tiny(name).devices or ((4,) if mutable else ())


def test_one_two_and_four_devices_make_the_same_run(name):
    numbers = several_devices(name)
    if not numbers:
        pytest.skip("another model of its family is tried on several devices")
    bounds = tiny.tiny(name)
    _, one = tiny.train(name, tiny.perturbed(name), range(10))
    for num in numbers:
        _, several = tiny.train(name, tiny.perturbed(name), range(10), num_devices=num)
        for key in (key for key in one if key.endswith("loss")):
            np.testing.assert_allclose(
                several[key],
                one[key],
                rtol=bounds.tolerance,
                atol=bounds.absolute,
                err_msg=f"{key}, {num}",
            )


def test_a_model_of_each_family_is_tried_on_several_devices():
    def families(names):
        return {type(tiny.experiment(name).model).__module__.split(".")[:2][-1] for name in names}

    assert families(x for x in tiny.MODELS if tiny.tiny(x).devices) == families(tiny.MODELS)


def test_a_spec_survives_json_text(name):
    experiment = tiny.experiment(name)
    table = known_classes([tiny.ToyGame, tiny.Generator, *types_in(experiment.model)])
    back = from_json(json.loads(json.dumps(to_json(experiment))), table)
    assert back == experiment
    assert type(back.model) is type(experiment.model)


@pytest.mark.parametrize("name", tiny.GENERATIVE)
def test_samples_have_the_shape_and_the_range_of_data(name):
    model, variables = tiny.experiment(name).model, tiny.fresh(name).variables
    x = np.asarray(jax.jit(lambda v, k: model.sample(v, k, 64))(variables, jax.random.key(1)))
    low, high = getattr(getattr(model, "observation", model), "range", (-np.inf, np.inf))
    assert x.shape == (64, *model.shape)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert low <= x.min() < x.max() <= high
    if hasattr(model, "observation") and np.isfinite(high):
        assert set(np.unique(x)) <= set(np.arange(low, high + 1))
