"""The generative adversarial network (Goodfellow et al., 2014)."""

import sys
from typing import Literal

from jaxgen.__main__ import train
from jaxgen.data import Data
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer

from ..studies.modes.arms import PRESETS, gan


def gan_ring(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=512),
    data: Data = Data("ring", transform="none"),
    discriminator: Optimizer = PRESETS["unrolled"].optimizer,
    generator: Optimizer = PRESETS["unrolled"].optimizer,
    cost: str = "minimax",
    order: Literal["alternating", "simultaneous"] = "simultaneous",
) -> Experiment:
    """Train a GAN that is to collapse.

    A plain GAN on the ring of 8 modes, of the mode lab's two small networks, at the settings of the
    unrolled GAN's paper.

        jaxgen train gan_ring
        jaxgen evaluate runs/gan_ring

    The mode lab, with the same networks and settings, found 0.4 ± 0.2 of
    the 8 modes (seeds 0 to 4, mean and standard error; docs/modes.md) in 7 minutes for all five on
    2 cores of an AMD EPYC (Zen 3), shared with other work, 2026-11-28. This recipe itself was run
    for a few steps.

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
    sys.exit(train())
