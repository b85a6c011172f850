"""Pictures as arrays: batches go in, uint8 images [H, W, 3] come out.

Everything here is a pure function of its arrays, so that a picture can be tested like any other
value; `save_png` alone touches a file. NumPy is all that is imported at the start: Pillow and
Matplotlib are loaded by the functions that need them, and no global plotting state is used.

Images are [N, H, W, C] with C of 1 or 3 and values in [0, 1]: what lies outside is clipped, NaN is
drawn black. Names are drawn as they are, never read as mathematics. Arrays of another shape than
a function's docstring gives, and empty ones, raise ValueError.
"""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxgen.errors import StorageError

BACKGROUND = (138, 143, 152)  # quiet between black-on-white and white-on-black tiles alike
PAPER, INK = (250, 250, 251), (45, 48, 54)
PALE, SOFT = "#c9ccd3", "#6b7078"
COLOURS = ("#2f6db3", "#d9722e", "#3b8f5e", "#8a5bb5")  # told apart by colour-blind readers too


def grid(
    images: ArrayLike, columns: int | None = None, padding: int = 2, min_side: int = 48
) -> np.ndarray:
    """Lays images out row by row with thin gaps between and around them.

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
    """A row of originals over the row of their reconstructions, and so on downwards.

    Both are [N, H, W, C] in the same order; the numbers are those of `grid`. Four times the
    padding lies between one pair of rows and the next.
    """
    if np.shape(originals) != np.shape(reconstructions):
        raise ValueError(
            f"originals {np.shape(originals)} and reconstructions {np.shape(reconstructions)} "
            "must have the same shape"
        )
    top, bottom = _tiles(originals, min_side), _tiles(reconstructions, min_side)
    columns = _columns(columns, 2 * len(top))
    both = np.stack([_fill(x, columns).reshape(-1, columns, *x.shape[1:]) for x in (top, bottom)])
    alternating = both.swapaxes(0, 1).reshape(-1, *top.shape[1:])
    return _lay(alternating, columns, padding, band=2, extra=3 * padding)


def rows(images: ArrayLike, padding: int = 1, min_side: int = 48) -> np.ndarray:
    """R strips of S frames [R, S, H, W, C], for interpolations: one strip a row.

    `padding` and `min_side` are those of `grid`; five times the padding lies between strips.
    """
    images = np.asarray(images)
    if images.ndim != 5:
        raise ValueError(f"strips must be [R, S, H, W, C], not {images.shape}")
    tiles = _tiles(images.reshape(-1, *images.shape[2:]), min_side)
    return _lay(tiles, images.shape[1], padding, extra=4 * padding)


def panels(named: Mapping[str, np.ndarray], padding: int = 12, size: int = 15) -> np.ndarray:
    """Images side by side, each under its name.

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
        max(image.shape[1], int(np.ceil(font.getlength(caption))))
        for image, caption in zip(images, captions, strict=True)
    ]
    top = padding + round(1.6 * size)
    height = top + max(image.shape[0] for image in images) + padding
    canvas = Image.new("RGB", (sum(widths) + padding * (len(widths) + 1), height), PAPER)
    draw, left = ImageDraw.Draw(canvas), padding
    for image, caption, width in zip(images, captions, widths, strict=True):
        draw.text((left, padding), caption, fill=INK, font=font)
        canvas.paste(Image.fromarray(image), (left, top))
        left += width + padding
    return np.asarray(canvas)


def scatter(points: Mapping[str, ArrayLike], most: int = 5000) -> np.ndarray:
    """Sets of points in the plane, one panel a set on common axes, the others pale beneath it.

    Points [N, 2] that are not finite are left out, and of each set only the first `most` drawn.
    """
    sets = {name: _vectors(x, 2)[:most] for name, x in points.items()}
    everything = np.concatenate([*sets.values(), np.zeros((1, 2))])
    low, high = np.quantile(everything, [0.002, 0.998], axis=0)  # one stray point must not decide
    middle, reach = (low + high) / 2, 0.6 * max(*(high - low), 1e-6)

    def draw(axes: Any, name: str, colour: str) -> None:
        for other in sets:
            if other != name:
                axes.scatter(*sets[other].T, s=5, color=PALE, linewidths=0)
        axes.scatter(*sets[name].T, s=7, color=colour, alpha=0.6, linewidths=0)
        axes.set_xlim(middle[0] - reach, middle[0] + reach)
        axes.set_ylim(middle[1] - reach, middle[1] + reach)
        axes.set_aspect("equal")

    return _figure(sets, draw)


def lines(vectors: Mapping[str, ArrayLike], most: int = 10) -> np.ndarray:
    """The first `most` vectors [N, D] of each set, one line an example, one below the other.

    All lines of all sets are drawn to one scale, which the horizontal axis names.
    """
    sets = {name: _vectors(x)[:most] for name, x in vectors.items()}
    ends = [f(x) for x in sets.values() if len(x) for f in (np.min, np.max)] or [0.0]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def draw(axes: Any, name: str, colour: str) -> None:
        for i, vector in enumerate(sets[name]):
            style = "steps-mid" if len(vector) <= 32 else "default"  # steps keep bits readable
            x, base = np.arange(len(vector)), -1.3 * i
            axes.axhline(base, color=PALE, lw=0.6)
            axes.plot(x, base + (vector - low) / span, color=colour, lw=1.1, drawstyle=style)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"coordinate; lines from {low:.3g} to {high:.3g}", fontsize=8, color=SOFT)

    return _figure(sets, draw)


