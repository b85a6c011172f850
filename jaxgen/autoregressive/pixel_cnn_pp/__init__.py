"""PixelCNN++, in files.

model.py      the model
layers.py     its network, written for any interpreter of the layers
kernels.py    where the kernels are from
maps.py       the layers on whole images
cache.py      the layers at one place, beside a memory: rows.py at a row, pixel.py at a pixel
sampler.py    the sampler, which goes by rows and pixels
"""

from jaxgen.autoregressive.pixel_cnn_pp.layers import ShiftedResNet
from jaxgen.autoregressive.pixel_cnn_pp.model import PixelCNNPP, build

__all__ = ["PixelCNNPP", "ShiftedResNet", "build"]
