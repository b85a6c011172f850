"""jit over a mesh, many steps a dispatch, and pmap: the same step each time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgen import parallel
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.parallel import processes
from jaxgen.step import Player, init_state, train_step


def steps(name, resident):
    """(compiled `jit_steps` on two devices, a first state)."""
    players = tiny.experiment(name).players()
    step = partial(train_step, players, ema_decay=tiny.EMA_DECAY)
    compiled = parallel.jit_steps(step, tiny.mesh(2), resident=resident)
    return compiled, parallel.replicate(tiny.fresh(name), tiny.mesh(2))


def test_steps_of_one_dispatch_are_single_steps_and_resident_data_are_streamed_data():
    x = tiny.batch("vae", num=20)["image"]
    items = np.random.default_rng(0).permutation(20)[:16].reshape(2, 8)
    dispatch, state = steps("vae", resident=True)
    resident, resident_metrics = dispatch(state, {"image": x}, items, 0)
    dispatch, state = steps("vae", resident=False)
    streamed, streamed_metrics = dispatch(state, {}, {"image": x[items]}, 0)
    tiny.assert_same(resident, streamed)
    tiny.assert_same(resident_metrics, streamed_metrics)

    state = parallel.replicate(tiny.fresh("vae"), tiny.mesh(2))
    for k, item in enumerate(items):
        state, metrics = tiny.step("vae", 2).run(state, {"image": x[item]})
        assert float(metrics["loss"]) == pytest.approx(float(resident_metrics["loss"][k]), rel=1e-6)
    assert_close(state.variables, resident.variables)
    assert int(resident.step) == 2


def test_a_dispatch_of_one_step_is_that_step():
    x = tiny.batch("vae")["image"]
    dispatch, state = steps("vae", resident=False)
    one, metrics = dispatch(state, {}, {"image": x[None]}, 0)
    state, _ = tiny.train("vae", tiny.fresh("vae"), range(1), num_devices=2)
    assert_close(one.variables, state.variables)
    assert metrics["loss"].shape == (1,)


def assert_close(a, b, atol=1e-6):
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=atol)
    jax.tree.map(close, tiny.host(a), tiny.host(b))


def test_the_state_is_donated():
    state = parallel.replicate(tiny.fresh("vae"), tiny.mesh(1))
    kept, _ = tiny.step("vae", 1).run(state, tiny.batch("vae"))
    leaves = jax.tree.leaves((state.variables, state.opt_state, state.ema))
    assert all(leaf.is_deleted() for leaf in leaves)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(kept))


@pytest.mark.parametrize(
    ("size", "devices", "near"), [(100, 8, "96 or 104"), (3, 8, "8"), (9, 2, "8 or 10")]
)
def test_a_batch_that_cannot_be_shared_out_names_the_nearest_sizes(size, devices, near):
    message = (
        rf"batch size {size} is not divisible by {devices} devices.\nTry: --batch-size {near}$"
    )
    with pytest.raises(ConfigError, match=message):
        parallel.require_divisible(size, devices)
    parallel.require_divisible(8 * devices, devices)


def test_both_kinds_of_step_refuse_such_a_batch():
    with pytest.raises(ConfigError, match="batch size 7"):
        tiny.step("autoencoder", 2).run(tiny.fresh("autoencoder"), tiny.batch("autoencoder", 7))
    step = partial(train_step, tiny.experiment("autoencoder").players())
    with pytest.raises(ConfigError, match="batch size 7"):
        parallel.pmap_step(step, jax.devices()[:2])(
            tiny.fresh("autoencoder"), tiny.batch("autoencoder", 7)
        )


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]", True),
        ("DEADLINE_EXCEEDED: Barrier timed out", True),
        ("UNAVAILABLE: failed to connect to all addresses", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes.", False),
        ("INTERNAL: Failed to launch CUDA kernel", False),
    ],
)
def test_only_the_loss_of_another_process_asks_to_be_started_again(text, lost, monkeypatch):
    monkeypatch.setattr(processes, "is_one_of_several", lambda: True)
    monkeypatch.setattr(processes.os, "_exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    expected = pytest.raises(SystemExit if lost else jax.errors.JaxRuntimeError)
    with expected as error, parallel.leaving_if_alone(75):
        raise jax.errors.JaxRuntimeError(text)
    assert not lost or error.value.code == 75


def test_dense_models_take_many_steps_a_dispatch_and_convolutions_one():
    assert parallel.steps_per_dispatch(tiny.fresh("vae").variables) == 50
    assert parallel.steps_per_dispatch(tiny.fresh("vae conv").variables) == 1


def test_only_parameters_make_a_model_convolutional():
    dense = dict(tiny.fresh("vae").variables)
    images = jnp.zeros((2, 4, 4, 1))
    pool = {"params": {"kernel": jnp.zeros((3, 2))}, "pool": {"images": images}}
    assert parallel.steps_per_dispatch({**dense, "other": pool}) == 50
    assert parallel.steps_per_dispatch({**dense, "chains": {"state": {"x": images}}}) == 50
    for kernel in (images, images[None]):  # one layer, and a stack of layers
        assert parallel.steps_per_dispatch({**dense, "other": {"params": {"k": kernel}}}) == 1


def test_what_all_processes_agree_on_is_ours_if_we_are_alone():
    assert parallel.agreed(lambda: 7) == 7
    with pytest.raises(ConfigError, match="mine"):
        parallel.agreed(_refuse)


@pytest.mark.parametrize(("codes", "message"), [([0, 0], ""), ([0, 3], "another process")])
def test_an_error_in_another_process_is_one_in_this(codes, message, monkeypatch):
    monkeypatch.setattr(processes, "is_one_of_several", lambda: True)
    gather = processes.multihost_utils
    monkeypatch.setattr(gather, "process_allgather", lambda code: np.array(codes) + code)
    with pytest.raises(ConfigError, match="mine"):
        parallel.agreed(_refuse)
    if not message:
        assert parallel.agreed(lambda: 7) == 7
        return
    with pytest.raises(JaxgenError, match=message) as error:
        parallel.agreed(lambda: 7)
    assert error.value.exit_code == 3


def _refuse():
    raise ConfigError("mine")


def pmap_train(name, num, players=None, seeds=range(3)):
    players = players or tiny.experiment(name).players()
    step = parallel.pmap_step(
        partial(train_step, players, ema_decay=tiny.EMA_DECAY), jax.devices()[:num]
    )
    state = tiny.fresh(name)
    opt_state = {
        p.name: p.tx.init({n: state.variables[n]["params"] for n in p.owns}) for p in players
    }
    state = parallel.stack_replicas(state.replace(opt_state=opt_state), num)
    losses = []
    for seed in seeds:
        state, metrics = step(state, tiny.batch(name, seed=seed))
        losses.append(metrics)
    return state, losses


def assert_replicas_are_equal(state):
    for leaf in jax.tree.leaves(tiny.host((state.variables, state.opt_state, state.ema))):
        np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))


def test_pmap_is_jit_for_a_model_without_noise():
    replicas, metrics = pmap_train("autoencoder", 4)
    state, jitted = tiny.train("autoencoder", tiny.fresh("autoencoder"), range(3))
    assert_replicas_are_equal(replicas)
    assert_close(parallel.first_replica(replicas).variables, state.variables)
    np.testing.assert_allclose([m["loss"] for m in metrics], jitted["loss"], rtol=1e-6)


def test_pmap_averages_the_gradients_of_replicas_with_noise_of_their_own():
    model, num = tiny.experiment("vae").model, 2
    replicas, (metrics,) = pmap_train("vae", num, model.players(optax.sgd(0.1)), seeds=range(1))
    state, x = tiny.fresh("vae"), tiny.batch("vae")["image"].reshape(num, 4, 2, 2)
    losses, gradients = [], []
    for replica in range(num):
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), replica)
        batch = {"image": x[replica], "step": jnp.zeros((), jnp.int32)}

        def loss(variables, batch=batch, key=key):
            return model.vae_loss(variables, batch, jax.random.split(key)[1])[0]

        value, gradient = jax.jit(jax.value_and_grad(loss))(state.variables)
        losses.append(float(value))
        gradients.append(gradient)
    mean = jax.tree.map(lambda *g: sum(g) / num, *gradients)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.variables, mean)
    assert_replicas_are_equal(replicas)
    assert_close(parallel.first_replica(replicas).variables, expected)
    assert float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-6)


def variance_loss(variables, batch, key):
    """Its statistic is the variance of the batch, and so is what its chain keeps."""
    variance = batch["image"].var()
    mutated = {"net": {"batch_stats": variance, "chain": variance}}
    return variables["net"]["params"] * variance, ({}, mutated)


def test_jit_sees_the_statistics_of_the_whole_batch_and_pmap_their_mean_over_replicas():
    x = jnp.array([0.0, 0.0, 4.0, 8.0])  # variances: 0 and 4 in halves, 11 as a whole
    players = (Player("p", ("net",), variance_loss, optax.sgd(0.1)),)
    network = {"params": jnp.ones(()), "batch_stats": jnp.zeros(()), "chain": jnp.zeros(())}
    step = partial(train_step, players)
    state = init_state(jax.random.key(0), {"net": network}, players)
    stacked = parallel.stack_replicas(state, 2)
    state = parallel.replicate(state, tiny.mesh(2))
    whole, _ = parallel.jit_step(step, tiny.mesh(2))(state, {"image": x})
    halves, _ = parallel.pmap_step(step, jax.devices()[:2])(stacked, {"image": x})
    assert float(whole.variables["net"]["batch_stats"]) == 11.0
    np.testing.assert_array_equal(halves.variables["net"]["batch_stats"], [2.0, 2.0])
    np.testing.assert_array_equal(halves.variables["net"]["chain"], [0.0, 4.0])  # each one's own
    np.testing.assert_allclose(halves.variables["net"]["params"], [0.8, 0.8], rtol=1e-6)


def test_pmap_leaves_a_counter_a_whole_number():
    def loss(variables, batch, key):
        count = variables["net"]["count"] + 1
        return variables["net"]["params"].sum(), ({}, {"net": {"count": count}})

    players = (Player("p", ("net",), loss, optax.sgd(0.1)),)
    network = {"params": jnp.ones(()), "count": jnp.zeros((), jnp.int32)}
    state = init_state(jax.random.key(0), {"net": network}, players)
    step = parallel.pmap_step(partial(train_step, players), jax.devices()[:2])
    state, _ = step(parallel.stack_replicas(state, 2), {"image": jnp.zeros(4)})
    assert state.variables["net"]["count"].dtype == jnp.int32
    np.testing.assert_array_equal(state.variables["net"]["count"], [1, 1])


def test_batch_normalisation_keeps_one_set_of_statistics_under_pmap():
    replicas, _ = pmap_train("game", 2)
    assert_replicas_are_equal(replicas)
    before = tiny.fresh("game").variables["generator"]["batch_stats"]
    after = parallel.first_replica(replicas).variables["generator"]["batch_stats"]
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), before, after)))
