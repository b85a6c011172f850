"""Images of any size as squares of one."""

import numpy as np
from PIL import Image


def square(image: Image.Image, size: int) -> Image.Image:
    """The central square, resized to size x size."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Crop first: resize(box=...) would filter in what lies outside the box.
    cropped = image.crop((left, top, left + side, top + side))
    return cropped.resize((size, size), Image.Resampling.LANCZOS)


def square_array(image: np.ndarray, size: int) -> np.ndarray:
    """`square` of a uint8 array [H, W, C] with C 1 or 3: [size, size, C]."""
    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(square(picture, size)).reshape(size, size, channels)
