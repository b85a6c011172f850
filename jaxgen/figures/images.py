"""Pictures as arrays: batches go in, uint8 images [H, W, 3] come out.

Everything here is a pure function of its arrays, so that a picture can be tested like any other
value; `save_png` alone touches a file. NumPy is all that is imported at the start: Pillow is loaded
by the functions that need it.

Images are [N, H, W, C] with C of 1 or 3 and values in [0, 1]: what lies outside is clipped, NaN is
drawn black. Names are drawn as they are, never read as mathematics. Arrays of another shape than
a function's docstring gives, and empty ones, raise ValueError.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.figures import plots
from jaxgen.figures.row_names import beside_rows
from jaxgen.files import write_file

BACKGROUND = (138, 143, 152)  # quiet between black-on-white and white-on-black tiles alike
PAPER = (250, 250, 251)
INK = (45, 48, 54)


def grid(
    images: ArrayLike,
    columns: int | None = None,
    padding: int = 2,
    min_side: int = 48,
) -> np.ndarray:
    """Lay images out row by row with thin gaps between and around them.

    Args:
      images: [N, H, W, C], any N >= 1.
      columns: tiles in a row; near a square when left out.
      padding: width of the gaps in pixels.
      min_side: tiles whose longer side is shorter than this are enlarged by the smallest whole
        factor f that reaches it, pixel by pixel.

    Returns:
      uint8 [R * (f * H + padding) + padding, S * (f * W + padding) + padding, 3] for R rows of S.
    """
    tiles = _tiles(images, min_side)
    return _lay(tiles, _columns(columns, len(tiles)), padding)


def pairs(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    columns: int | None = None,
    padding: int = 2,
    min_side: int = 48,
) -> np.ndarray:
    """Lay a row of originals over the row of their reconstructions, and so on downwards.

    Both are [N, H, W, C] in the same order; the numbers are those of `grid`. Four times the
    padding lies between one pair of rows and the next.
    """
    if np.shape(originals) != np.shape(reconstructions):
        raise ValueError(
            f"originals {np.shape(originals)} and reconstructions {np.shape(reconstructions)} "
            "must have the same shape"
        )
    tops = _tiles(originals, min_side)
    bottoms = _tiles(reconstructions, min_side)
    columns = _columns(columns, 2 * len(tops))
    shape = tops.shape[1:]
    # [N, H, W, 3] -> [R, S, H, W, 3] each -> [R, 2, S, H, W, 3]: rows of the two take turns
    rows_of_tops = _fill(tops, columns).reshape(-1, columns, *shape)
    rows_of_bottoms = _fill(bottoms, columns).reshape(-1, columns, *shape)
    alternating = np.stack([rows_of_tops, rows_of_bottoms], axis=1)
    tiles = alternating.reshape(-1, *shape)
    return _lay(
        tiles,
        columns,
        padding,
        band=2,
        extra=3 * padding,
    )


def rows(
    images: ArrayLike,
    padding: int = 1,
    min_side: int = 48,
) -> np.ndarray:
    """Lay out R strips of S frames [R, S, H, W, C], for interpolations: one strip a row.

    `padding` and `min_side` are those of `grid`; five times the padding lies between strips.
    """
    images = np.asarray(images)
    if images.ndim != 5:
        raise ValueError(f"strips must be [R, S, H, W, C], not {images.shape}")
    num_frames = images.shape[1]
    frames = images.reshape(-1, *images.shape[2:])  # [R * S, H, W, C]
    return _lay(
        _tiles(frames, min_side),
        num_frames,
        padding,
        extra=4 * padding,
    )


def panels(
    named: Mapping[str, np.ndarray],
    padding: int = 12,
    size: int = 15,
) -> np.ndarray:
    """Lay images side by side, each under its name.

    Args:
      named: {caption: uint8 [H, W, 3]}; heights and widths may differ.
      padding: pixels around and between the panels.
      size: height of the caption's letters in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not named:
        raise ValueError("panels needs at least one image")
    font = ImageFont.load_default(size=size)
    captions = [" ".join(str(name).split()) for name in named]
    images = [_checked(image) for image in named.values()]
    widths = [
        max(image.shape[1], math.ceil(font.getlength(caption)))
        for image, caption in zip(images, captions, strict=True)
    ]
    width = sum(widths) + padding * (len(widths) + 1)
    top = padding + round(1.6 * size)
    height = top + max(image.shape[0] for image in images) + padding
    canvas = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    left = padding
    for image, caption, width in zip(
        images,
        captions,
        widths,
        strict=True,
    ):
        pen.text(
            (left, padding),
            caption,
            fill=INK,
            font=font,
        )
        canvas.paste(Image.fromarray(image), (left, top))
        left += width + padding
    return np.asarray(canvas)


