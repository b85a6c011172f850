"""The jaxgen side of `experiments.benchmark autoregressive`.

    python -m experiments.benchmark_autoregressive_jaxgen JSON

speaks as `benchmark_autoregressive_torch` does. Its steps are the loop's own dispatch. Before it
says that it is ready, it leaves the parameters of a model whose biases are not zero, some images
and their logits in the file `config["weights"]`, if PyTorch is to compute the same from them.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import benchmark_models
from experiments.benchmark_jaxgen import NEVER, serve, stepping, tell
from jaxgen import parallel
from jaxgen.experiment import Experiment, Settings
from jaxgen.folder import environment
from jaxgen.memory import keep_freed_memory
from jaxgen.optimizer import Optimizer
from jaxgen.train import train_step

BATCHES = 8


def train(trained: Experiment, images: np.ndarray, config: dict) -> Callable[[], Any]:
    """A block of Adam's steps, as many in a dispatch as the loop takes."""
    variables = jax.eval_shape(trained.model.init, jax.random.key(0))
    longest = parallel.steps_per_dispatch(variables)
    longest = max(n for n in range(1, longest + 1) if config["steps"] % n == 0)
    return stepping(trained, {"image": images}, config["steps"], longest)


def score(trained: Experiment, images: np.ndarray, config: dict) -> Callable[[], Any]:
    """A block of densities of batches."""
    variables, log_prob = _variables(trained), jax.jit(trained.model.log_prob)
    batches = cycle([jnp.asarray(x) for x in np.split(images, BATCHES)])

    def block():
        for _ in range(config["steps"]):
            total = log_prob(variables, next(batches)).sum()
        return total.item()

    return block


def sample(trained: Experiment, images: np.ndarray, config: dict) -> Callable[[], Any]:
    """A block of samples of a batch each."""
    del images
    variables, root, number = _variables(trained), jax.random.key(1), count()
    draw = jax.jit(partial(trained.model.sample, num=config["batch_size"]))

    def block():
        for _ in range(config["steps"]):
            drawn = draw(variables, jax.random.fold_in(root, next(number)))
        return jax.block_until_ready(drawn)

    return block


def leave_weights(model: Any, images: np.ndarray, path: str) -> None:
    """Parameters `p/...`, images `x` [B, H, W] and `logits` [B, D] in an npz file."""
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
    """A step's GFLOP and GB by XLA's count, and what this machine does of both in a second."""
    state, batch = trained.abstract_state(), {"image": images[: trained.settings.batch_size]}
    step = jax.jit(partial(train_step, trained.players()))
    cost = step.lower(state, batch).compile().cost_analysis()
    side, length = 1024, 2**26
    product = _fastest(jax.jit(lambda x: x @ x), jnp.full((side, side), 1 / side))
    scaling = _fastest(jax.jit(lambda x: 0.5 * x, donate_argnums=0), jnp.ones(length))
    return {
        "step_gflop": cost["flops"] / 1e9,
        "step_gb": cost["bytes accessed"] / 1e9,
        "gflop_per_second": 2 * side**3 / product / 1e9,
        "gb_per_second": 2 * 4 * length / scaling / 1e9,
    }


def main() -> None:
    """Serves the harness until it closes stdin."""
    keep_freed_memory()
    config = json.loads(sys.argv[1])
    model = benchmark_models.build(config["model"], config["shape"], config["sizes"])
    settings = Settings(steps=NEVER, batch_size=config["batch_size"])
    trained = Experiment(
        model, settings, optimizers=(Optimizer(learning_rate=config["learning_rate"]),)
    )
    shape = (BATCHES * config["batch_size"], *model.shape)
    images = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
    if config["weights"]:
        leave_weights(model, images[:4], config["weights"])
    leaves = jax.tree.leaves(trained.abstract_state().variables)
    ready = environment() | {"parameters": sum(leaf.size for leaf in leaves)}
    if config["limits"]:
        ready["limits"] = limits(trained, images)
    work = {"train": train, "log_prob": score, "sample": sample}[config["task"]]
    block = work(trained, images, config)
    block()
    tell(ready=ready)
    serve(block)


def _variables(trained):
    return jax.jit(trained.model.init)(jax.random.key(trained.settings.seed))


def _fastest(function, x, calls=8):
    """Seconds of the fastest of some calls, each on what the last one gave."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        x = jax.block_until_ready(function(x))
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
