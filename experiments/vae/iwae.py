"""The importance-weighted autoencoder (Burda et al., 2016)."""

import sys

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.vae import iwae


def iwae_digits(
    *,
    settings: CommonFlags = Settings(steps=6000, batch_size=64, ema_decay=0.999),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, weight_decay=0.1),
    num_samples: int = 50,
    latent_dim: int = 8,
    hidden: tuple[int, ...] = (200, 200),
) -> Experiment:
    """Train the VAE on a tighter bound.

    The VAE of `vae_digits`, trained on the importance-weighted bound; the digits are binarised at
    >= 8.

        jaxgen train iwae_digits
        jaxgen evaluate runs/iwae_digits

    1 to 2 minutes on 2 cores of an AMD EPYC (Zen 4), no GPU, 2026-11-22. Test (360 images), mean ±
    standard deviation over seeds 0, 1, 2: IWAE-500 -16.34 ± 0.02 nats; ELBO -22.19 ± 0.08, for the
    encoder serves 50 draws at once.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      num_samples: draws per example, k; 1 is the VAE.
      latent_dim: dimensions of z.
      hidden: widths of the hidden layers.
    """
    model = iwae.mlp(
        load(data).shape,
        num_samples=num_samples,
        latent_dim=latent_dim,
        hidden=hidden,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
