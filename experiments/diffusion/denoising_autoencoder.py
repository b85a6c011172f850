"""The denoising autoencoder (Vincent, 2011; Alain and Bengio, 2014)."""

import sys

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.diffusion import denoising_autoencoder
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def denoising_ring(
    *,
    settings: CommonFlags = Settings(steps=4000, batch_size=256, ema_decay=0.995),
    data: Data = Data("ring", transform="none"),
    optimizer: Optimizer = Optimizer(learning_rate=2e-3, schedule="cosine"),
    hidden: tuple[int, ...] = (128, 128),
    energy: bool = False,
    sigma: float = 0.3,
    step: float = 0.15,
    moves: int = 1000,
) -> Experiment:
    """Train the score of a ring with noise, and walk along it.

    The ring of 8 modes, of standard deviation 0.02, to which noise of 0.3 is added.

        jaxgen train denoising_ring
        jaxgen evaluate runs/denoising_ring
        jaxgen sample runs/denoising_ring --num 2500

    0.1 minutes on 2 cores of an AMD EPYC, no GPU, 2026-11-30. Test (10 000 points), mean ± standard
    deviation over seeds 0, 1, 2: denoising error 0.1274 ± 0.0004 of the noise; of the samples of
    its chain, in all 8 modes, 0.889 ± 0.003 are of high quality. The first settings tried.

    Args:
      settings: the flags every recipe has.
      data: ring, small_ring or grid.
      optimizer: of the one player.
      hidden: widths of the network's hidden layers.
      energy: learn an energy, whose chain is adjusted.
      sigma: of the noise.
      step: of a Langevin move.
      moves: of a chain before it is a sample.
    """
    model = denoising_autoencoder.mlp(
        load(data).shape,
        energy=energy,
        hidden=hidden,
        sigma=sigma,
        step=step,
        moves=moves,
        spread=1.5,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
