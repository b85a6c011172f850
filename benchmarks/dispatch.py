"""jaxgen's sides of the benchmarks: steps in the loop's own dispatches, as blocks of work."""

import math
from collections.abc import Mapping
from functools import partial
from itertools import count
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks.worker import Block
from jaxgen import data, parallel
from jaxgen.data import Dataset
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.runs.folder import environment
from jaxgen.step import train_step

NEVER = 10**9  # an interval beyond any run
_CHUNKS = 8  # of indices, on the device before the first step


def experiment(
    model: Any,
    batch_size: int,
    *optimizers: Optimizer,
) -> Experiment:
    """Return an experiment that is never at its end."""
    settings = Settings(steps=NEVER, batch_size=batch_size)
    return Experiment(model, settings, optimizers=optimizers)


def ready(trained: Experiment) -> dict[str, Any]:
    """Return what a worker of jaxgen says of itself."""
    variables = trained.abstract_state().variables
    networks = [network["params"] for network in variables.values()]
    num_parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(networks))
    return {**environment(), "parameters": num_parameters}


def longest(trained: Experiment, steps: int) -> int:
    """Return the steps of a dispatch: as many as the loop takes, a divisor of `steps`."""
    most = parallel.steps_per_dispatch(trained.abstract_state().variables)
    return max(n for n in range(1, most + 1) if steps % n == 0)


def stepping(
    trained: Experiment,
    arrays: Mapping[str, Any],
    steps: int,
    *,
    dataset: Dataset | None = None,
    at_most: int | None = None,
    guard: bool = True,
) -> Block:
    """Return a block of `steps` steps on resident arrays {name: [N, ...]}.

    Args:
      trained: with the model, its optimisers and the batch size.
      arrays: what batches are taken from.
      steps: of a block.
      dataset: prepares the batches; without it they are as the model sees them.
      at_most: steps in a dispatch, a divisor of `steps`.
      guard: look for NaN, as the loop does.
    """
    mesh = parallel.device_mesh()
    per_dispatch = longest(trained, math.gcd(steps, at_most or steps))
    step = partial(train_step, trained.players(), prepare=dataset.prepare if dataset else None)
    dispatch = parallel.jit_steps(step, mesh, resident=True, guard=guard)
    fresh = jax.jit(trained.fresh_state)(jax.random.key(trained.settings.seed))
    state = parallel.replicate(fresh, mesh)
    resident = parallel.replicate(dict(arrays), mesh)
    chunks = _chunks(resident, per_dispatch, trained.settings.batch_size, mesh)
    numbers = count()

    def block() -> Any:
        nonlocal state
        for _ in range(steps // per_dispatch):
            number = next(numbers)
            chunk = chunks[number % _CHUNKS]
            state, metrics = dispatch(state, resident, chunk, number * per_dispatch)
        return jax.block_until_ready((state, metrics))

    return block


def _chunks(
    arrays: Any,
    steps: int,
    batch_size: int,
    mesh: jax.sharding.Mesh,
) -> list[jax.Array]:
    """Return indices of examples, each [steps, batch_size], sharded over the batch."""
    num = len(jax.tree.leaves(arrays)[0])
    sharding = NamedSharding(mesh, PartitionSpec(None, parallel.AXIS))
    starts = [i * steps for i in range(_CHUNKS)]
    chunks = [data.chunk_indices(0, start, steps, batch_size, num) for start in starts]
    return [jax.device_put(chunk, sharding) for chunk in chunks]
