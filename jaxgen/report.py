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
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen import curves, pictures
from jaxgen.console import printable
from jaxgen.errors import CheckpointError
from jaxgen.files import MAX_LINES, read_file, write_file

MAX_CURVES, MAX_THUMBNAILS, MAX_FIELDS = 12, 8, 400
LARGE_BYTES, THUMBNAIL_BYTES = 600_000, 90_000  # as base64 below 3.5 MB in all
MAX_PICTURE, MAX_PIXELS = 2**24, 2**24  # of a file that is opened
FINAL = {
    "samples": "Samples",
    "reconstructions": "Reconstructions",
    "interpolation": "Interpolations",
    "completions": "Completions: given, drawn, and the truth",
    "neighbours": "Samples, each over its nearest training example",
}


def write_report(run_dir: Path) -> Path:
    """Writes `report.html` into the run folder and returns its path.

    Raises:
      CheckpointError: if the folder has no readable `spec.json`.
      StorageError: if the page cannot be written.
    """
    run_dir = Path(run_dir)
    page = run_dir / "report.html"
    write_file(page, _render(_contents(run_dir)).encode())
    return page


def read_metrics(path: Path) -> tuple[list[dict], int]:
    """The records of a metrics file in order, and how many lines could not be read.

    A run that was killed leaves a torn last line, and one that went on from an older checkpoint
    repeats steps: the later record of a step and split stands.
    """
    records, torn = {}, 0
    try:
        lines = (read_file(path, MAX_LINES) or b"").decode(errors="replace").splitlines()
    except CheckpointError:
        lines = []
    for line in filter(str.strip, lines):
        try:
            record = plain(json.loads(line))
            step, split = int(record["step"]), str(record.get("split", "train"))
            records[step, split] = record | {"step": step, "split": split}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            torn += 1
    return [records[key] for key in sorted(records)], torn


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
        return printable(value[:4000])
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def measured(value: Any, error: Any = None) -> str:
    """'−18.10 ± 0.20': two digits of the standard error decide how many the value shows."""
    if not curves.finite(value):
        return _text(value)
    if not curves.finite(error) or error <= 0:
        return f"{value:.4g}".replace("-", "−")
    places = min(max(1 - math.floor(math.log10(error)), 0), 9)
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")


def _contents(run_dir: Path) -> dict[str, Any]:
    """Everything that the template shows, as plain values."""
    spec = _read(run_dir / "spec.json")
    if not spec:
        raise CheckpointError(f"{run_dir} is no run folder: it has no readable spec.json")
    records, torn = read_metrics(run_dir / "metrics.jsonl")
    series, lost = curves.series(records)
    numbers = _objects(_value(run_dir / "evaluation.json"))
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
    seconds = max((r["seconds"] for r in records if curves.finite(r.get("seconds"))), default=None)
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


def _value(path: Path) -> Any:
    """What a JSON file holds, or None where it is missing or damaged."""
    try:
        return plain(json.loads((read_file(path) or b"").decode(errors="replace")))
    except (CheckpointError, ValueError, RecursionError):
        return None


def _read(path: Path) -> dict:
    """The object in a JSON file, or an empty one."""
    value = _value(path)
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A short text for a value of a JSON file."""
    if isinstance(value, list):
        value = ", ".join(map(_text, value))
    names = {True: "yes", False: "no", None: "none"}
    text = names[value] if isinstance(value, bool | None) else str(value)
    return text if len(text) <= 160 else text[:159] + "…"


def _headline(numbers: list[dict], series: curves.Series) -> str:
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
        values = [record[name] for record in records if curves.finite(record.get(name))]
        median = float(np.median(values)) if values else 0.0
        number = f"{median:,.0f}" if median >= 100 else f"{median:.3g}"
        speeds.append(f"{number} {name.removesuffix('_per_second').replace('_', ' ')} / s")
    return speeds


def _pictures(run_dir: Path) -> dict[str, Any]:
    """The final pictures, and some of those drawn while training, first and last among them."""
    final = {name: _embed(run_dir / f"{name}.png", LARGE_BYTES) for name in FINAL}
    folder = run_dir / "samples"
    paths = [] if folder.is_symlink() else folder.glob("step_*.png")
    found = [(re.fullmatch(r"step_(\d+)", path.stem), path) for path in paths]
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
        content = read_file(path, MAX_PICTURE) or b""
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        if math.prod(image.size) > MAX_PIXELS:
            return None
        image.load()
    except (CheckpointError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # missing, torn, no PNG or none of ours: the page says so
    while len(content) > most and min(image.size) > 1:
        scale = min(0.9, 0.95 * math.sqrt(most / len(content)))
        size = tuple(max(1, round(scale * side)) for side in image.size)
        image = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        content = pictures.png(np.asarray(image))
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"uri": uri, "width": image.width, "height": image.height}


def _chart(name: str, splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    last = [(split, measured(float(values[-1]))) for split, (_, values) in splits.items()]
    return {"name": name, "last": last, "svg": curves.svg(splits)}
