"""Devices: the same step, compiled by `jit` over a mesh (the default) or by `pmap`.

`jit`: the state is replicated, the batch is sharded over the mesh's one axis, and the loss sees the
global batch. Means and batch statistics need no communication code, and a seed gives the same run
on 1 or 8 devices. `pmap`: each replica sees its own slice and its own randomness; gradients and
statistics are averaged over the axis by the step itself.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.console import first_line
from jaxgen.errors import ConfigError, JaxgenError, with_exit_code
from jaxgen.train import Batch, Metrics, TrainState, all_finite, choose

AXIS = "data"
_T = TypeVar("_T")
_LOST = ("gloo", "unavailable", "deadline_exceeded", "heartbeat", "connection", "coordination")
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def device_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis over `devices` (default: all). Its axes are Auto, as Flax expects."""
    return Mesh(np.array(devices if devices is not None else jax.devices()), (AXIS,))


def require_divisible(batch_size: int, num_devices: int) -> None:
    """Raises ConfigError, naming the nearest valid sizes, unless the batch can be shared out."""
    if batch_size % num_devices:
        below = batch_size // num_devices * num_devices
        near = f"{below} or {below + num_devices}" if below else f"{num_devices}"
        raise ConfigError(
            f"batch size {batch_size} is not divisible by {num_devices} devices.\n"
            f"Try: --batch-size {near}"
        )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy of `tree` (the same in every process) on every device of the mesh."""
    return _spread(tree, NamedSharding(mesh, PartitionSpec()))


def shard(items: Any, mesh: Mesh) -> Any:
    """Arrays [K, B, ...], the same in every process, spread along B."""
    return _spread(items, NamedSharding(mesh, PartitionSpec(None, AXIS)))


def local(tree: Any) -> Any:
    """Replicated arrays as this process alone may compute with them."""
    if not is_one_of_several():
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def is_writer() -> bool:
    """Whether this process is the one that writes what all have in common."""
    return not is_one_of_several() or jax.process_index() == 0


def is_one_of_several() -> bool:
    """Whether there are other processes; to say no, no backend is made."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


@contextmanager
def processes() -> Iterator[None]:
    """One of several processes in here, each with its own devices. Raises ConfigError.

    On TPU, under SLURM, Kubernetes and Open MPI, JAX finds the others itself; elsewhere the
    environment has JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. A process that
    does not hear of another for JAXGEN_HEARTBEAT seconds (100) ends, and one that leaves waits as
    long for the others.
    """
    named = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    try:
        given = {key: int(os.environ[name]) for key, name in named.items() if name in os.environ}
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
        heartbeat = int(os.environ.get("JAXGEN_HEARTBEAT", "100"))
        waits = {"heartbeat_timeout_seconds": heartbeat, "shutdown_timeout_seconds": heartbeat}
        jax.distributed.initialize(**given, **waits)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"--distributed: {first_line(error)}") from error
    try:
        yield
    finally:
        if sys.exc_info()[1] is None:
            jax.distributed.shutdown()


def any_process(condition: bool) -> bool:
    """Whether it is true in one of the processes, which all must ask."""
    if not is_one_of_several():
        return condition
    return bool(multihost_utils.process_allgather(np.int32(condition)).any())


def agreed(act: Callable[[], _T]) -> _T:
    """What `act()` gives, which every process must do; an error in one of them is one in all.

    Raises:
      JaxgenError: that of this process, or one with the exit code of another's.
    """
    found, error = None, None
    try:
        found = act()
    except JaxgenError as failure:
        error = failure
    if is_one_of_several():
        codes = multihost_utils.process_allgather(np.int32(error.exit_code if error else 0))
        if not error and codes.any():
            error = with_exit_code(int(codes.max()))("ended with another process, which says why")
    if error:
        raise error
    return found


def writers_numbers(numbers: Sequence[int], most: int = 64) -> list[int]:
    """The writer's numbers (none negative, at most so many), in every process; all must ask."""
    if not is_one_of_several():
        return list(numbers)
    padded = np.full(most, -1, np.int64)
    padded[: len(numbers)] = list(numbers)[:most]
    return [int(x) for x in multihost_utils.broadcast_one_to_all(padded) if x >= 0]


