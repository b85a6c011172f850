"""Generative adversarial networks, one algorithm a file."""

from jaxgen.gan import dcgan
from jaxgen.gan.cat_gan import CatGAN
from jaxgen.gan.conditional_gan import ConditionalGAN, LabelledDiscriminator, LabelledGenerator
from jaxgen.gan.dcgan import DCGANGenerator, DCGANTrunk
from jaxgen.gan.f_gan import FGAN
from jaxgen.gan.gan import GAN
from jaxgen.gan.networks import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.gan.pac_gan import PacGAN
from jaxgen.gan.semi_supervised_gan import SemiSupervisedGAN
from jaxgen.gan.unrolled_gan import UnrolledGAN
from jaxgen.gan.wgan_gp import WGANGP

__all__ = [
    "FGAN",
    "GAN",
    "WGANGP",
    "CatGAN",
    "ConditionalGAN",
    "DCGANGenerator",
    "DCGANTrunk",
    "Discriminator",
    "LabelledDiscriminator",
    "LabelledGenerator",
    "MLPGenerator",
    "MLPTrunk",
    "PacGAN",
    "SemiSupervisedGAN",
    "UnrolledGAN",
    "dcgan",
]
