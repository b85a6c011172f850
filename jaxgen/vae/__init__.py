"""Variational autoencoders: one algorithm a file, what they share in `base`."""

from jaxgen.distributions.observation import Bernoulli, DiscretizedLogistic, Gaussian
from jaxgen.vae.autoencoder import Autoencoder
from jaxgen.vae.base import LatentVariableModel
from jaxgen.vae.iwae import IWAE
from jaxgen.vae.linear_gaussian import LinearGaussianVAE
from jaxgen.vae.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from jaxgen.vae.vae import VAE

__all__ = [
    "IWAE",
    "VAE",
    "Autoencoder",
    "Bernoulli",
    "ConvDecoder",
    "ConvEncoder",
    "DiscretizedLogistic",
    "Gaussian",
    "LatentVariableModel",
    "LinearGaussianVAE",
    "MLPDecoder",
    "MLPEncoder",
]
