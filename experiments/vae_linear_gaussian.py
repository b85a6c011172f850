"""A linear-Gaussian VAE against the closed form that it must reach: probabilistic PCA.

    python -m experiments.vae_linear_gaussian
    jaxgen evaluate runs/vae_linear_gaussian

0.25 minutes on 2 cores of an AMD EPYC (Zen 4), no GPU, 2026-11-22. Test (10 000 vectors), seeds
0, 1, 2: ELBO, IWAE-500 and the exact log p(x) are all -9.982 ± 0.000 nats; the entropy of the
data is 9.987. Without the warm-up and the clipping, at a learning rate of 0.03, seed 1 was
still at -46.8 after 20 000 steps.
"""

import sys

from jaxgen.cli import launch
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.optimizer import Optimizer
from jaxgen.vae import linear_gaussian


def vae_linear_gaussian(
    *,
    settings: CommonFlags = Settings(steps=20_000, batch_size=256),
    data: Data = Data("linear_gaussian", transform="none"),
    optimizer: Optimizer = Optimizer(
        learning_rate=0.01, schedule="cosine", warmup_steps=500, clip_norm=1.0
    ),
    latent_dim: int = 3,
) -> Experiment:
    """A VAE of linear maps on data whose entropy is known, drawn afresh at every step.

    Args:
      settings: the flags every recipe has.
      data: linear_gaussian has 8 dimensions of which 3 are latent.
      optimizer: of the one player.
      latent_dim: dimensions of z.
    """
    model = linear_gaussian.linear(
        load(data).shape, latent_dim=latent_dim, dtype=settings.precision
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(launch(vae_linear_gaussian))
