"""A plain GAN on the ring of 8 modes, at the settings of the unrolled GAN's paper.

    python -m experiments.gan_ring
    jaxgen evaluate runs/gan_ring

Not yet run to the end with these settings: minutes, seeds and figures are missing (2026-11-25).
It is meant to collapse: how many modes are left, over seeds, is `python -m experiments.modes`.
"""

import sys
from typing import Literal

from experiments.mode_arms import PRESETS, gan
from jaxgen.cli import launch
from jaxgen.data import Data
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer


def gan_ring(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=512),
    data: Data = Data("ring", transform="none"),
    discriminator: Optimizer = PRESETS["unrolled"].optimizer,
    generator: Optimizer = PRESETS["unrolled"].optimizer,
    cost: str = "minimax",
    order: Literal["alternating", "simultaneous"] = "simultaneous",
) -> Experiment:
    """A GAN of the mode lab's two small networks, on points in the plane.

    Args:
      settings: the flags every recipe has.
      data: ring, small_ring or grid.
      discriminator: its optimiser.
      generator: its optimiser.
      cost: minimax, non_saturating, maximum_likelihood, least_squares, hinge or f_kl, ...
      order: in which players move.
    """
    model = gan(PRESETS["unrolled"], cost=cost)
    return Experiment(model, settings, data, (discriminator, generator), order)


if __name__ == "__main__":
    sys.exit(launch(gan_ring))
