"""Tables: the joint distribution and the Markov chain."""

import sys

from jaxgen.__main__ import train
from jaxgen.autoregressive import JointTable, MarkovChain, Ordering
from jaxgen.data import Data, load
from jaxgen.errors import ConfigError
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def tabular_bars(
    *,
    settings: CommonFlags = Settings(steps=3000, batch_size=100, ema_decay=0.99),
    data: Data = Data("bars"),
    optimizer: Optimizer = Optimizer(learning_rate=0.1, schedule="cosine"),
    window: int | None = None,
    stationary: bool = False,
    ordering: Ordering = Ordering(),
) -> Experiment:
    """Train the joint table, or AR(N).

    Tables on bars and stripes, whose entropy is 3.379 nats: the joint table, or with a window N the
    Markov chain AR(N), from N = 0, independent pixels, on.

        jaxgen train tabular_bars
        jaxgen train tabular_bars --window 1 --workdir runs/ar1_bars
        jaxgen evaluate runs/tabular_bars

    0.5 minutes on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, 2026-11-25. Test
    (10 000 images), seeds 0, 1, 2: 3.381 ± 0.001 nats; with --window 5 3.386 ± 0.001.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form; few enough states for a table.
      optimizer: of the one player.
      window: how many pixels a pixel depends on, 0 for independent pixels; None: the joint table.
      stationary: one table for all positions of the chain.
      ordering: in which order pixels are read.
    """
    dataset = load(data)
    if dataset.values is None:
        raise ConfigError(f"--data.name {data.name}: real numbers, and a table is for whole levels")
    model: JointTable | MarkovChain
    if window is None:
        model = JointTable(dataset.shape, dataset.values, ordering)
    else:
        model = MarkovChain(dataset.shape, window, dataset.values, stationary, ordering)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
