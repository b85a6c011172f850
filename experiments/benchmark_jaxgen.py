"""The jaxgen sides of `experiments.benchmark`: the real loop, and its bare step.

    python -m experiments.benchmark_jaxgen JSON

speaks as `benchmark_torch` does: `{"ready": {...}}` once warm, then `{"seconds": ...}` for a block
of steps a line on stdin.

The loop is `jaxgen.loop.run` as it is. It writes a line of progress to stderr at the end of every
window of `log_every` steps, when all that it has dispatched is computed; a stand-in for stderr
halts it at the lines that end a block, and takes the time from one to the next.
"""

import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from jaxgen import data, loop, parallel
from jaxgen.data import Data
from jaxgen.experiment import Experiment, Settings
from jaxgen.folder import environment
from jaxgen.memory import keep_freed_memory
from jaxgen.optimizer import Optimizer
from jaxgen.train import train_step
from jaxgen.vae import vae

NEVER = 10**9  # an interval beyond any run


class Stopped(Exception):  # noqa: N818 (no error: it ends a run)
    """The harness has closed stdin."""


class Gate(io.TextIOBase):
    """Stands in for stderr, and halts the training at the end of every block.

    Args:
      steps: in a block.
      warmup_blocks: not reported.
      passed_on: the real stderr.
    """

    def __init__(self, steps: int, warmup_blocks: int, passed_on: io.TextIOBase):
        self._steps, self._first, self._passed_on = steps, steps * warmup_blocks, passed_on
        self._line, self._start = "", 0.0

    def write(self, text: str) -> int:
        """Keeps the line until `flush`."""
        self._line += text
        return len(text)

    def flush(self) -> None:
        """Passes the line on; at the end of a block reports the time and waits for the next."""
        line, self._line = self._line, ""
        self._passed_on.write(line)
        progress = re.match(r"step +(\d+)/", line)
        if progress is None:
            return
        step = int(progress[1])
        if step < self._first or step % self._steps:
            return
        seconds = time.perf_counter() - self._start
        tell(**({"seconds": seconds} if step > self._first else {"ready": environment()}))
        if not sys.stdin.readline():
            raise Stopped
        self._start = time.perf_counter()


def train(config: dict) -> None:
    """The real loop, halted at the ends of blocks; `interval` as in the settings."""
    gate = Gate(config["steps"], config["warmup_blocks"], sys.stderr)
    with contextlib.redirect_stderr(gate), contextlib.suppress(Stopped):
        loop.run(experiment(config), Path(config["folder"]) / config["variant"])


def bare(config: dict) -> None:
    """The loop's dispatch alone, over indices that lie on the device."""
    trained = experiment(config)
    dataset = data.load(trained.data)
    longest = min(
        config["log_every"], parallel.steps_per_dispatch(trained.abstract_state().variables)
    )
    resident = dict(dataset.splits["train"].resident)
    block = stepping(trained, resident, config["steps"], longest, dataset.prepare)
    for _ in range(config["warmup_blocks"]):
        block()
    tell(ready=environment())
    serve(block)


def serve(block: Callable[[], Any]) -> None:
    """A block for each line on stdin; it ends when all that the block computes is there."""
    for _ in sys.stdin:
        start = time.perf_counter()
        block()
        tell(seconds=time.perf_counter() - start)


def experiment(config: dict) -> Experiment:
    """The VAE of 784-400-20 (or what `config` says) on the given IDX file."""
    choice = Data(name=config["data"])
    model = vae.mlp(
        data.load(choice).shape,
        latent_dim=config["latent_dim"],
        hidden=(config["hidden"],),
        activation=config["activation"],
    )
    every = config["interval"] or NEVER
    settings = Settings(
        steps=(config["warmup_blocks"] + config["rounds"] + 1) * config["steps"],
        batch_size=config["batch_size"],
        log_every=config["log_every"],
        evaluate_every=every,
        sample_every=every,
        checkpoint_every=every,
    )
    return Experiment(model, settings, choice, (Optimizer(learning_rate=config["learning_rate"]),))


def stepping(
    trained: Experiment,
    arrays: Mapping[str, Any],
    steps: int,
    longest: int,
    prepare: Callable[..., Any] | None = None,
    guard: bool = True,
) -> Callable[[], Any]:
    """A function that takes `steps` steps on resident arrays {name: [N, ...]}.

    Args:
      trained: with the model, its optimisers and the batch size.
      arrays: what batches are taken from.
      steps: in a block, a multiple of `longest`.
      longest: steps in a dispatch.
      prepare: as of `train_step`.
      guard: look for NaN, as the loop does.
    """
    mesh, size = parallel.device_mesh(), trained.settings.batch_size
    step = partial(train_step, trained.players(), prepare=prepare)
    dispatch = parallel.jit_steps(step, mesh, resident=True, guard=guard)
    state = jax.jit(trained.fresh_state)(jax.random.key(trained.settings.seed))
    state = parallel.replicate(state, mesh)
    arrays = parallel.replicate(dict(arrays), mesh)
    num = len(jax.tree.leaves(arrays)[0])
    items = [data.chunk_indices(0, i * longest, longest, size, num) for i in range(8)]
    sharding = NamedSharding(mesh, PartitionSpec(None, parallel.AXIS))
    items = [jax.device_put(x, sharding) for x in items]

    taken = 0

    def block():
        nonlocal state, taken
        for i in range(steps // longest):
            state, metrics = dispatch(state, arrays, items[i % len(items)], taken)
            taken += longest
        return jax.block_until_ready((state, metrics))

    return block


def tell(**values: Any) -> None:
    """One line of JSON to the harness."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    keep_freed_memory()
    chosen = json.loads(sys.argv[1])
    (bare if chosen["variant"] == "bare" else train)(chosen)
