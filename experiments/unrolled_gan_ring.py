"""An unrolled GAN on the ring of 8 modes, at the settings of its paper.

    python -m experiments.unrolled_gan_ring
    jaxgen evaluate runs/unrolled_gan_ring

Not yet run to the end with these settings: minutes, seeds and figures are missing (2026-11-25).
Beside it, without looking ahead: `python -m experiments.gan_ring`; over seeds, with error bars:
`python -m experiments.modes --arms minimax unrolled_5`.
"""

import sys
from typing import Literal

from experiments.mode_arms import PRESETS
from experiments.mode_arms import unrolled as unrolled_gan
from jaxgen.cli import launch
from jaxgen.data import Data
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer


def unrolled_gan_ring(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=512),
    data: Data = Data("ring", transform="none"),
    discriminator: Optimizer = PRESETS["unrolled"].optimizer,
    generator: Optimizer = PRESETS["unrolled"].optimizer,
    unrolled: int = 5,
    order: Literal["alternating", "simultaneous"] = "simultaneous",
) -> Experiment:
    """An unrolled GAN of the mode lab's two small networks, on points in the plane.

    Args:
      settings: the flags every recipe has.
      data: ring, small_ring or grid.
      discriminator: its optimiser.
      generator: its optimiser.
      unrolled: moves of the discriminator that the generator foresees.
      order: in which players move.
    """
    model = unrolled_gan(PRESETS["unrolled"], unrolled)
    return Experiment(model, settings, data, (discriminator, generator), order)


if __name__ == "__main__":
    sys.exit(launch(unrolled_gan_ring))
