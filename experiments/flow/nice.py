"""NICE (Dinh, Krueger and Bengio, 2015)."""

import sys
from typing import Literal

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.flow import NICE


def nice_digits(
    *,
    settings: CommonFlags = Settings(steps=3000, batch_size=100, ema_decay=0.99),
    data: Data = Data(transform="dequantise"),
    optimizer: Optimizer = Optimizer(learning_rate=3e-3, schedule="cosine", weight_decay=1e-2),
    hidden: tuple[int, ...] = (128, 128),
    num_couplings: int = 4,
    prior: Literal["logistic", "normal"] = "logistic",
) -> Experiment:
    """Train additive couplings on digits.

    The 17 levels of the 8x8 digits are dequantised to [0, 1) with fresh noise at every step.

        jaxgen train nice_digits
        jaxgen evaluate runs/nice_digits

    0.4 minutes on 2 cores of an AMD EPYC, no GPU, shared with other work, 2026-11-30. Test (360
    images), mean ± standard deviation over seeds 0, 1, 2: log p(y) 42.53 ± 0.45 nats, that is 3.129
    ± 0.010 bits/dim (of 17 equally probable levels 4.087). It overfits: at the last steps the loss
    of the training images is -94 nats. The settings are the first that were tried.

    Args:
      settings: the flags every recipe has.
      data: which data, dequantised.
      optimizer: of the one player.
      hidden: widths of the hidden layers of each coupling's network.
      num_couplings: how many.
      prior: of an element of the code.
    """
    shape = load(data).shape
    model = NICE(shape, hidden, num_couplings, prior, dtype=settings.precision)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
