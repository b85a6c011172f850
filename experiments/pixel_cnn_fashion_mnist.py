"""A PixelCNN on Fashion-MNIST at full size.

    apt-get install dataset-fashion-mnist
    python -m experiments.pixel_cnn_fashion_mnist
    jaxgen evaluate runs/pixel_cnn_fashion_mnist

41 minutes for seed 0 on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, killed once
on the way and resumed, 2026-11-25. Test (10 000 images, binarised stochastically): 237.82 ± 0.76
nats, the standard error over examples; other seeds were not run. That is 2.8 epochs and far from
convergence: with a GPU give it --steps 50000 and --ema-decay 0.999.
"""

import sys

from jaxgen.autoregressive import pixel_cnn
from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer


def pixel_cnn_fashion_mnist(
    *,
    settings: CommonFlags = Settings(steps=2400, batch_size=64, checkpoint_every=500),
    data: Data = Data("/usr/share/datasets/fashion-mnist", transform="binarise_stochastic"),
    optimizer: Optimizer = Optimizer(
        learning_rate=2e-3, schedule="cosine", warmup_steps=200, clip_norm=10.0
    ),
    num_layers: int = 15,
    features: int = 32,
    head: int = 32,
    coordinates: bool = True,
    dropout: float = 0.0,
) -> Experiment:
    """A Bernoulli PixelCNN on the real 28x28 Fashion-MNIST.

    Args:
      settings: the flags every recipe has.
      data: IDX files; with a network, --data.name fashion_mnist --data.download.
      optimizer: of the one player.
      num_layers: residual blocks.
      features: maps between the blocks, the paper's 2h.
      head: maps of the hidden 1x1 convolutions.
      coordinates: let every pixel know its row and column.
      dropout: part of a block's maps left out in training.
    """
    model = pixel_cnn.build(
        load(data).shape,
        num_layers=num_layers,
        features=features,
        head=head,
        coordinates=coordinates,
        dropout=dropout,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(launch(pixel_cnn_fashion_mnist))