def histogram(values: Mapping[str, ArrayLike], bins: int = 60) -> np.ndarray:
    """The density of sets of numbers [N] or [N, 1], on common bins."""
    sets = {name: _vectors(np.reshape(x, (len(x), -1)), 1)[:, 0] for name, x in values.items()}
    edges = np.histogram_bin_edges(np.concatenate([np.zeros(0), *sets.values()]), bins)

    def draw(axes: Any, name: str, colour: str) -> None:
        if len(sets[name]):
            axes.hist(sets[name], edges, density=True, color=colour, alpha=0.8)

    return _figure(sets, draw)


def show(
    x: ArrayLike,
    real: ArrayLike | None = None,
    *,
    columns: int | None = None,
    captions: tuple[str, str] = ("samples", "real"),
) -> np.ndarray:
    """The picture that suits a batch of examples, beside real ones where these are given.

    Args:
      x: [N, *shape]. Images [H, W, C] or [H, W] become a `grid`; numbers [] or [1] a `histogram`,
        points [2] a `scatter`, longer vectors `lines`.
      real: examples of the same shape.
      columns: as in `grid`; for images only.
      captions: names of the two panels.
    """
    batches = [np.asarray(batch) for batch in (x, real) if batch is not None]
    if batches[0].ndim == 0 or len(batches[0]) == 0:
        raise ValueError(f"nothing to show in a batch of shape {batches[0].shape}")
    named = dict(zip(captions, batches, strict=False))
    shape = batches[0].shape[1:]
    if len(shape) <= 1:
        return {1: histogram, 2: scatter}.get(int(np.prod(shape)), lines)(named)
    images = {k: grid(v[..., None] if v.ndim == 3 else v, columns) for k, v in named.items()}
    return panels(images) if real is not None else images[captions[0]]


def png(image: np.ndarray) -> bytes:
    """Encodes uint8 [H, W, 3] as a PNG file; the same image always gives the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_checked(image)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] to `path`, making its folder; readers never see half a file.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    write_file(Path(path), png(image))


def write_file(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a crash leaves the old file or the new one.

    Raises:
      StorageError: if the folder or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)  # gone already when the rename went well
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; check the free space and permissions"
        ) from error


def _tiles(images: ArrayLike, min_side: int) -> np.ndarray:
    """[N, H, W, C] in [0, 1] -> uint8 [N, f * H, f * W, 3]."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise ValueError(f"images must be [N, H, W, C] with C of 1 or 3, not {images.shape}")
    images = np.clip(np.nan_to_num(images.astype(np.float32), nan=0.0), 0.0, 1.0)
    tiles = np.broadcast_to(np.rint(images * 255).astype(np.uint8), (*images.shape[:-1], 3))
    factor = max(1, -(-min_side // max(images.shape[1:3])))
    return tiles.repeat(factor, axis=1).repeat(factor, axis=2)


def _columns(columns: int | None, num: int) -> int:
    """The given number, or the one that makes `num` tiles nearly a square."""
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    return columns or int(np.ceil(np.sqrt(num)))


def _fill(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Adds tiles of background until the last row is complete."""
    blank = np.broadcast_to(np.uint8(BACKGROUND), (-len(tiles) % columns, *tiles.shape[1:]))
    return np.concatenate([tiles, blank])


def _lay(
    tiles: np.ndarray, columns: int, padding: int, band: int = 1, extra: int = 0
) -> np.ndarray:
    """Puts uint8 tiles [N, H, W, 3] on a canvas, with `extra` pixels after every `band` rows."""
    tiles = _fill(tiles, columns)
    num, (height, width) = len(tiles) // columns, tiles.shape[1:3]
    tops = [padding + r * (height + padding) + (r // band) * extra for r in range(num)]
    lefts = [padding + c * (width + padding) for c in range(columns)]
    shape = (tops[-1] + height + padding, lefts[-1] + width + padding, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = tops[i // columns], lefts[i % columns]
        canvas[top : top + height, left : left + width] = tile
    return canvas


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"a picture is uint8 [H, W, 3], not {image.dtype} {image.shape}")
    return np.ascontiguousarray(image)


def _vectors(x: ArrayLike, width: int | None = None) -> np.ndarray:
    """Float [N, D] without the rows that are not finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        raise ValueError(f"vectors must be [N, {width or 'D'}], not {x.shape}")
    return x[np.isfinite(x).all(axis=1)]


def _figure(sets: Mapping[str, np.ndarray], draw: Callable[[Any, str, str], None]) -> np.ndarray:
    """One panel a set on common axes; `draw(axes, name, colour)` fills it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not sets:
        raise ValueError("a plot needs at least one set of vectors")
    figure = Figure((4.0 * len(sets), 4.0), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels_ = figure.subplots(1, len(sets), sharex=True, sharey=True, squeeze=False)[0]
    for i, (name, axes) in enumerate(zip(sets, panels_, strict=True)):
        draw(axes, name, COLOURS[i % len(COLOURS)])
        axes.set_title(" ".join(str(name).split()), loc="left", fontsize=10, parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, color=PALE, labelcolor=SOFT)
        axes.spines[["left", "bottom"]].set_color(PALE)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
