"""The generative stochastic network (Bengio et al., 2014)."""

import sys

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.diffusion import GSN
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def gsn_digits(
    *,
    settings: CommonFlags = Settings(steps=5000, batch_size=100, ema_decay=0.995),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine"),
    hidden: tuple[int, ...] = (300, 300),
    walkbacks: int = 4,
    corruption: float = 0.3,
    noise_std: float = 1.0,
) -> Experiment:
    """Train a chain by walkback.

    The 8x8 digits are binarised at >= 8.

        jaxgen train gsn_digits
        jaxgen evaluate runs/gsn_digits
        jaxgen sample runs/gsn_digits --chain

    Its figures have not been measured, neither minutes nor test figures over seeds (2026-11-30).

    Args:
      settings: the flags every recipe has; it computes in float32 whatever the precision.
      data: which data, in binary form.
      optimizer: of the one player.
      hidden: widths of the layers above the visible one.
      walkbacks: moves from each example.
      corruption: share of elements that are replaced by coins.
      noise_std: of the noise above the first hidden layer.
    """
    model = GSN(load(data).shape, hidden, walkbacks, corruption, noise_std)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
