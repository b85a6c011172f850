"""The denoising diffusion probabilistic model (Ho, Jain and Abbeel, 2020)."""

import sys
from typing import Literal

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.diffusion import ddpm
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer

Schedule = Literal["linear", "cosine"]
Variance = Literal["large", "small"]
Objective = Literal["simple", "bound"]


def ddpm_ring(
    *,
    settings: CommonFlags = Settings(steps=4000, batch_size=256, ema_decay=0.995),
    data: Data = Data("ring", transform="none"),
    optimizer: Optimizer = Optimizer(learning_rate=2e-3, schedule="cosine"),
    hidden: tuple[int, ...] = (128, 128, 128),
    frequencies: int = 4,
    num_steps: int = 200,
    schedule: Schedule = "linear",
    variance: Variance = "small",
    objective: Objective = "simple",
) -> Experiment:
    """Train a diffusion model on the ring, beside the GANs of the mode lab.

    The ring of 8 modes, whose log p has a mean of 2.907 nats.

        jaxgen train ddpm_ring
        jaxgen evaluate runs/ddpm_ring
        jaxgen sample runs/ddpm_ring --num 2500

    0.2 to 0.5 minutes on 2 cores of an AMD EPYC, no GPU, shared with other work, 2026-11-30. Test
    (10 000 points), mean ± standard deviation over seeds 0, 1, 2: ELBO 2.613 ± 0.001 nats, 500
    steps of the chain drawn for each. The settings are the best of five tries on seed 0, by modes
    and samples of high quality.

    Args:
      settings: the flags every recipe has.
      data: ring, small_ring or grid.
      optimizer: of the one player.
      hidden: widths of the network's hidden layers.
      frequencies: waves of x that the network is given.
      num_steps: T.
      schedule: of the noise.
      variance: of a step back.
      objective: simple, or the bound.
    """
    model = ddpm.mlp(
        load(data).shape,
        hidden=hidden,
        frequencies=frequencies,
        num_steps=num_steps,
        schedule=schedule,
        variance=variance,
        objective=objective,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


def ddpm_digits(
    *,
    settings: CommonFlags = Settings(steps=4000, batch_size=64, ema_decay=0.998, sample_every=2000),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine", clip_norm=1.0),
    features: int = 32,
    num_steps: int = 1000,
    schedule: Schedule = "linear",
    variance: Variance = "small",
    objective: Objective = "simple",
) -> Experiment:
    """Train a small U-Net.

    The 8x8 digits are binarised at >= 8; --data.transform levels has them in grey.

        jaxgen train ddpm_digits
        jaxgen evaluate runs/ddpm_digits
        jaxgen sample runs/ddpm_digits --chain

    8 to 13 minutes on 2 cores of an AMD EPYC, no GPU, shared with other work, 2026-11-30. Test
    (360 images), mean ± standard deviation over seeds 0, 1, 2: ELBO -20.68 ± 0.43 nats, 500 steps
    of the chain drawn for each. The settings are the first that were tried, and the bound still
    rose at the last step.

    Args:
      settings: the flags every recipe has.
      data: which data, in whole levels: binarise or levels.
      optimizer: of the one player.
      features: maps of the U-Net at the full side.
      num_steps: T.
      schedule: of the noise.
      variance: of a step back.
      objective: simple, or the bound.
    """
    dataset = load(data)
    model = ddpm.unet(
        dataset.shape,
        levels=dataset.values,
        features=features,
        multipliers=(1, 2),
        num_steps=num_steps,
        schedule=schedule,
        variance=variance,
        objective=objective,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


def ddpm_fashion_mnist(
    *,
    settings: CommonFlags = Settings(steps=3000, batch_size=32, ema_decay=0.998, sample_every=3000),
    data: Data = Data("/usr/share/datasets/fashion-mnist", transform="levels"),
    optimizer: Optimizer = Optimizer(
        learning_rate=1e-3, schedule="cosine", warmup_steps=100, clip_norm=1.0
    ),
    features: int = 16,
    num_steps: int = 1000,
    schedule: Schedule = "linear",
    variance: Variance = "small",
    objective: Objective = "simple",
) -> Experiment:
    """Train a U-Net of three sides.

    Fashion-MNIST in bytes, from Debian's package dataset-fashion-mnist.

        jaxgen train ddpm_fashion_mnist
        jaxgen evaluate runs/ddpm_fashion_mnist --num-samples 50

    No figures, of no seeds: on 2 cores of an AMD EPYC, shared with other work, one run compiled for
    19 minutes and then took 42 images a second, 2026-11-30; it was stopped after 100 steps. (A bare
    step of this network compiled in 9 s in another program; the cause was not sought.)

    Args:
      settings: the flags every recipe has.
      data: which data, in whole levels.
      optimizer: of the one player.
      features: maps of the U-Net at the full side.
      num_steps: T.
      schedule: of the noise.
      variance: of a step back.
      objective: simple, or the bound.
    """
    dataset = load(data)
    model = ddpm.unet(
        dataset.shape,
        levels=dataset.values,
        features=features,
        multipliers=(1, 2, 4),
        num_steps=num_steps,
        schedule=schedule,
        variance=variance,
        objective=objective,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
