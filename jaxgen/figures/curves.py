"""Curves of a run over its steps, as inline SVG in the colours of the page that holds it."""

import io
import itertools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgen.figures.metrics import Curve

MAX_POINTS = 500
# Matplotlib knows no CSS: it draws in these colours, which then become the page's own.
SOFT = "#010101"
RULE = "#020202"
TRAIN = "#030303"
VALIDATION = "#040404"
CSS = {
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    TRAIN: "var(--train)",
    VALIDATION: "var(--validation)",
}
_FEW = 60  # values that are drawn as they are
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def thin(
    steps: np.ndarray,
    values: np.ndarray,
    most: int = MAX_POINTS,
) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `most` of the points [N]: lowest and highest of each stretch, in order."""
    if len(steps) <= most:
        return steps, values
    edges = np.linspace(0, len(steps), most // 2 + 1).astype(int)
    kept: set[int] = set()
    for begin, end in itertools.pairwise(edges):
        stretch = values[begin:end]
        kept |= {begin + int(stretch.argmin()), begin + int(stretch.argmax())}
    keep = np.array(sorted(kept))
    return steps[keep], values[keep]


def svg(splits: Mapping[str, Curve]) -> Any:
    """Draw curves over steps as inline SVG in the page's colours; its only text is numbers."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    figure = Figure((3.7, 2.0), layout="constrained")
    axes = figure.subplots()
    figure.patch.set_visible(False)
    for split, curve in splits.items():
        _line(axes, curve, TRAIN if split == "train" else VALIDATION)
    limits = cut(np.concatenate([curve.values for curve in splits.values()]))
    if limits is not None:
        axes.set_ylim(*limits)
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=RULE, lw=0.7)
    axes.tick_params(length=0, labelsize=9, labelcolor=SOFT)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_formatter(_thousands)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": repr(splits)}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return Markup(_tidy(buffer.getvalue()))


def cut(values: np.ndarray) -> tuple[float, float] | None:
    """Return limits that cut the first steep fall or a stray peak; None if nothing is flattened.

    Args:
      values: of all curves in the plot, [N].
    """
    low, high = np.quantile(values, [0.01, 0.97])
    body = high - low
    if body <= 0 or np.ptp(values) <= 3 * body:
        return None
    margin = 0.1 * body
    return low - margin, high + margin


def _thousands(x: Any, position: Any) -> str:
    """Return the label of a step on the axis: 2500 is '2.5k'."""
    del position  # labels depend on the value alone
    return f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"


def _line(
    axes: Any,
    curve: Curve,
    colour: str,
) -> None:
    """Draw a line; noisy and long ones pale below their running mean."""
    steps, values, means = curve
    dashes = "-" if colour == TRAIN else (0, (3, 1.5))
    if len(values) < _FEW:
        axes.plot(
            steps,
            values,
            color=colour,
            lw=1.5,
            ls=dashes,
            marker="o",
            ms=2.5,
        )
        return
    axes.plot(
        *thin(steps, values),
        color=colour,
        lw=0.8,
        alpha=0.3,
    )
    width = max(3, len(values) // 40)
    mean = np.convolve(means, np.ones(width) / width, mode="valid")
    first = (width - 1) // 2
    middle = steps[first : first + len(mean)]
    axes.plot(
        *thin(middle, mean, 200),
        color=colour,
        lw=1.5,
        ls=dashes,
    )


def _tidy(svg: str) -> str:
    """Keep the drawing: no prolog, metadata, fixed size, repeated identifiers or namespaces."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"| (?:width|height)="[\d.]+pt"', "", svg)
    svg = re.sub(r' id="[a-zA-Z]+_?[\w.]*_\d+"', "", svg)
    svg = re.sub(r"font-family: [^;]+;", "", svg)
    for colour, variable in CSS.items():
        svg = svg.replace(colour, variable)
    return svg
