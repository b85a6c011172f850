"""The jaxgen sides of `benchmarks vae`: the real loop, and its bare step.

The loop is `jaxgen.loop.run` as it is. It writes a line of progress to stderr at the end of every
window of `log_every` steps, when all that it has dispatched is computed; a stand-in for stderr
halts it at the lines that end a block, and takes the time from one to the next.
"""

import contextlib
import io
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks import worker
from benchmarks.dispatch import NEVER, stepping
from jaxgen import data
from jaxgen.data import Data
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.loop import loop
from jaxgen.loop.host import keep_freed_memory
from jaxgen.runs.folder import environment
from jaxgen.vae import vae

_PROGRESS = re.compile(r"step +(\d+)/")


class Stopped(Exception):  # noqa: N818 (no error: it ends a run)
    """The harness has closed stdin."""


class Gate(io.TextIOBase):
    """A stand-in for stderr that halts the training at the end of every block.

    Args:
      steps: in a block.
      warmup_blocks: not reported.
      passed_on: the real stderr.
    """

    def __init__(
        self,
        steps: int,
        warmup_blocks: int,
        passed_on: TextIO,
    ):
        self._steps = steps
        self._first = steps * warmup_blocks
        self._passed_on = passed_on
        self._line = ""
        self._start = 0.0

    def write(self, text: str) -> int:
        """Keep the line until `flush`."""
        self._line += text
        return len(text)

    def flush(self) -> None:
        """Pass the line on; at the end of a block report the time and wait for the next."""
        line = self._line
        self._line = ""
        self._passed_on.write(line)
        progress = _PROGRESS.match(line)
        if progress is None:
            return
        step = int(progress[1])
        if step < self._first or step % self._steps:
            return
        if step == self._first:
            worker.tell(ready=environment())
        else:
            worker.tell(seconds=time.perf_counter() - self._start)
        if not sys.stdin.readline():
            raise Stopped
        self._start = time.perf_counter()


def train(config: dict[str, Any]) -> None:
    """Run the real loop, halted at the ends of blocks; `interval` as in the settings."""
    gate = Gate(config["steps"], config["warmup_blocks"], sys.stderr)
    with contextlib.redirect_stderr(gate), contextlib.suppress(Stopped):
        loop.run(experiment(config), Path(config["folder"]) / config["variant"])


def bare(config: dict[str, Any]) -> None:
    """Run the loop's dispatch alone, over indices that lie on the device."""
    trained = experiment(config)
    dataset = data.load(trained.data)
    block = stepping(
        trained,
        dict(dataset.splits["train"].resident or {}),
        config["steps"],
        dataset=dataset,
        at_most=config["log_every"],
    )
    for _ in range(config["warmup_blocks"]):
        block()
    worker.serve(block, environment())


def experiment(config: dict[str, Any]) -> Experiment:
    """Return the VAE of 784-400-20 (or what `config` says) on the given IDX file."""
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


if __name__ == "__main__":
    keep_freed_memory()
    told = worker.config()
    if told["variant"] == "bare":
        bare(told)
    else:
        train(told)
