"""Curves of a run over its steps, as inline SVG in the colours of the page that holds it."""

import io
import itertools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

Series = dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]  # {name: {split: (steps, values)}}

MAX_POINTS = 500
# Matplotlib knows no CSS: it draws in these colours, which then become the page's own.
CSS = {"#010101": "var(--soft)", "#020202": "var(--rule)"}
CSS |= {"#030303": "var(--train)", "#040404": "var(--validation)"}
SOFT, RULE, TRAIN, VALIDATION = CSS


def number(value: Any) -> bool:
    """Whether a value read from JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> bool:
    """Whether it is one that can be drawn: beyond 1e300 the arithmetic of a plot overflows."""
    return number(value) and abs(value) < 1e300


def series(records: list[dict]) -> tuple[Series, int]:
    """The finite numbers of each metric by name and split, and how many were not finite."""
    points, lost = {}, 0
    for record in records:
        for name, value in record.items():
            if name in ("step", "seconds") or name.endswith("_per_second") or not number(value):
                continue
            if not finite(value):
                lost += 1
                continue
            splits = points.setdefault(name, {})
            splits.setdefault(record["split"], []).append((record["step"], value))
    order = sorted(points, key=lambda name: (name != "loss", "train" not in points[name]))
    return {n: {s: tuple(np.array(p).T) for s, p in points[n].items()} for n in order}, lost


def thin(steps: np.ndarray, values: np.ndarray, most: int = MAX_POINTS) -> tuple[np.ndarray, ...]:
    """At most `most` of the points [N]: the lowest and the highest of each stretch, in order."""
    if len(steps) <= most:
        return steps, values
    edges = np.linspace(0, len(steps), most // 2 + 1).astype(int)
    spans = list(itertools.pairwise(edges))
    ends = {a + int(f(values[a:b])) for a, b in spans for f in (np.argmin, np.argmax)}
    keep = np.array(sorted(ends))
    return steps[keep], values[keep]


def svg(splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """Curves over steps as inline SVG in the page's colours; numbers are the only text in it."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    figure = Figure((3.7, 2.0), layout="constrained")
    axes = figure.subplots()
    figure.patch.set_visible(False)
    for split, (steps, values) in splits.items():
        _draw(axes, steps, values, TRAIN if split == "train" else VALIDATION)
    _limits(axes, np.concatenate([values for _, values in splits.values()]))
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=RULE, lw=0.7)
    axes.tick_params(length=0, labelsize=9, labelcolor=SOFT)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}")
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": repr(splits)}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return Markup(_tidy(buffer.getvalue()))


def _draw(axes: Any, steps: np.ndarray, values: np.ndarray, colour: str) -> None:
    """A line; noisy and long ones are drawn pale below their running mean."""
    dashes = "-" if colour == TRAIN else (0, (3, 1.5))
    if len(values) < 60:
        axes.plot(steps, values, color=colour, lw=1.5, ls=dashes, marker="o", ms=2.5)
        return
    axes.plot(*thin(steps, values), color=colour, lw=0.8, alpha=0.3)
    width = max(3, len(values) // 40)
    mean = np.convolve(values, np.ones(width) / width, mode="valid")
    first = (width - 1) // 2
    axes.plot(*thin(steps[first : first + len(mean)], mean, 200), color=colour, lw=1.5, ls=dashes)


def _limits(axes: Any, values: np.ndarray) -> None:
    """Cuts the first steep fall or a stray peak where it would flatten all the rest."""
    low, high = np.quantile(values, [0.01, 0.97])
    if high > low and np.ptp(values) > 3 * (high - low):
        margin = 0.1 * (high - low)
        axes.set_ylim(low - margin, high + margin)


def _tidy(svg: str) -> str:
    """Only the drawing: no prolog, metadata, fixed size, repeated identifiers or namespaces."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| (?:width|height)="[\d.]+pt"', "", svg)
    svg = re.sub(r' id="[a-zA-Z]+_?[\w.]*_\d+"', "", svg)
    svg = re.sub(r"font-family: [^;]+;", "", svg)
    for colour, variable in CSS.items():
        svg = svg.replace(colour, variable)
    return svg
