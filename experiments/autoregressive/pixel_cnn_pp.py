"""PixelCNN++ (Salimans et al., 2017)."""

import sys

from jaxgen.__main__ import train
from jaxgen.autoregressive import PixelCNNPP, pixel_cnn_pp
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def pixel_cnn_pp_digits(
    *,
    settings: CommonFlags = Settings(steps=600, batch_size=64, ema_decay=0.99, evaluate_every=100),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=3e-3),
    num_components: int = 5,
    features: int = 24,
    num_blocks: int = 1,
    num_stages: int = 2,
    dropout: float = 0.5,
    coordinates: bool = True,
) -> Experiment:
    """Train a small PixelCNN++.

    The 8x8 digits are binarised at >= 8, or keep their 17 levels.

        jaxgen train pixel_cnn_pp_digits
        jaxgen train pixel_cnn_pp_digits --data.transform levels
        jaxgen evaluate runs/pixel_cnn_pp_digits

    2.7 minutes on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, 2026-11-25. Test
    (360 images), mean ± standard deviation over seeds 0, 1, 2: 16.79 ± 0.13 nats. Settings were
    chosen on the validation split.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form: binarise or levels.
      optimizer: of the one player.
      num_components: logistics in each mixture.
      features: channels of every map.
      num_blocks: gated layers per stage.
      num_stages: resolutions.
      dropout: part of a layer's maps left out in training.
      coordinates: give the first layer the place of each pixel.
    """
    dataset = load(data)
    model: PixelCNNPP = pixel_cnn_pp.build(
        dataset.shape,
        levels=dataset.values or 256,
        num_components=num_components,
        features=features,
        num_blocks=num_blocks,
        num_stages=num_stages,
        dropout=dropout,
        coordinates=coordinates,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
