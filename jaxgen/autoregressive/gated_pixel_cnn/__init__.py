"""The Gated PixelCNN: `model.py` the model, `stacks.py` its network, `sampler.py` its sampler."""

from jaxgen.autoregressive.gated_pixel_cnn.model import GatedPixelCNN, build
from jaxgen.autoregressive.gated_pixel_cnn.stacks import GatedStacks

__all__ = ["GatedPixelCNN", "GatedStacks", "build"]
