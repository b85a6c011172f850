"""Names of classes, written beside the rows of a picture."""

import math
from collections.abc import Sequence

import numpy as np

from jaxgen.console import printable

_PAPER = (250, 250, 251)
_INK = (45, 48, 54)
_LONGEST = 24  # characters
_MARGIN = 8  # pixels on either side of a name


def beside_rows(
    picture: np.ndarray,
    names: Sequence[str],
    size: int = 15,
) -> np.ndarray:
    """Write a name to the left of each row of a picture.

    Args:
      picture: uint8 [H, W, 3], of as many rows of one height as there are names.
      names: of the rows, from the top; long ones are cut.
      size: height of the letters in pixels, less where the rows are lower.

    Returns:
      uint8 [H, W + the widest name and its margins, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    height = picture.shape[0] / len(names)
    # Pillow's own font has ASCII alone.
    font = ImageFont.truetype(_font_path(), size=max(1, min(size, math.floor(height))))
    texts = [_short(name) for name in names]
    widest = max(math.ceil(font.getlength(text)) for text in texts)
    margin = Image.new("RGB", (widest + 2 * _MARGIN, picture.shape[0]), _PAPER)
    pen = ImageDraw.Draw(margin)
    for row, text in enumerate(texts):
        middle = (row + 0.5) * height
        # Flush right, so that a name stands at its row.
        pen.text((widest + _MARGIN, middle), text, fill=_INK, font=font, anchor="rm")
    return np.concatenate([np.asarray(margin), picture], axis=1)


def _font_path() -> str:
    """Return the path of the font that Matplotlib brings: European and Arabic scripts."""
    from matplotlib import get_data_path

    return f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def _short(name: str) -> str:
    """Return a name as one line that is not too long."""
    text = " ".join(printable(name).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
