"""Plots of vectors as arrays: numbers as a histogram, points as a scatter, the rest as lines.

Drawn by Matplotlib, loaded when the first one is asked for, without its global state.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

PALE = "#c9ccd3"
SOFT = "#6b7078"
_LONG = 256  # coordinates
COLOURS = ("#2f6db3", "#d9722e", "#3b8f5e", "#8a5bb5")  # told apart by colour-blind readers too


def scatter(points: Mapping[str, ArrayLike], most: int = 5000) -> np.ndarray:
    """Draw sets of points in the plane, a panel each on common axes, the others pale beneath.

    Points [N, 2] that are not finite are left out, and of each set only the first `most` drawn.
    """
    sets = {name: _vectors(x, 2)[:most] for name, x in points.items()}
    everything = np.concatenate([*sets.values(), np.zeros((1, 2))])
    low, high = np.quantile(everything, [0.002, 0.998], axis=0)  # one stray point must not decide
    middle_x, middle_y = (low + high) / 2
    reach = 0.6 * max(*(high - low), 1e-6)

    def fill(axes: Any, name: str, colour: str) -> None:
        for other in sets:
            if other != name:
                axes.scatter(
                    *sets[other].T,
                    s=5,
                    color=PALE,
                    linewidths=0,
                )
        axes.scatter(
            *sets[name].T,
            s=7,
            color=colour,
            alpha=0.6,
            linewidths=0,
        )
        axes.set_xlim(middle_x - reach, middle_x + reach)
        axes.set_ylim(middle_y - reach, middle_y + reach)
        axes.set_aspect("equal")

    return _figure(sets, fill)


def lines(vectors: Mapping[str, ArrayLike], most: int = 10) -> np.ndarray:
    """Draw the first `most` vectors [N, D] of each set, one line an example, one below the other.

    All lines of all sets are drawn to one scale, which the horizontal axis names; long vectors
    (sound) are drawn finer, in a wider picture.
    """
    sets = {name: _vectors(x)[:most] for name, x in vectors.items()}
    low = min((np.min(x) for x in sets.values() if len(x)), default=0.0)
    high = max((np.max(x) for x in sets.values() if len(x)), default=0.0)
    span = (high - low) or 1.0
    longest = max((x.shape[1] for x in sets.values()), default=0)
    is_long = longest > _LONG
    size = (8.0, 6.0) if is_long else (4.0, 4.0)
    width = 0.5 if is_long else 1.1

    def fill(axes: Any, name: str, colour: str) -> None:
        for i, vector in enumerate(sets[name]):
            style = "steps-mid" if len(vector) <= 32 else "default"  # steps keep bits readable
            base = -1.3 * i
            height = base + (vector - low) / span
            axes.axhline(base, color=PALE, lw=0.6)
            axes.plot(
                np.arange(len(vector)),
                height,
                color=colour,
                lw=width,
                drawstyle=style,
            )
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"coordinate; lines from {low:.3g} to {high:.3g}", fontsize=8, color=SOFT)

    return _figure(sets, fill, size)


def histogram(values: Mapping[str, ArrayLike], bins: int = 60) -> np.ndarray:
    """Draw the density of sets of numbers [N] or [N, 1], on common bins."""
    sets = {}
    for name, x in values.items():
        column = np.asarray(x)
        column = column.reshape(len(column), -1)  # [N, 1]
        sets[name] = _vectors(column, 1)[:, 0]
    everything = np.concatenate([np.zeros(0), *sets.values()])
    edges = np.histogram_bin_edges(everything, bins)

    def fill(axes: Any, name: str, colour: str) -> None:
        if len(sets[name]):
            axes.hist(
                sets[name],
                edges,
                density=True,
                color=colour,
                alpha=0.8,
            )

    return _figure(sets, fill)


def _vectors(x: ArrayLike, width: int | None = None) -> np.ndarray:
    """Return float [N, D] without the rows that are not finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        raise ValueError(f"vectors must be [N, {width or 'D'}], not {x.shape}")
    return x[np.isfinite(x).all(axis=1)]


def _figure(
    sets: Mapping[str, np.ndarray],
    fill: Callable[[Any, str, str], None],
    size: tuple[float, float] = (4.0, 4.0),
) -> np.ndarray:
    """Draw a panel a set on common axes, each of `size` inches, by `fill(axes, name, colour)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not sets:
        raise ValueError("a plot needs at least one set of vectors")
    width, height = size
    figure = Figure((width * len(sets), height), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(
        1,
        len(sets),
        sharex=True,
        sharey=True,
        squeeze=False,
    )[0]
    for i, (name, axes) in enumerate(zip(sets, panels, strict=True)):
        fill(axes, name, COLOURS[i % len(COLOURS)])
        axes.set_title(
            " ".join(str(name).split()),
            loc="left",
            fontsize=10,
            parse_math=False,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, color=PALE, labelcolor=SOFT)
        axes.spines[["left", "bottom"]].set_color(PALE)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())  # [H, W, 4]
    return pixels[..., :3].copy()
