"""The cost of looking for NaN and infinity in every step, against steps that do not look.

One process; both kinds of step take turns on the
same random data, in dispatches as the loop makes them.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.dispatch import experiment, stepping
from benchmarks.harness import (
    chosen,
    conditions,
    opening,
    progress,
    quartiles,
    ratio,
    take_turns,
    verdict,
)
from jaxgen.autoregressive import nade
from jaxgen.experiment import Experiment
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.gan import dcgan
from jaxgen.runs.folder import environment
from jaxgen.vae import vae

AT_MOST = 1.02
SHAPE = (28, 28, 1)
STEPS = 100  # of a turn
MODELS: Mapping[str, Callable[[], Any]] = {
    "vae": lambda: vae.mlp(SHAPE, latent_dim=20, hidden=(400,)),
    "nade": lambda: nade.NADE(SHAPE, hidden=500),
    "dcgan": lambda: dcgan.build(SHAPE, features=16, smallest=7),
}
TITLES = {"vae": "VAE 784-400-20", "nade": "NADE 784-500", "dcgan": "DCGAN 28 x 28, 16 maps"}


class Steps:
    """Steps of a model with the look or without, for `take_turns`.

    Args:
      name: of the variant.
      trained: with the model; the data are random.
      steps: of a turn.
      guard: whether to look.
    """

    def __init__(
        self,
        name: str,
        trained: Experiment,
        steps: int,
        guard: bool,
    ):
        self.name = name
        self._steps = steps
        low = -1 if len(trained.optimizers) > 1 else 0
        size = 16 * trained.settings.batch_size
        images = np.random.default_rng(0).integers(low, 2, (size, *SHAPE)).astype(np.float32)
        self._block = stepping(trained, {"image": images}, steps, guard=guard)
        self._block()

    def block(self) -> float:
        """Take the steps of a turn and return their milliseconds per step."""
        start = time.perf_counter()
        self._block()
        return 1000 * (time.perf_counter() - start) / self._steps


def measure(
    rounds: int,
    only: tuple[str, ...],
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of each model."""
    before = conditions()
    entries = {}
    for name in chosen(only, list(MODELS)):
        adam = Optimizer(learning_rate=2e-4)
        players = 2 if name == "dcgan" else 1
        trained = experiment(MODELS[name](), 8 if smoke else 64, *[adam] * players)
        steps = 2 if smoke else STEPS
        kinds = {"with": True, "without": False}
        variants = [Steps(kind, trained, steps, guard) for kind, guard in kinds.items()]
        times = take_turns(variants, rounds)
        judge = {} if smoke else {"at_most": AT_MOST}
        entries[name] = {"times": times, "ratio": ratio(times["with"], times["without"], **judge)}
        progress(name)
    found = {"models": entries, "environment": environment()}
    return found | {"before": before, "after": conditions()}


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    title = "Steps that look for NaN over steps that do not"
    lines = opening(title, found["environment"], found)
    lines.append("")
    for name, entry in found["models"].items():
        ms = {kind: float(np.median(times)) for kind, times in entry["times"].items()}
        each = f"{ms['with']:8.2f} and {ms['without']:.2f} ms a step"
        spread = f"{entry['ratio']['median']:6.3f} ({quartiles(entry['ratio'])})"
        lines.append(f"{TITLES[name]:24}{each}{spread}  {verdict(entry['ratio'])}".rstrip())
    return lines
