"""Adversarial autoencoders: codes that a critic cannot tell from a prior.

`model` is the game of one prior, `semi_supervised` that of a class and a style; `priors` what codes
may be told to look like, `encoders` the ways from x to a code, `base` what both games share.
"""

from jaxgen.vae.adversarial_autoencoder.base import CodeAutoencoder
from jaxgen.vae.adversarial_autoencoder.encoders import (
    DeterministicEncoder,
    GaussianEncoder,
    UniversalEncoder,
)
from jaxgen.vae.adversarial_autoencoder.model import AdversarialAutoencoder
from jaxgen.vae.adversarial_autoencoder.priors import (
    CodePrior,
    NormalPrior,
    RingPrior,
    SwissRollPrior,
)
from jaxgen.vae.adversarial_autoencoder.semi_supervised import SemiSupervisedAAE

__all__ = [
    "AdversarialAutoencoder",
    "CodeAutoencoder",
    "CodePrior",
    "DeterministicEncoder",
    "GaussianEncoder",
    "NormalPrior",
    "RingPrior",
    "SemiSupervisedAAE",
    "SwissRollPrior",
    "UniversalEncoder",
]
