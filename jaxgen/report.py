"""One HTML page a run: pictures, curves, numbers with their protocol, and how to get them again.

`write_report` reads what a run folder holds (`spec.json`, and as far as they are there
`environment.json`, `data.json`, `metrics.jsonl`, `evaluation.json`, `certificate.json` and the
pictures) and writes `report.html` beside them. The page needs no network, no script and no other
file: it can be mailed, archived and printed.

Text from the files is data: control characters are dropped when it is read, the template escapes
the rest, and no string of a file enters the SVG of a curve. The same folder gives the same page.
"""

import base64
import io
import itertools
import json
import math
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen import pictures
from jaxgen.errors import CheckpointError

Series = dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]  # {name: {split: (steps, values)}}

MAX_CURVES, MAX_POINTS, MAX_THUMBNAILS, MAX_FIELDS = 12, 500, 8, 400
LARGE_BYTES, THUMBNAIL_BYTES = 600_000, 90_000  # as base64 below 3.5 MB in all
FINAL = {
    "samples": "Samples",
    "reconstructions": "Reconstructions",
    "interpolation": "Interpolations",
}
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
# Matplotlib knows no CSS: it draws in these colours, which then become the page's own.
CSS = {"#010101": "var(--soft)", "#020202": "var(--rule)"}
CSS |= {"#030303": "var(--train)", "#040404": "var(--validation)"}
SOFT, RULE, TRAIN, VALIDATION = CSS


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` into the run folder and returns its path.

    Raises:
      CheckpointError: if the folder has no readable `spec.json`.
      StorageError: if the page cannot be written.
    """
    run_dir = Path(run_dir)
    page = run_dir / "report.html"
    pictures.write_file(page, _render(_contents(run_dir)).encode())
    return page


def read_metrics(path: Path) -> tuple[list[dict], int]:
    """The records of a metrics file in order, and how many lines could not be read.

    A run that was killed leaves a torn last line, and one that went on from an older checkpoint
    repeats steps: the later record of a step and split stands.
    """
    records, torn = {}, 0
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in filter(str.strip, lines):
        try:
            record = plain(json.loads(line))
            step, split = int(record["step"]), str(record.get("split", "train"))
            records[step, split] = record | {"step": step, "split": split}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            torn += 1
    return [records[key] for key in sorted(records)], torn


def curves(records: list[dict]) -> tuple[Series, int]:
    """The finite numbers of each metric by name and split, and how many were not finite."""
    points, lost = {}, 0
    for record in records:
        for name, value in record.items():
            if name in ("step", "seconds") or name.endswith("_per_second") or not _number(value):
                continue
            if not _finite(value):
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


def flatten(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """A nested configuration as (dotted field, text); an object's own line gives its type."""
    if isinstance(value, Mapping):
        if "type" in value:
            yield field, _text(value["type"])
        for key in value:
            if key != "type":
                yield from flatten(value[key], f"{field}.{key}" if field else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for i, item in enumerate(value):
            yield from flatten(item, f"{field}[{i}]")
    else:
        yield field, _text(value)


def plain(value: Any) -> Any:
    """The same JSON value with terminal escapes and invisible characters dropped from its text."""
    if isinstance(value, str):
        text = ESCAPES.sub("", value)[:4000]
        hidden = ("Cc", "Cf", "Cs")  # control, formatting (also right-to-left marks), surrogates
        return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in hidden)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def measured(value: Any, error: Any = None) -> str:
    """'−18.10 ± 0.20': two digits of the standard error decide how many the value shows."""
    if not _finite(value):
        return _text(value)
    if not _finite(error) or error <= 0:
        return f"{value:.4g}".replace("-", "−")
    places = min(max(1 - math.floor(math.log10(error)), 0), 9)
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")


def _contents(run_dir: Path) -> dict[str, Any]:
    """Everything that the template shows, as plain values."""
    spec = _read(run_dir / "spec.json")
    if not spec:
        raise CheckpointError(f"{run_dir} is no run folder: it has no readable spec.json")
    records, torn = read_metrics(run_dir / "metrics.jsonl")
    series, lost = curves(records)
    numbers = _objects(_read(run_dir / "evaluation.json").get("records"))
    certificate = _read(run_dir / "certificate.json")
    environment = list(flatten(_read(run_dir / "environment.json")))
    return {
        "run": shlex.quote(str(plain(str(run_dir)))),
        "spec": spec,
        **_configuration(spec.get("experiment")),
        "environment": environment,
        "data": _read(run_dir / "data.json"),
        "numbers": numbers,
        "headline": _headline(numbers, series),
        "summary": _summary(spec, records, dict(environment)),
        "passed": certificate.get("passed") is True,
        "laws": _objects(certificate.get("laws")),
        "charts": [_chart(name, series[name]) for name in list(series)[:MAX_CURVES]],
        "left_out": list(series)[MAX_CURVES:],
        "torn": torn,
        "lost": lost,
        **_pictures(run_dir),
    }


def _configuration(experiment: Any) -> dict[str, Any]:
    """(field, text, whether the field is an object) for each line, and the seed among them."""
    fields = list(flatten(experiment))[:MAX_FIELDS] if isinstance(experiment, dict) else []
    names = [field for field, _ in fields]
    owners = {re.split(r"[.\[]", name)[0] for name in names if "." in name or "[" in name}
    lines = [
        (n or "experiment", text, "." not in n and n.split("[")[0] in owners | {""})
        for n, text in fields
    ]
    lines.sort(key=lambda line: re.split(r"[.\[]", line[0])[0] in owners)  # plain numbers first
    return {"config": lines, "seed": dict(fields).get("seed")}


def _summary(spec: dict, records: list[dict], environment: Mapping[str, str]) -> list[str]:
    """The facts of the line below the title, as far as they are known."""
    fields = dict(flatten(spec.get("experiment")))
    steps = max((record["step"] for record in records), default=None)
    seconds = max((r["seconds"] for r in records if _finite(r.get("seconds"))), default=None)
    facts = [fields.get("model"), fields.get("data.name"), environment.get("device")]
    facts += [f"{steps:,} steps"] if steps is not None else []
    facts += [f"{seconds:,.0f} s"] if seconds is not None else []
    return [fact for fact in facts + _speeds(records) if fact]


def _render(contents: Mapping[str, Any]) -> str:
    import jinja2

    source = resources.files("jaxgen").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"text": _text}
    environment.globals |= {"measured": measured}
    return environment.from_string(source).render(contents)


def _read(path: Path) -> dict:
    """The object in a JSON file, or an empty one where it is missing or damaged."""
    try:
        value = plain(json.loads(path.read_text(errors="replace")))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _number(value) and abs(value) < 1e300  # beyond that the arithmetic of a plot overflows


def _text(value: Any) -> str:
    """A short text for a value of a JSON file."""
    if isinstance(value, list):
        value = ", ".join(map(_text, value))
    names = {True: "yes", False: "no", None: "none"}
    text = names[value] if isinstance(value, bool | None) else str(value)
    return text if len(text) <= 160 else text[:159] + "…"


def _headline(numbers: list[dict], series: Series) -> str:
    """The number that the run is known by: of the test, else of validation, else of training."""
    for record in sorted(numbers, key=lambda r: r.get("split") != "test")[:1]:
        value = measured(record.get("value"), record.get("standard_error"))
        parts = (record.get("split"), record.get("metric"), value, record.get("unit"))
        return " ".join(_text(part) for part in parts if part)
    for split in ("validation", "train"):
        for name in (name for name in series if split in series[name]):
            return f"{split} {name} {measured(float(series[name][split][1][-1]))}"
    return "no numbers yet"


def _speeds(records: list[dict]) -> list[str]:
    """The median of every `<things>_per_second`: '60,000 things / s'."""
    names = {name: None for record in records for name in record if name.endswith("_per_second")}
    speeds = []
    for name in names:
        values = [record[name] for record in records if _finite(record.get(name))]
        median = float(np.median(values)) if values else 0.0
        number = f"{median:,.0f}" if median >= 100 else f"{median:.3g}"
        speeds.append(f"{number} {name.removesuffix('_per_second').replace('_', ' ')} / s")
    return speeds


def _pictures(run_dir: Path) -> dict[str, Any]:
    """The final pictures, and some of those drawn while training, first and last among them."""
    final = {name: _embed(run_dir / f"{name}.png", LARGE_BYTES) for name in FINAL}
    found = [(re.fullmatch(r"step_(\d+)", p.stem), p) for p in run_dir.glob("samples/step_*.png")]
    drawn = sorted((int(match[1]), path) for match, path in found if match)
    chosen = np.unique(np.linspace(0, len(drawn) - 1, MAX_THUMBNAILS).astype(int)) if drawn else []
    progress = [(drawn[i][0], _embed(drawn[i][1], THUMBNAIL_BYTES)) for i in chosen]
    return {
        "final": [(FINAL[name], image) for name, image in final.items() if image],
        "absent_pictures": [f"{name}.png" for name, image in final.items() if not image],
        "progress": [(step, image) for step, image in progress if image],
    }


def _embed(path: Path, most: int) -> dict[str, Any] | None:
    """A PNG as data URI with its size, made smaller where it has more than `most` bytes."""
    from PIL import Image

    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # missing, torn or no PNG: the page says so
    while len(content) > most and min(image.size) > 1:
        scale = min(0.9, 0.95 * math.sqrt(most / len(content)))
        size = tuple(max(1, round(scale * side)) for side in image.size)
        image = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        content = pictures.png(np.asarray(image))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"uri": uri, "width": image.width, "height": image.height}


def _chart(name: str, splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    last = [(split, measured(float(values[-1]))) for split, (_, values) in splits.items()]
    return {"name": name, "last": last, "svg": _svg(splits)}


def _svg(splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:
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
