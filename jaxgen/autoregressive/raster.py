"""The common part of models of images: pixels in raster order, the channels of a pixel in turn."""

import math

import numpy as np
from jaxtyping import Bool, Int


def raster_order(shape: tuple[int, ...]) -> Int[np.ndarray, " d"]:
    """Return the flat indices row by row, pixel by pixel, channel by channel."""
    return np.arange(math.prod(shape))


def element_dependencies(
    field: Bool[np.ndarray, "p p"],
    channels: int,
) -> Bool[np.ndarray, "d d"]:
    """Return whether element i reads element j, at [i, j], from which pixels a pixel reads.

    An element reads all channels of the pixels in its field, and of its own pixel the channels
    before it. For two channels and a pixel that reads pixel q, the block of rows R, G is

                 q: R G    own: R G
            R       1 1         0 0
            G       1 1         1 0
    """
    num_pixels = len(field)
    all_channels = np.ones((channels, channels), bool)
    channels_before = np.tri(channels, k=-1, dtype=bool)
    other_pixels = np.kron(field, all_channels)
    own_pixel = np.kron(np.eye(num_pixels, dtype=bool), channels_before)
    return other_pixels | own_pixel
