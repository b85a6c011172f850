"""A DCGAN on faces of 64x64, the paper's size and networks.

    python -m experiments.dcgan_celeba --data.download
    jaxgen evaluate runs/dcgan_celeba

TFDS fetches CelebA; the central square is resized. Never run: where this was written there is no
network, so that minutes, seeds and figures are missing (2026-11-25).
"""

import sys

from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.gan import dcgan
from jaxgen.optimizer import Optimizer


def dcgan_celeba(
    *,
    settings: CommonFlags = Settings(steps=100_000, batch_size=128, ema_decay=0.999),
    data: Data = Data("celeb_a", transform="symmetric", image_size=64),
    discriminator: Optimizer = Optimizer(learning_rate=2e-4, beta1=0.5),
    generator: Optimizer = Optimizer(learning_rate=2e-4, beta1=0.5),
    latent_dim: int = 100,
    features: int = 128,
    smallest: int = 4,
    kernel_size: int = 5,
    smoothing: float = 0.0,
    share_samples: bool = True,
) -> Experiment:
    """A DCGAN.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      discriminator: its optimiser.
      generator: its optimiser.
      latent_dim: Z.
      features: maps next to the image, in both networks.
      smallest: least side of the smallest maps.
      kernel_size: of the convolutions.
      smoothing: real targets are 1 - smoothing.
      share_samples: both players see the same samples in a step, which saves time.
    """
    model = dcgan.build(
        load(data).shape,
        latent_dim=latent_dim,
        features=features,
        smallest=smallest,
        kernel_size=kernel_size,
        smoothing=smoothing,
        share_samples=share_samples,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (discriminator, generator))


if __name__ == "__main__":
    sys.exit(launch(dcgan_celeba))