def show(
    x: ArrayLike,
    real: ArrayLike | None = None,
    *,
    columns: int | None = None,
    captions: tuple[str, str] = ("samples", "real"),
    row_names: Sequence[str] = (),
) -> np.ndarray:
    """Draw the picture that suits a batch of examples, beside real ones where these are given.

    Args:
      x: [N, *shape]. Images [H, W, C] or [H, W] become a `grid`; numbers [] or [1] a `histogram`,
        points [2] a `scatter`, longer vectors `lines`.
      real: examples of the same shape.
      columns: as in `grid`; for images only.
      captions: names of the two panels.
      row_names: of the rows of `x`, where these are images and have some.
    """
    batches = [np.asarray(batch) for batch in (x, real) if batch is not None]
    if batches[0].ndim == 0 or len(batches[0]) == 0:
        raise ValueError(f"nothing to show in a batch of shape {batches[0].shape}")
    named = dict(zip(captions, batches, strict=False))
    shape = batches[0].shape[1:]
    if len(shape) <= 1:
        draw = {1: plots.histogram, 2: plots.scatter}.get(math.prod(shape), plots.lines)
        return draw(named)
    grids = {}
    for caption, batch in named.items():
        images = batch[..., None] if batch.ndim == 3 else batch  # [N, H, W] -> [N, H, W, 1]
        grids[caption] = grid(images, columns)
    if row_names:
        grids[captions[0]] = beside_rows(grids[captions[0]], row_names)
    return panels(grids) if real is not None else grids[captions[0]]


def png(image: np.ndarray) -> bytes:
    """Encode uint8 [H, W, 3] as a PNG file; the same image always gives the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_checked(image)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def save_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write uint8 [H, W, 3] to `path`, making its folder; readers never see half a file.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    write_file(Path(path), png(image))


def _tiles(images: ArrayLike, min_side: int) -> np.ndarray:
    """Return [N, H, W, C] in [0, 1] as uint8 tiles [N, f * H, f * W, 3]."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise ValueError(f"images must be [N, H, W, C] with C of 1 or 3, not {images.shape}")
    values = np.nan_to_num(images.astype(np.float32), nan=0.0)
    levels = np.rint(np.clip(values, 0.0, 1.0) * 255)
    tiles = np.broadcast_to(levels.astype(np.uint8), (*images.shape[:-1], 3))
    longer_side = max(images.shape[1:3])
    factor = max(1, math.ceil(min_side / longer_side))
    return tiles.repeat(factor, axis=1).repeat(factor, axis=2)


def _columns(columns: int | None, num: int) -> int:
    """Return the given number, or the one that makes `num` tiles nearly a square."""
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    return columns or math.ceil(math.sqrt(num))


def _fill(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Add tiles of background until the last row is complete."""
    missing = -len(tiles) % columns
    blank = np.full((missing, *tiles.shape[1:]), BACKGROUND, np.uint8)
    return np.concatenate([tiles, blank])


def _lay(
    tiles: np.ndarray,
    columns: int,
    padding: int,
    band: int = 1,
    extra: int = 0,
) -> np.ndarray:
    """Put uint8 tiles [N, H, W, 3] on a canvas, with `extra` pixels after every `band` rows."""
    tiles = _fill(tiles, columns)
    num, height, width, _ = tiles.shape
    rows = num // columns

    # Each tile gets its gap on the right and below; the canvas adds those at the left and on top.
    cells = np.full((rows, columns, height + padding, width + padding, 3), BACKGROUND, np.uint8)
    cells[:, :, :height, :width] = tiles.reshape(
        rows,
        columns,
        height,
        width,
        3,
    )
    # [R, S, H, W, 3] -> [R, H, S, W, 3] -> [R / band, band * H, S * W, 3]
    bands = cells.swapaxes(1, 2).reshape(
        rows // band,
        -1,
        columns * (width + padding),
        3,
    )

    spaced = np.full((len(bands), bands.shape[1] + extra, bands.shape[2], 3), BACKGROUND, np.uint8)
    spaced[:, : bands.shape[1]] = bands
    body = spaced.reshape(-1, bands.shape[2], 3)
    body = body[: len(body) - extra]  # nothing follows the last band
    canvas = np.full((len(body) + padding, body.shape[1] + padding, 3), BACKGROUND, np.uint8)
    canvas[padding:, padding:] = body
    return canvas


def _checked(image: np.ndarray) -> np.ndarray:
    """Return the picture, contiguous; ValueError if it is none."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"a picture is uint8 [H, W, 3], not {image.dtype} {image.shape}")
    return np.ascontiguousarray(image)
