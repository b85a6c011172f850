"""The jaxgen side of `benchmarks autoregressive`.

Its steps are the loop's own dispatch. Before it says that it is ready, it leaves the parameters of
a model whose biases are not zero, some images and their logits in the file `config["weights"]`, if
PyTorch is to compute the same from them.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import models, worker
from benchmarks.dispatch import experiment, ready, stepping
from benchmarks.worker import Block
from jaxgen.experiment import Experiment
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.loop.host import keep_freed_memory
from jaxgen.step import train_step

BATCHES = 8


def train(
    trained: Experiment,
    images: np.ndarray,
    config: dict[str, Any],
) -> Block:
    """Return a block of Adam's steps, as many in a dispatch as the loop takes."""
    return stepping(trained, {"image": images}, config["steps"])


def score(
    trained: Experiment,
    images: np.ndarray,
    config: dict[str, Any],
) -> Block:
    """Return a block of densities of batches."""
    variables = _variables(trained)
    log_prob = jax.jit(trained.model.log_prob)
    batches = cycle([jnp.asarray(x) for x in np.split(images, BATCHES)])

    def block() -> float:
        for _ in range(config["steps"]):
            total = log_prob(variables, next(batches)).sum()
        return total.item()

    return block


def sample(
    trained: Experiment,
    images: np.ndarray,
    config: dict[str, Any],
) -> Block:
    """Return a block of samples of a batch each."""
    del images
    variables = _variables(trained)
    root = jax.random.key(1)
    number = count()
    draw = jax.jit(partial(trained.model.sample, num=config["batch_size"]))

    def block() -> jax.Array:
        for _ in range(config["steps"]):
            drawn = draw(variables, jax.random.fold_in(root, next(number)))
        return jax.block_until_ready(drawn)

    return block


def leave_weights(
    model: Any,
    images: np.ndarray,
    path: str,
) -> None:
    """Save parameters `p/...`, images `x` [B, H, W] and `logits` [B, D] in an npz file."""
    variables = jax.jit(model.init)(jax.random.key(2))
    leaves, tree = jax.tree.flatten(variables)
    noise = np.random.default_rng(0)
    leaves = [x + 0.05 * noise.normal(size=x.shape).astype(np.float32) for x in leaves]
    variables = jax.tree.unflatten(tree, leaves)
    logits = jax.jit(model.conditionals)(variables, images)
    named = jax.tree_util.tree_leaves_with_path(variables)
    paths = [jax.tree_util.keystr(p[2:], simple=True, separator="/") for p, _ in named]
    arrays = {f"p/{path}": np.asarray(x) for path, (_, x) in zip(paths, named, strict=True)}
    np.savez(path, x=images[..., 0], logits=np.asarray(logits).reshape(len(images), -1), **arrays)


def limits(trained: Experiment, images: np.ndarray) -> dict[str, float]:
    """Return a step's GFLOP and GB by XLA's count, and what this machine does of both a second."""
    state = trained.abstract_state()
    batch = {"image": images[: trained.settings.batch_size]}
    step = jax.jit(partial(train_step, trained.players()))
    cost = step.lower(state, batch).compile().cost_analysis()
    side = 1024
    length = 2**26
    product = _fastest(jax.jit(lambda x: x @ x), jnp.full((side, side), 1 / side))
    scaling = _fastest(jax.jit(lambda x: 0.5 * x, donate_argnums=0), jnp.ones(length))
    return {
        "step_gflop": cost["flops"] / 1e9,
        "step_gb": cost["bytes accessed"] / 1e9,
        "gflop_per_second": 2 * side**3 / product / 1e9,
        "gb_per_second": 2 * 4 * length / scaling / 1e9,
    }


WORK: dict[str, Callable[..., Block]] = {"train": train, "log_prob": score, "sample": sample}


def main() -> None:
    """Serve the harness until it closes stdin."""
    keep_freed_memory()
    config = worker.config()
    model = models.build(config["model"], config["shape"], config["sizes"])
    adam = Optimizer(learning_rate=config["learning_rate"])
    trained = experiment(model, config["batch_size"], adam)
    shape = (BATCHES * config["batch_size"], *model.shape)
    images = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
    if config["weights"]:
        leave_weights(model, images[:4], config["weights"])
    about = ready(trained)
    if config["limits"]:
        about["limits"] = limits(trained, images)
    block = WORK[config["task"]](trained, images, config)
    block()
    worker.serve(block, about)


def _variables(trained: Experiment) -> Any:
    return jax.jit(trained.model.init)(jax.random.key(trained.settings.seed))


def _fastest(
    function: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    calls: int = 8,
) -> float:
    """Return the seconds of the fastest of some calls, each on what the last one gave."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        x = jax.block_until_ready(function(x))
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
