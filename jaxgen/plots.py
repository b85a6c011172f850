"""Plots of vectors as arrays: numbers as a histogram, points as a scatter, the rest as lines.

Drawn by Matplotlib, loaded when the first one is asked for, without its global state.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

PALE, SOFT = "#c9ccd3", "#6b7078"
_LONG = 256  # coordinates
COLOURS = ("#2f6db3", "#d9722e", "#3b8f5e", "#8a5bb5")  # told apart by colour-blind readers too


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

    All lines of all sets are drawn to one scale, which the horizontal axis names; long vectors
    (sound) are drawn finer, in a wider picture.
    """
    sets = {name: _vectors(x)[:most] for name, x in vectors.items()}
    ends = [f(x) for x in sets.values() if len(x) for f in (np.min, np.max)] or [0.0]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0
    longest = max((x.shape[1] for x in sets.values()), default=0)
    size, line = ((8.0, 6.0), 0.5) if longest > _LONG else ((4.0, 4.0), 1.1)

    def draw(axes: Any, name: str, colour: str) -> None:
        for i, vector in enumerate(sets[name]):
            style = "steps-mid" if len(vector) <= 32 else "default"  # steps keep bits readable
            x, base = np.arange(len(vector)), -1.3 * i
            axes.axhline(base, color=PALE, lw=0.6)
            axes.plot(x, base + (vector - low) / span, color=colour, lw=line, drawstyle=style)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"coordinate; lines from {low:.3g} to {high:.3g}", fontsize=8, color=SOFT)

    return _figure(sets, draw, size)


def histogram(values: Mapping[str, ArrayLike], bins: int = 60) -> np.ndarray:
    """The density of sets of numbers [N] or [N, 1], on common bins."""
    sets = {name: _vectors(np.reshape(x, (len(x), -1)), 1)[:, 0] for name, x in values.items()}
    edges = np.histogram_bin_edges(np.concatenate([np.zeros(0), *sets.values()]), bins)

    def draw(axes: Any, name: str, colour: str) -> None:
        if len(sets[name]):
            axes.hist(sets[name], edges, density=True, color=colour, alpha=0.8)

    return _figure(sets, draw)


def _vectors(x: ArrayLike, width: int | None = None) -> np.ndarray:
    """Float [N, D] without the rows that are not finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        raise ValueError(f"vectors must be [N, {width or 'D'}], not {x.shape}")
    return x[np.isfinite(x).all(axis=1)]


def _figure(
    sets: Mapping[str, np.ndarray],
    draw: Callable[[Any, str, str], None],
    size: tuple[float, float] = (4.0, 4.0),
) -> np.ndarray:
    """A panel a set on common axes, each of `size` inches; `draw(axes, name, colour)` fills it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not sets:
        raise ValueError("a plot needs at least one set of vectors")
    figure = Figure((size[0] * len(sets), size[1]), dpi=110, layout="constrained")
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
