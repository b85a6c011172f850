"""A class-conditional Gated PixelCNN on the 8x8 digits, binarised at >= 8.

    python -m experiments.gated_pixel_cnn_digits
    jaxgen evaluate runs/gated_pixel_cnn_digits
    jaxgen sample runs/gated_pixel_cnn_digits

2.6 minutes on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, 2026-11-25. Test
(360 images), mean ± standard deviation over seeds 0, 1, 2: 16.51 ± 0.08 nats for log p(x), the mean
over ten classes; 14.33 ± 0.09 nats for log p(x | y). Settings were chosen on the validation split.
"""

import sys

from jaxgen.autoregressive import gated_pixel_cnn
from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer


def gated_pixel_cnn_digits(
    *,
    settings: CommonFlags = Settings(steps=1200, batch_size=64, ema_decay=0.998),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=3e-3, schedule="cosine", weight_decay=0.01),
    num_layers: int = 4,
    features: int = 32,
    kernel_size: int = 3,
    head: int = 64,
    num_classes: int = 10,
    skips: bool = False,
    coordinates: bool = True,
    dropout: float = 0.3,
) -> Experiment:
    """A Bernoulli Gated PixelCNN on the digits, given the class.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      num_layers: gated layers.
      features: maps of each stack.
      kernel_size: side of the convolutions.
      head: maps of the hidden 1x1 convolution.
      num_classes: classes to condition on; 0 for none.
      skips: the head reads every horizontal layer, rather than the last.
      coordinates: let every pixel know its row and column.
      dropout: part of the horizontal maps left out in training.
    """
    model = gated_pixel_cnn.build(
        load(data).shape,
        num_layers=num_layers,
        features=features,
        kernel_size=kernel_size,
        head=head,
        num_classes=num_classes,
        skips=skips,
        coordinates=coordinates,
        dropout=dropout,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(launch(gated_pixel_cnn_digits))
