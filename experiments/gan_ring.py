"""A plain GAN on the ring of 8 modes, at the settings of the unrolled GAN's paper.

    python -m experiments.gan_ring
    jaxgen evaluate runs/gan_ring

It is meant to collapse. The mode lab, with the same networks and settings, found 0.4 ± 0.2 of the 8
modes (seeds 0 to 4, mean and standard error; docs/modes.md) in 7 minutes for all five on 2 cores of
an AMD EPYC (Zen 3), shared with other work, 2026-11-28. This recipe itself was run for a few steps.
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
