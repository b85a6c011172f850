"""Variational autoencoders: one algorithm a file, what they share in `base`."""

from jaxgen.distributions.observation import Bernoulli, DiscretizedLogistic, Gaussian
from jaxgen.vae.adversarial_autoencoder import (
    AdversarialAutoencoder,
    CodeAutoencoder,
    CodePrior,
    DeterministicEncoder,
    GaussianEncoder,
    NormalPrior,
    RingPrior,
    SemiSupervisedAAE,
    SwissRollPrior,
    UniversalEncoder,
)
from jaxgen.vae.autoencoder import Autoencoder
from jaxgen.vae.base import LatentVariableModel
from jaxgen.vae.iwae import IWAE
from jaxgen.vae.linear_gaussian import LinearGaussianVAE
from jaxgen.vae.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from jaxgen.vae.vae import VAE

__all__ = [
    "IWAE",
    "VAE",
    "AdversarialAutoencoder",
    "Autoencoder",
    "Bernoulli",
    "CodeAutoencoder",
    "CodePrior",
    "ConvDecoder",
    "ConvEncoder",
    "DeterministicEncoder",
    "DiscretizedLogistic",
    "Gaussian",
    "GaussianEncoder",
    "LatentVariableModel",
    "LinearGaussianVAE",
    "MLPDecoder",
    "MLPEncoder",
    "NormalPrior",
    "RingPrior",
    "SemiSupervisedAAE",
    "SwissRollPrior",
    "UniversalEncoder",
]
