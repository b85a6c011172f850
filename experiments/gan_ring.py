"""A plain GAN on the ring of 8 modes, at the settings of the unrolled GAN's paper.

    python -m experiments.gan_ring
    jaxgen evaluate runs/gan_ring

Not yet run to the end with these settings: minutes, seeds and figures are missing (2026-11-25).
It is meant to collapse: how many modes are left, over seeds, is `python -m experiments.modes`.
"""

import sys
from typing import Literal

from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.gan import GAN
from jaxgen.gan.networks import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.nn import Initializer
from jaxgen.optimizer import Optimizer


def gan_ring(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=512),
    data: Data = Data("ring", transform="none"),
    discriminator: Optimizer = Optimizer(learning_rate=1e-4, beta1=0.5),
    generator: Optimizer = Optimizer(learning_rate=1e-4, beta1=0.5),
    cost: str = "minimax",
    latent_dim: int = 256,
    hidden: int = 128,
    order: Literal["alternating", "simultaneous"] = "simultaneous",
) -> Experiment:
    """A GAN of two small networks on points in the plane.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      discriminator: its optimiser.
      generator: its optimiser.
      cost: minimax, non_saturating, maximum_likelihood, least_squares, hinge or f_kl, ...
      latent_dim: Z.
      hidden: width of the hidden layers, two of the generator and one of the discriminator.
      order: in which players move.
    """
    initializer = Initializer("orthogonal", 0.8)
    shape = load(data).shape
    network = MLPGenerator((hidden, hidden), shape, initializer=initializer)
    trunk = MLPTrunk((hidden,), "relu", input_scale=0.25, initializer=initializer)
    head = Discriminator(trunk, initializer=initializer)
    model = GAN(shape, latent_dim, network, head, cost)
    return Experiment(model, settings, data, (discriminator, generator), order)


if __name__ == "__main__":
    sys.exit(launch(gan_ring))
