"""The unrolled GAN (Metz et al., 2016)."""

import sys
from typing import Literal

from jaxgen.__main__ import train
from jaxgen.data import Data
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer

from ..studies.modes.arms import PRESETS
from ..studies.modes.arms import unrolled as unrolled_gan


def unrolled_gan_ring(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=512),
    data: Data = Data("ring", transform="none"),
    discriminator: Optimizer = PRESETS["unrolled"].optimizer,
    generator: Optimizer = PRESETS["unrolled"].optimizer,
    unrolled: int = 5,
    order: Literal["alternating", "simultaneous"] = "simultaneous",
) -> Experiment:
    """Train a GAN that looks ahead.

    An unrolled GAN of the mode lab's two small networks on the ring of 8 modes, at the settings of
    its paper.

        jaxgen train unrolled_gan_ring
        jaxgen evaluate runs/unrolled_gan_ring

    The mode lab, with the same networks and settings, found 3.8 ± 1.7 of the 8 modes (seeds 0 to 4:
    1, 1, 8, 8, 1; mean and standard error; docs/modes.md) in 10 to 20 minutes for all five on 2
    cores of an AMD EPYC (Zen 3), shared with other work, 2026-11-28. This recipe itself was run for
    a few steps. Beside it, without looking ahead: `jaxgen train gan_ring`; over seeds, with error
    bars: `python -m experiments.studies.modes --arms minimax unrolled_5`.

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
    sys.exit(train())
