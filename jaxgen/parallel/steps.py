"""Compile a step: by `jit` over a mesh (the default), many steps by `scan`, or by `pmap`.

`jit`: the state is replicated, the batch is sharded over the mesh's one axis, and the loss sees the
global batch. Means and batch statistics need no communication code, and a seed gives the same run
on 1 or 8 devices. `pmap`: each replica sees its own slice and its own randomness; gradients and
statistics are averaged over the axis by the step itself.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.first_batch import look, noted
from jaxgen.parallel.mesh import AXIS, leading_length, require_divisible
from jaxgen.parallel.processes import is_one_of_several
from jaxgen.step import TrainState, all_finite, choose
from jaxgen.typing import Batch, Metrics, Variables

Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Dispatch = Callable[[TrainState, Batch, Any, Any], tuple[TrainState, Metrics]]
_BatchOf = Callable[[Batch, Any], Batch]  # (data, an item) -> the batch that it stands for


def jit_step(step: Step, mesh: Mesh) -> Step:
    """Compile `step` over the mesh; the state is donated, the batch sharded.

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
        require_divisible(leading_length(batch), mesh.size)
        return compiled(state, batch)

    return _looking(run, _whole)


def jit_steps(
    step: Callable[..., Any], mesh: Mesh, *, resident: bool, guard: bool = False
) -> Dispatch:
    """Compile several steps into one dispatch: `(state, data, items, start) -> (state, metrics)`.

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

    def batch_of(data: Batch, item: Any) -> Batch:
        batch = {name: values[item] for name, values in data.items()} if resident else item
        return jax.lax.with_sharding_constraint(batch, sharded)

    one = _one(step, batch_of, guard)
    several = _several(step, batch_of, guard)

    def many(state: TrainState, data: Batch, items: Any, start: Any) -> tuple[TrainState, Metrics]:
        dispatch = one if leading_length(items) == 1 else several
        return dispatch(state, data, items, start)

    compiled = jax.jit(
        many,
        in_shardings=(replicated, replicated, stacked, replicated),
        out_shardings=(replicated, replicated),
        donate_argnums=0,
    )
    if guard:  # a run's own loop, whose data were compared with the model
        return compiled

    def first_of(data: Batch, items: Any, start: Any) -> Batch:
        del start
        first = jax.tree.map(lambda x: x[0], items)
        return {name: values[first] for name, values in data.items()} if resident else first

    return _looking(compiled, first_of)


def _whole(batch: Batch) -> Batch:
    """Return the batch of a step that takes one."""
    return batch


def _looking(run: Callable[..., Any], batch_of: Callable[..., Batch]) -> Callable[..., Any]:
    """Return the compiled step with a look at its first batch, on the host.

    Args:
      run: (state, *arguments) -> (state, metrics).
      batch_of: arguments -> the batch of the first step.
    """
    calls = itertools.count()

    @wraps(run)
    def looking(state: TrainState, *arguments: Any) -> tuple[TrainState, Metrics]:
        if next(calls) or is_one_of_several():  # of several, each has a part of the batch
            return run(state, *arguments)
        batch = batch_of(*arguments)
        with noted() as found:
            outcome = run(state, *arguments)
        for trained in found:
            look(trained, batch)
        return outcome

    return looking


def _one(step: Callable[..., Any], batch_of: _BatchOf, guard: bool) -> Dispatch:
    """Make a dispatch of a single step, K = 1; the step itself is the guard."""

    def dispatch(
        state: TrainState, data: Batch, items: Any, start: Any
    ) -> tuple[TrainState, Metrics]:
        first_item = jax.tree.map(lambda x: x[0], items)
        batch = batch_of(data, first_item)
        state, metrics = step(state, {**batch, "turn": start}, guard=guard)
        return state, jax.tree.map(lambda x: x[None], metrics)

    return dispatch


def _several(step: Callable[..., Any], batch_of: _BatchOf, guard: bool) -> Dispatch:
    """Make a dispatch of K steps in a scan, all or none of which are taken."""

    def dispatch(
        old: TrainState, data: Batch, items: Any, start: Any
    ) -> tuple[TrainState, Metrics]:
        def advance(state: TrainState, item: Any) -> tuple[TrainState, Metrics]:
            return step(state, batch_of(data, item))

        state, metrics = jax.lax.scan(advance, old, items)
        if not guard:
            return state, metrics
        taken = (old.step == start) & all_finite((metrics, state))
        finite = jnp.full(leading_length(items), taken)
        return choose(taken, state, old), {**metrics, "finite": finite}

    return dispatch


def steps_per_dispatch(variables: Variables) -> int:
    """Return how many steps one dispatch should take for a model with these variables.

    Dense models: 50, to hide the dispatch. Models with a convolution on CPU: one, since XLA's
    kernel gradient of a convolution is slow inside a loop there.
    """
    convolutional = any(_has_convolutions(network) for network in variables.values())
    return 1 if convolutional and jax.default_backend() == "cpu" else 50


def _has_convolutions(network: Mapping[str, Any]) -> bool:
    """Return whether a network has a parameter of the shape of a convolution's kernel.

    It is [KH, KW, I, O], or [L, KH, KW, I, O] for a stack of L layers. Other collections do not
    count: a pool of images or a reference batch has four axes too.
    """
    params = jax.tree.leaves(network.get("params", {}))
    return any(leaf.ndim in (4, 5) for leaf in params)


def pmap_step(step: Callable[..., Any], devices: Sequence[Any] | None = None) -> Step:
    """Compile `step` (which takes `axis_name`) by `pmap`, for code and pods written that way.

    Args:
      step: `partial(train_step, players, ...)`.
      devices: the replicas, all of this process; default all of them.

    Returns:
      `(state, batch) -> (state, metrics)`, where the state carries a leading replica axis (see
      `stack_replicas`) and is donated, the batch is global, and the metrics are scalars.
    """
    replicas = list(devices if devices is not None else jax.local_devices())
    num = len(replicas)
    compiled = jax.pmap(
        partial(step, axis_name=AXIS), axis_name=AXIS, devices=replicas, donate_argnums=0
    )

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        require_divisible(leading_length(batch), num)
        # [B, ...] -> [R, B / R, ...]
        slices = jax.tree.map(lambda x: x.reshape(num, -1, *x.shape[1:]), batch)
        state, metrics = compiled(state, slices)
        return state, jax.tree.map(lambda x: x[0], metrics)

    return _looking(run, _whole)


def stack_replicas(state: TrainState, num: int) -> TrainState:
    """Return `num` equal copies along a new leading axis, as `pmap_step` takes them."""
    return jax.tree.map(lambda x: jnp.stack([x] * num), state)


def first_replica(state: TrainState) -> TrainState:
    """Return the state of the first replica.

    Parameters and batch statistics are those of all, for they are means; chains and pools are its
    own.
    """
    return jax.tree.map(lambda x: x[0], state)
