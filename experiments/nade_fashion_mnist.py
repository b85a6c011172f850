"""NADE on Fashion-MNIST at full size.

    apt-get install dataset-fashion-mnist
    python -m experiments.nade_fashion_mnist
    jaxgen evaluate runs/nade_fashion_mnist

43 minutes for seed 0 on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, killed once
on the way and resumed, 2026-11-25. Test (10 000 images, binarised stochastically): 229.22 ± 0.76
nats, the standard error over examples; other seeds were not run.
"""

import sys

from jaxgen.autoregressive.nade import NADE
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer


def nade_fashion_mnist(
    *,
    settings: CommonFlags = Settings(steps=12_000, batch_size=128),
    data: Data = Data("/usr/share/datasets/fashion-mnist", transform="binarise_stochastic"),
    optimizer: Optimizer = Optimizer(learning_rate=4e-3, schedule="cosine"),
    hidden: int = 500,
    ordering: Ordering = Ordering(),
) -> Experiment:
    """A NADE on the real 28x28 Fashion-MNIST.

    Args:
      settings: the flags every recipe has; NADE computes in float32 whatever the precision.
      data: IDX files; with a network, --data.name fashion_mnist --data.download.
      optimizer: of the one player.
      hidden: number of hidden units.
      ordering: in which pixels are drawn.
    """
    model = NADE(load(data).shape, hidden, ordering)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(launch(nade_fashion_mnist))
