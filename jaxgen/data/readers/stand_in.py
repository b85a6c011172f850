"""A stand-in for TensorFlow while TFDS prepares a set, made of Pillow and plain files.

TFDS has TensorFlow encode the images that a builder yields as arrays (`svhn_cropped`), and open the
files of downloads and archives (`mnist`, `cifar10`, and any set that comes packed). Neither needs
it: PNG is exact, whoever writes it, and a file is a file. What else a builder asks of TensorFlow is
an ImportError that says what. Where TensorFlow is installed, it is used.
"""

import contextlib
import glob
import importlib.util
import io
import os
import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
from PIL import Image
from tensorflow_datasets.core.features import image_feature
from tensorflow_datasets.core.utils import lazy_imports_utils

_NUMBERS = ("bool", "uint8", "uint16", "int32", "int64", "float32", "float64")
_CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGBA


@contextlib.contextmanager
def without_tensorflow() -> Iterator[None]:
    """Let TFDS do without TensorFlow in here, if it is not installed."""
    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    module: Any = lazy_imports_utils.tensorflow
    lazy: dict[str, Any] = module.__dict__  # where it keeps TensorFlow, once that is imported
    encoder: Any = image_feature._ImageEncoder
    theirs = encoder._encode_image
    encoder._encode_image = _encoded
    lazy["_module"] = StandIn()
    try:
        yield
    finally:
        lazy.pop("_module", None)
        encoder._encode_image = theirs


class StandIn:
    """The part of TensorFlow that handles files, and names the types of numbers."""

    def __init__(self) -> None:
        gfile = SimpleNamespace(
            GFile=_open,
            copy=_copy,
            exists=os.path.exists,
            glob=glob.glob,
            isdir=os.path.isdir,
            listdir=os.listdir,
            makedirs=_make_folders,
            walk=os.walk,
        )
        self.io = SimpleNamespace(gfile=gfile)
        self.compat = SimpleNamespace(as_text=_as_text)
        self.errors = SimpleNamespace(UnimplementedError=NotImplementedError)
        for name in _NUMBERS:
            setattr(self, name, np.dtype(name).type)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # Python asks for these of any object
            raise AttributeError(name)
        raise ImportError(f"tensorflow is not installed, and tf.{name} is used")


def png(image: np.ndarray) -> bytes:
    """Encode an image as TFDS stores it.

    Args:
      image: uint8 [H, W, C] with C of 1 to 4, or uint16 [H, W, 1].

    Returns:
      The bytes of a PNG file, which are decoded to the same values.

    Raises:
      ImportError: an image of another kind, for which TFDS needs TensorFlow.
    """
    channels = image.shape[-1]
    grey_of_16_bits = image.dtype == np.uint16 and channels == 1
    if not grey_of_16_bits and (image.dtype != np.uint8 or channels not in _CHANNELS):
        raise ImportError(
            f"tensorflow is not installed, and encodes {image.dtype} of {channels} channels"
        )
    buffer = io.BytesIO()
    # Pillow has grey images as [H, W].
    Image.fromarray(image[..., 0] if channels == 1 else image).save(buffer, format="PNG")
    return buffer.getvalue()


def _encoded(encoder: Any, image: np.ndarray) -> bytes:
    """Encode an array in the place of TFDS's own method."""
    image_feature._validate_np_array(image, shape=encoder.shape, dtype=encoder.np_dtype)
    if encoder.encoding_format != "png":
        raise ImportError(f"tensorflow is not installed, and encodes {encoder.encoding_format}")
    return png(image)


def _open(name: str | os.PathLike[str], mode: str = "r") -> Any:
    """Open a file as `tf.io.gfile.GFile` does."""
    return open(name, mode, encoding=None if "b" in mode else "utf-8")


def _copy(source: str, target: str | os.PathLike[str]) -> None:
    """Copy a file, as `tf.io.gfile.copy` does. Raises NotImplementedError for an address."""
    if "://" in source:  # then TFDS fetches it by itself
        raise NotImplementedError(source)
    shutil.copyfile(source, target)


def _make_folders(path: str) -> None:
    """Make a folder and those above it, as `tf.io.gfile.makedirs` does."""
    os.makedirs(path, exist_ok=True)


def _as_text(text: str | bytes) -> str:
    """Return text, decoded if it is bytes."""
    return text.decode() if isinstance(text, bytes) else text
