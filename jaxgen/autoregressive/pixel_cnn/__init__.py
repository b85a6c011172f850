"""PixelCNN: `model.py` the model, `masked_resnet.py` its network, `sampler.py` its sampler."""

from jaxgen.autoregressive.pixel_cnn.masked_resnet import MaskedResNet
from jaxgen.autoregressive.pixel_cnn.model import PixelCNN, build

__all__ = ["MaskedResNet", "PixelCNN", "build"]
