"""A Gated PixelCNN on CIFAR-10, 256 levels a colour.

    python -m experiments.gated_pixel_cnn_cifar10 --data.download
    jaxgen evaluate runs/gated_pixel_cnn_cifar10

Untested beyond a smoke test of the model on random images: there was no network for the data and
no accelerator (2026-11-25). Expect days, not minutes, on 2 cores of a CPU; it is sized for a GPU.
No seeds have been run and there are no figures.
"""

import sys

from jaxgen.autoregressive import gated_pixel_cnn
from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.observation import Categorical
from jaxgen.optimizer import Optimizer


def gated_pixel_cnn_cifar10(
    *,
    settings: CommonFlags = Settings(steps=200_000, batch_size=64, ema_decay=0.9999),
    data: Data = Data("cifar10", transform="levels"),
    optimizer: Optimizer = Optimizer(
        learning_rate=1e-3, schedule="cosine", warmup_steps=1000, clip_norm=100.0
    ),
    num_layers: int = 15,
    features: int = 129,
    kernel_size: int = 3,
    head: int = 258,
    num_classes: int = 0,
    skips: bool = True,
    dropout: float = 0.0,
) -> Experiment:
    """A Gated PixelCNN over bytes, in the order red, green, blue.

    Args:
      settings: the flags every recipe has.
      data: images of bytes; prepared before, or with --data.download.
      optimizer: of the one player.
      num_layers: gated layers.
      features: maps of each stack, a multiple of 3.
      kernel_size: side of the convolutions.
      head: maps of the hidden 1x1 convolution, a multiple of 3.
      num_classes: 10 to condition on the class; 0 for none.
      skips: the head reads every horizontal layer, rather than the last.
      dropout: part of the horizontal maps left out in training.
    """
    model = gated_pixel_cnn.build(
        load(data).shape,
        observation=Categorical(256),
        num_layers=num_layers,
        features=features,
        kernel_size=kernel_size,
        head=head,
        num_classes=num_classes,
        skips=skips,
        dropout=dropout,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(launch(gated_pixel_cnn_cifar10))
