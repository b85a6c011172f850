"""The plain autoencoder (Rumelhart, Hinton and Williams, 1986)."""

import sys

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.vae import autoencoder


def autoencoder_digits(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=64),
    data: Data = Data(transform="unit"),
    optimizer: Optimizer = Optimizer(learning_rate=1e-3),
    latent_dim: int = 8,
    hidden: tuple[int, ...] = (200,),
) -> Experiment:
    """Train two MLPs on the squared error.

    The 17 grey levels of the digits are scaled to [0, 1]. For contrast with the VAE: the plain
    autoencoder reconstructs and cannot sample.

        jaxgen train autoencoder_digits
        jaxgen evaluate runs/autoencoder_digits

    0.1 minutes on 2 cores of an AMD EPYC (Zen 4), no GPU, 2026-11-22. Test (360 images), mean ±
    standard deviation over seeds 0, 1, 2: squared error 0.742 ± 0.015 an image, of pixels in [0,
    1].

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      latent_dim: dimensions of the code.
      hidden: widths of the hidden layers.
    """
    model = autoencoder.mlp(
        load(data).shape, latent_dim=latent_dim, hidden=hidden, dtype=settings.precision
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
