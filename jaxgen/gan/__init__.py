"""Generative adversarial networks, one algorithm a file."""

from jaxgen.gan import dcgan
from jaxgen.gan.base import Adversarial, RealOrFake
from jaxgen.gan.cat_gan import CatGAN
from jaxgen.gan.conditional_gan import ConditionalGAN, LabelledDiscriminator, LabelledGenerator
from jaxgen.gan.dcgan import DCGANGenerator, DCGANTrunk
from jaxgen.gan.f_gan import FGAN
from jaxgen.gan.gan import GAN
from jaxgen.gan.pac_gan import PacGAN
from jaxgen.gan.semi_supervised_gan import SemiSupervisedGAN
from jaxgen.gan.unrolled_gan import UnrolledGAN
from jaxgen.gan.wgan_gp import WGANGP
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk

__all__ = [
    "FGAN",
    "GAN",
    "WGANGP",
    "Adversarial",
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
    "RealOrFake",
    "SemiSupervisedGAN",
    "UnrolledGAN",
    "dcgan",
]
