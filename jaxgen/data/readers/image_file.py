"""An image file as bytes of grey or RGB, upright: each kind is read right or refused by its name.

Read are grey and RGB of 8 bits, black-and-white (0 and 255) and palettes (as the colours they stand
for), turned as their EXIF orientation says. Whatever would lose something is refused: transparency,
more than 8 bits, more than one frame, colours for print.
"""

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from jaxgen.data.readers.crop import square
from jaxgen.errors import DataError, first_line

CHANNELS = {"L": 1, "RGB": 3}
_READ_AS = {"L": "L", "1": "L", "RGB": "RGB", "P": "RGB"}
_ALPHA = "an alpha channel, which would be lost"
_DEPTH = "16-bit {}, of which half would be lost"
_REFUSED = {
    "RGBA": _ALPHA,
    "RGBa": _ALPHA,
    "LA": _ALPHA,
    "La": _ALPHA,
    "PA": _ALPHA,
    "CMYK": "the colours of a printer (CMYK), which have no exact RGB",
    "YCbCr": "luma and chroma (YCbCr), which have no exact RGB",
    "LAB": "L*a*b* colours, which have no exact RGB",
    "HSV": "HSV colours, which have no exact RGB",
    "I": "whole numbers of more than 8 bits",
    "F": "floating-point numbers (32-bit), no levels",
}
_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {  # that set an image of this orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = (5, 6, 7, 8)
_TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_NOT_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # identified by Pillow, not decoded
_SUFFIXES_BEFORE = {
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
}
_BYTE = 255
_MUST_LEAD = 2**16  # bytes in which the headers of JPEG 2000 and AVIF lie


def suffixes(*, by_sight: bool = True) -> set[str]:
    """Return the suffixes of image files that Pillow decodes, '.png', '.jfif', ..., or a few."""
    if not by_sight:
        return _SUFFIXES_BEFORE
    formats = Image.registered_extensions()  # loads all of Pillow's plugins
    return {
        suffix for suffix, name in formats.items() if name in Image.OPEN and name not in _NOT_IMAGES
    }


def shape_of(
    path: Path,
    image_size: int | None,
    *,
    by_sight: bool = True,
) -> tuple[int, int, int]:
    """Return the shape (H, W, C) that `pixels` will have, by the header alone.

    Args:
      path: of the file.
      image_size: to which the image will be resized; None: not at all.
      by_sight: by the rules of today (`Data.rules`); else images are not turned, and only the kinds
        that Pillow itself tells apart are refused.

    Raises:
      DataError: it is damaged, or of a kind that would lose something.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            checked = by_sight or image.mode not in CHANNELS
            reason = _refusal(image, file) if checked else ""
            mode = image.mode
            width, height = image.size
            # Of TIFF, Pillow gives the size as it is after the turn.
            turned = by_sight and image.format != "TIFF"
            if turned and _orientation(image, file) in _QUARTER_TURNS:
                width, height = height, width
    except Exception as error:  # Pillow's plugins raise all sorts
        raise unreadable(path, error) from error
    if reason:
        raise DataError(
            f"{path}: got {reason} (mode {mode}), expected L (grey) or RGB of 8 bits, one picture\n"
            "Convert or remove the file"
        )
    if image_size is not None:
        width = image_size
        height = image_size
    return (height, width, CHANNELS[_READ_AS[mode]])


def pixels(
    path: Path,
    image_size: int | None,
    shape: tuple[int, int, int],
    *,
    by_sight: bool = True,
) -> np.ndarray:
    """Decode an image of a known shape, upright unless as before: uint8 [H, W, C].

    Raises:
      DataError: it is damaged.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            image.load()
            turn = _TURNS.get(_known_orientation(image)) if by_sight else None
            upright = image if turn is None else image.transpose(turn)
            plain = upright.convert(_READ_AS[upright.mode])
            if image_size is not None:
                plain = square(plain, image_size)
            return np.asarray(plain).reshape(shape)
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error about a file that Pillow cannot read."""
    reason = first_line(error)
    return DataError(f"{path}: cannot be read as an image: {reason}\nRepair or remove the file")


def _refusal(image: Image.Image, file: BinaryIO) -> str:
    """Return what about an image would be lost; '' if nothing."""
    mode = image.mode
    colours = {"L": "grey", "I": "grey"}.get(mode.split(";")[0], "colours")
    if mode.startswith("I;") or _bits(image, file) > 8:
        return _DEPTH.format(colours)
    if mode not in _READ_AS:
        return _REFUSED.get(mode, f"pixels of mode {mode}")
    if image.info.get("transparency") is not None:
        return "a transparent colour (tRNS), which would be lost"
    if image.format == "TIFF" and any("RGBX" in str(x) for x in _decoding(image)):
        return "more than three channels, of which all but three would be lost"
    frames = getattr(image, "n_frames", 1)
    # The later images of an MPO, which many cameras write as .jpg, are previews.
    if frames > 1 and image.format != "MPO":
        return f"{frames} frames, of which all but one would be lost"
    return ""


def _bits(image: Image.Image, file: BinaryIO) -> int:
    """Return the bits of a sample in the file, which Pillow lowers to 8 without a word."""
    arguments = _decoding(image)
    if any(";16" in str(argument) for argument in arguments):
        return 16
    if image.format == "SGI" and "SGI16" in _decoders(image):
        return 16
    if image.format == "PPM" and any(isinstance(x, int) and x > _BYTE for x in arguments):
        return 16  # the largest value
    if image.format in ("JPEG2000", "AVIF"):
        position = file.tell()
        file.seek(0)
        head = file.read(_MUST_LEAD)
        file.seek(position)
        return _jpeg2000_bits(head) if image.format == "JPEG2000" else _avif_bits(head)
    return 8


def _decoding(image: Image.Image) -> list[Any]:
    """Return the arguments of Pillow's decoders, among them the form of the stored pixels."""
    found: list[Any] = []
    for tile in getattr(image, "tile", ()):  # of an image from a file, which is a subclass
        arguments = tile[3]
        found += arguments if isinstance(arguments, tuple) else [arguments]
    return found


def _decoders(image: Image.Image) -> set[str]:
    """Return the names of Pillow's decoders of the parts of an image."""
    return {tile[0] for tile in getattr(image, "tile", ())}


def _jpeg2000_bits(head: bytes) -> int:
    """Return the bits of the first component: its byte in the marker SIZ (ISO 15444-1, A.5.1)."""
    _, found, siz = head.partition(b"\xff\x4f\xff\x51")
    # Lsiz and Rsiz of 2 bytes, eight sizes of 4, Csiz of 2, then a byte: bits - 1, and a sign bit.
    return (siz[38] & 0x7F) + 1 if found and len(siz) > 38 else 8


def _avif_bits(head: bytes) -> int:
    """Return whether samples have 8 bits or more, by the box av1C (AV1-ISOBMFF, 2.3.3)."""
    _, found, box = head.partition(b"av1C")
    return 16 if found and len(box) > 2 and box[2] & 0x40 else 8


def _orientation(image: Image.Image, file: BinaryIO) -> int:
    """Return the EXIF orientation, 1 if there is none, without decoding a PNG in vain."""
    if image.format == "PNG" and _has_late_texts(file):
        image.load()  # then what stands behind the pixels is known too
    return _known_orientation(image)


def _known_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation as far as it was read; 1 where EXIF is damaged, as viewers do."""
    try:
        # The base class's method: that of PNG would decode the image.
        return Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # EXIF is read by a parser of TIFF, which raises all sorts
        return 1


def _has_late_texts(file: BinaryIO) -> bool:
    """Return whether EXIF, or a text that may hold it, follows the pixels of a PNG."""
    position = file.tell()
    file.seek(8)
    kinds = []
    while len(head := file.read(8)) == 8:
        kinds.append(head[4:])
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)  # its content and checksum
    file.seek(position)
    behind = kinds[kinds.index(b"IDAT") :] if b"IDAT" in kinds else []
    return any(kind in _TEXTS for kind in behind)
