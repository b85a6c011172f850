"""Denoisers and their chains: diffusion models, denoising autoencoders, stochastic networks."""

from jaxgen.diffusion.ddim import DDIM
from jaxgen.diffusion.ddpm.model import DDPM
from jaxgen.diffusion.ddpm.networks import MLPDenoiser, TimeEmbedding
from jaxgen.diffusion.ddpm.unet import ResidualBlock, SelfAttention, UNet
from jaxgen.diffusion.denoising_autoencoder import Denoiser, DenoisingAutoencoder, DenoisingEnergy
from jaxgen.diffusion.gsn import GSN
from jaxgen.diffusion.reverse import Ancestral

__all__ = [
    "DDIM",
    "DDPM",
    "GSN",
    "Ancestral",
    "Denoiser",
    "DenoisingAutoencoder",
    "DenoisingEnergy",
    "MLPDenoiser",
    "ResidualBlock",
    "SelfAttention",
    "TimeEmbedding",
    "UNet",
]
