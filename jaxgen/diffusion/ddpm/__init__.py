"""The denoising diffusion probabilistic model: the model, its bound, its networks."""

from jaxgen.diffusion.ddpm.build import mlp, unet
from jaxgen.diffusion.ddpm.model import DDPM

__all__ = ["DDPM", "mlp", "unet"]