@contextmanager
def leaving_if_alone(exit_code: int) -> Iterator[None]:
    """Ends this process at once if it meets the end of another one, which all barriers wait for."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_one_of_several() or not any(word in str(error).lower() for word in _LOST):
            raise
        sys.stderr.write(f"error: lost another process: {first_line(error)}\n")
        sys.stderr.flush()
        os._exit(exit_code)


def _spread(tree, sharding):
    if not is_one_of_several():
        return jax.device_put(tree, sharding)

    def place(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def jit_step(step: Step, mesh: Mesh) -> Step:
    """`step` compiled over the mesh; the state is donated, the batch sharded.

    `replicate` the first state, or the second call, which sees a state on the mesh, traces anew.
    """
    replicated = NamedSharding(mesh, PartitionSpec())
    sharded = NamedSharding(mesh, PartitionSpec(AXIS))
    compiled = jax.jit(
        step,
        in_shardings=(replicated, sharded),
        out_shardings=(replicated, replicated),
        donate_argnums=0,
    )

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        require_divisible(_length(batch), mesh.size)
        return compiled(state, batch)

    return run


def jit_steps(
    step: Callable[..., Any], mesh: Mesh, *, resident: bool, guard: bool = False
) -> Callable[..., Any]:
    """Several steps in one dispatch: `(state, data, items, start) -> (state, metrics)`.

    Args:
      step: one step, `partial(train_step, players, ...)`.
      mesh: the devices.
      resident: the data live on the devices: `data` is {name: [N, ...]} and `items` are indices
        [K, B]. Otherwise `data` is {} and `items` are the stacked batches {name: [K, B, ...]}.
        `start` is the step that the first item is for.
      guard: leave the state untouched, its step included, if any of the steps would put a NaN or an
        infinity into it, or if `start` is not its step; the metric 'finite' [K] says so.

    Returns:
      A compiled function; its metrics are [K]. A single step (K = 1) is not put into a scan, which
      on CPU makes a convolution's kernel gradient some 40 times slower.
    """
    replicated = NamedSharding(mesh, PartitionSpec())
    sharded = NamedSharding(mesh, PartitionSpec(AXIS))
    stacked = NamedSharding(mesh, PartitionSpec(None, AXIS))

    def batch_of(data, item):
        batch = {name: values[item] for name, values in data.items()} if resident else item
        return jax.lax.with_sharding_constraint(batch, sharded)

    def one(state, data, items, start):
        batch = batch_of(data, jax.tree.map(lambda x: x[0], items))
        state, metrics = step(state, {**batch, "turn": start}, guard=guard)
        return state, jax.tree.map(lambda x: x[None], metrics)

    def several(old, data, items, start):
        state, metrics = jax.lax.scan(lambda s, item: step(s, batch_of(data, item)), old, items)
        if not guard:
            return state, metrics
        taken = (old.step == start) & all_finite((metrics, state))
        num = jax.tree.leaves(items)[0].shape[0]
        return choose(taken, state, old), {**metrics, "finite": jnp.full(num, taken)}

    def many(state, data, items, start):
        alone = jax.tree.leaves(items)[0].shape[0] == 1
        return (one if alone else several)(state, data, items, start)

    return jax.jit(
        many,
        in_shardings=(replicated, replicated, stacked, replicated),
        out_shardings=(replicated, replicated),
        donate_argnums=0,
    )


def steps_per_dispatch(variables: Mapping[str, Any]) -> int:
    """How many steps one dispatch should take for a model with these variables.

    Dense models: 50, to hide the dispatch. Models with a convolution (a kernel of rank 4) on CPU:
    one, since XLA's kernel gradient of a convolution is slow inside a loop there.
    """
    convolutional = any(leaf.ndim == 4 for leaf in jax.tree.leaves(variables))
    return 1 if convolutional and jax.default_backend() == "cpu" else 50


def pmap_step(step: Callable[..., Any], devices: Sequence[jax.Device] | None = None) -> Step:
    """`step` (which takes `axis_name`) compiled by `pmap`, for code and pods written that way.

    Args:
      step: `partial(train_step, players, ...)`.
      devices: the replicas, all of this process; default all of them.

    Returns:
      `(state, batch) -> (state, metrics)`, where the state carries a leading replica axis (see
      `stack_replicas`) and is donated, the batch is global, and the metrics are scalars.
    """
    devices = list(devices if devices is not None else jax.local_devices())
    compiled = jax.pmap(
        partial(step, axis_name=AXIS), axis_name=AXIS, devices=devices, donate_argnums=0
    )

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        require_divisible(_length(batch), len(devices))
        local = jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), batch)
        state, metrics = compiled(state, local)
        return state, jax.tree.map(lambda x: x[0], metrics)

    return run


def stack_replicas(state: TrainState, num: int) -> TrainState:
    """`num` equal copies along a new leading axis, as `pmap_step` takes them."""
    return jax.tree.map(lambda x: jnp.stack([x] * num), state)


def first_replica(state: TrainState) -> TrainState:
    """The state of the first replica; all are equal, for gradients and statistics are averaged."""
    return jax.tree.map(lambda x: x[0], state)


def _length(batch):
    return jax.tree.leaves(batch)[0].shape[0]
