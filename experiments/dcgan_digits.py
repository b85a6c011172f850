"""A DCGAN on the 8x8 digits in grey.

    python -m experiments.dcgan_digits
    jaxgen evaluate runs/dcgan_digits

1.1 minutes for seed 0 on 2 cores of an AMD EPYC (Zen 3), no GPU, 2026-11-28. 360 samples against
the 360 test images (real ones in their place, in brackets): Frechet distance 7.5 (4.7), precision
0.74 (0.93), recall 0.91 (0.92), coverage 0.92 (0.99). Other seeds were not run, and settings were
not searched.
"""

import sys

from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.gan import dcgan
from jaxgen.optimizer import Optimizer


def dcgan_digits(
    *,
    settings: CommonFlags = Settings(steps=6000, batch_size=64, ema_decay=0.999),
    data: Data = Data(transform="symmetric"),
    discriminator: Optimizer = Optimizer(learning_rate=2e-4, beta1=0.5),
    generator: Optimizer = Optimizer(learning_rate=2e-4, beta1=0.5),
    latent_dim: int = 32,
    features: int = 32,
    smallest: int = 2,
    kernel_size: int = 3,
    smoothing: float = 0.0,
    share_samples: bool = False,
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
    sys.exit(launch(dcgan_digits))
