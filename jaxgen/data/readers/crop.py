"""Images of any size as squares of one."""

import numpy as np
from PIL import Image


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the central square, resized to size x size."""
    side = min(image.size)
    left = (image.width - side) // 2
    top = (image.height - side) // 2
    # Crop first: resize(box=...) would filter in what lies outside the box.
    cropped = image.crop((left, top, left + side, top + side))
    return cropped.resize((size, size), Image.Resampling.LANCZOS)


def square_array(image: np.ndarray, size: int) -> np.ndarray:
    """Apply `square` to a uint8 array [H, W, C] with C 1 or 3: [size, size, C]."""
    channels = image.shape[-1]
    # Pillow has grey images as [H, W].
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = np.asarray(square(picture, size))
    return resized.reshape(size, size, channels)
