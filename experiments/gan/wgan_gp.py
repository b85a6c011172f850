"""The Wasserstein GAN with gradient penalty (Gulrajani et al., 2017)."""

import sys

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.gan import WGANGP
from jaxgen.gan.dcgan import DCGANGenerator, DCGANTrunk, halvings
from jaxgen.nn import Discriminator


def wgan_gp_digits(
    *,
    settings: CommonFlags = Settings(steps=15_000, batch_size=64, ema_decay=0.995),
    data: Data = Data(transform="symmetric"),
    discriminator: Optimizer = Optimizer(learning_rate=1e-4, beta1=0.5, beta2=0.9),
    generator: Optimizer = Optimizer(learning_rate=1e-4, beta1=0.5, beta2=0.9),
    weight: float = 10.0,
    discriminator_moves: int = 5,
    latent_dim: int = 32,
    features: int = 32,
    smallest: int = 2,
    kernel_size: int = 3,
) -> Experiment:
    """Train a Wasserstein GAN.

    A WGAN-GP of DCGAN's networks on the 8x8 digits in grey; the critic is without batch
    normalisation.

        jaxgen train wgan_gp_digits
        jaxgen evaluate runs/wgan_gp_digits

    4 minutes for seed 0 on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work,
    2026-11-28. 360 samples against the 360 test images (real ones in their place, in brackets):
    Frechet distance 9.9 (4.7), precision 0.63 (0.93), recall 0.91 (0.92), coverage 0.74 (0.99),
    classifier score 7.0 (8.4). Other seeds were not run, and settings were not searched.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      discriminator: its optimiser.
      generator: its optimiser.
      weight: of the gradient penalty.
      discriminator_moves: of the critic for each of the generator.
      latent_dim: Z.
      features: maps next to the image, in both networks.
      smallest: least side of the smallest maps.
      kernel_size: of the convolutions.
    """
    shape = load(data).shape
    stages = halvings(shape, smallest)
    height, width, channels = shape
    dtype = settings.precision
    network = DCGANGenerator((height, width, channels), features, stages, kernel_size, dtype)
    trunk = DCGANTrunk(features, stages, kernel_size, normalized=False, dtype=dtype)
    critic = Discriminator(trunk, use_bias=False)
    model = WGANGP(shape, latent_dim, network, critic, weight, discriminator_moves)
    return Experiment(model, settings, data, (discriminator, generator))


if __name__ == "__main__":
    sys.exit(train())
