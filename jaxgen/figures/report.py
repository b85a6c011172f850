"""One HTML page a run: pictures, curves, numbers with their protocol, and how to get them again.

`render` reads what a run folder holds (`spec.json`, and as far as they are there
`environment.json`, `data.json`, `metrics.jsonl`, `evaluation.json`, `certificate.json` and the
pictures) and returns the page, which `jaxgen report` writes beside them. It needs no network, no
script and no other file: it can be mailed, archived and printed.

Text from the files is data: control characters are dropped when it is read, the template escapes
the rest, and no string of a file enters the SVG of a curve. The same folder gives the same page.
"""

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxgen.console import printable
from jaxgen.errors import CheckpointError
from jaxgen.figures import curves, embed, metrics
from jaxgen.files import read_file

MAX_CURVES = 12
MAX_FIELDS = 400
MAX_CLASSES = 100


def render(run_dir: Path) -> str:
    """Return the page of a run folder. Raises CheckpointError for one without a `spec.json`."""
    return page(contents(run_dir))


def page(found: Mapping[str, Any]) -> str:
    """Return the page of what `contents` found."""
    import jinja2

    template = resources.files("jaxgen.figures").joinpath("report.html.jinja")
    source = template.read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"text": _text}
    environment.globals |= {"measured": measured, "MAX_CLASSES": MAX_CLASSES}
    return environment.from_string(source).render(found)


def flatten(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted field, text) of a configuration; an object's own line gives its type."""
    if isinstance(value, Mapping):
        if "type" in value:
            yield field, _text(value["type"])
        for key in value:
            if key != "type":
                inner = f"{field}.{key}" if field else str(key)
                yield from flatten(value[key], inner)
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for i, item in enumerate(value):
            yield from flatten(item, f"{field}[{i}]")
    else:
        yield field, _text(value)


def plain(value: Any) -> Any:
    """Return the JSON value without terminal escapes and invisible characters in its text."""
    if isinstance(value, str):
        return printable(value[:4000])
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def measured(value: Any, error: Any = None) -> str:
    """Return '−18.10 ± 0.20': two digits of the standard error decide how many are shown."""
    if not metrics.finite(value):
        return _text(value)
    if not metrics.finite(error) or error <= 0:
        return f"{value:.4g}".replace("-", "−")
    magnitude = math.floor(math.log10(error))
    places = min(max(1 - magnitude, 0), 9)
    return f"{value:.{places}f} ± {error:.{places}f}".replace("-", "−")


def contents(run_dir: Path) -> dict[str, Any]:
    """Return everything that the template shows, as plain values.

    What is there and cannot be read is named in 'damaged', a line each. Raises CheckpointError for
    a folder without a `spec.json`.
    """
    damaged: list[str] = []
    spec = _object(_value(run_dir / "spec.json", damaged))
    if not spec:
        raise CheckpointError(f"{run_dir} is no run folder: it has no readable spec.json")
    log = metrics.read(run_dir / "metrics.jsonl")
    damaged += [log.damage] * bool(log.damage)
    series = log.series()
    names = list(series)
    numbers = _objects(_value(run_dir / "evaluation.json", damaged))
    certificate = _object(_value(run_dir / "certificate.json", damaged))
    environment = list(flatten(_object(_value(run_dir / "environment.json", damaged))))
    data = _object(_value(run_dir / "data.json", damaged))
    class_names = data.get("class_names")
    return {
        "run": shlex.quote(str(plain(str(run_dir)))),
        "spec": spec,
        **_configuration(spec.get("experiment")),
        "environment": environment,
        "data": data,
        "class_names": class_names if isinstance(class_names, list) else [],
        "numbers": numbers,
        "headline": _headline(numbers, series),
        "summary": _summary(spec, log, dict(environment)),
        "passed": certificate.get("passed") is True,
        "laws": _objects(certificate.get("laws")),
        "charts": [_chart(name, series[name]) for name in names[:MAX_CURVES]],
        "left_out": names[MAX_CURVES:],
        "torn": log.torn,
        "lost": log.lost,
        "crowded": log.crowded,
        **embed.pictures(run_dir, damaged),
        "damaged": damaged,
    }


def _configuration(experiment: Any) -> dict[str, Any]:
    """Return (field, text, whether the field is an object) a line, and the seed among them."""
    fields = list(flatten(experiment))[:MAX_FIELDS] if isinstance(experiment, dict) else []
    owners = {_owner(name) for name, _ in fields if _owner(name) != name}
    lines = []
    for name, text in fields:
        is_object = "." not in name and name.split("[")[0] in owners | {""}
        lines.append((name or "experiment", text, is_object))
    lines.sort(key=lambda line: _owner(line[0]) in owners)  # plain numbers first
    return {"config": lines, "seed": dict(fields).get("seed")}


def _owner(field: str) -> str:
    """Return the first name of a dotted field: 'optimizers' of 'optimizers[0].momentum'."""
    return re.split(r"[.\[]", field)[0]


def _summary(
    spec: Mapping[str, Any],
    log: metrics.Metrics,
    environment: Mapping[str, str],
) -> list[str]:
    """Return the facts of the line below the title, as far as they are known."""
    fields = dict(flatten(spec.get("experiment")))
    facts = [fields.get("model"), fields.get("data.name"), environment.get("device")]
    if log.last_step is not None:
        facts.append(f"{log.last_step:,} steps")
    if log.seconds:
        facts.append(f"{log.seconds:,.0f} s")
    facts += _speeds(log)
    return [fact for fact in facts if fact]


def _value(path: Path, damaged: list[str]) -> Any:
    """Return what a JSON file holds, None where it is missing, or damaged: then say so there."""
    try:
        content = read_file(path)
        if content is None:
            return None
        text = content.decode(errors="replace")
        return plain(json.loads(text))
    except CheckpointError as error:
        damaged.append(str(plain(str(error))))
    except (ValueError, RecursionError) as error:
        damaged.append(str(plain(f"{path}: cannot be read: {str(error)[:200]}")))
    return None


def _object(value: Any) -> dict[str, Any]:
    """Return an object of JSON, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of JSON, none if it is no list."""
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]


def _text(value: Any) -> str:
    """Return a short text for a value of a JSON file."""
    if isinstance(value, list):
        value = ", ".join(map(_text, value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if len(text) <= 160 else text[:159] + "…"


def _headline(numbers: list[dict[str, Any]], series: metrics.Series) -> str:
    """Return the number that the run is known by: of the test, else validation, else training."""
    if numbers:
        record = min(
            numbers, key=lambda record: record.get("split") != "test"
        )  # the first, of test
        value = measured(record.get("value"), record.get("standard_error"))
        parts = (record.get("split"), record.get("metric"), value, record.get("unit"))
        return " ".join(_text(part) for part in parts if part)
    for split in ("validation", "train"):
        found = {name: splits for name, splits in series.items() if split in splits}
        if found:
            # What is measured of validation examples alone, a bound, says more than a loss's terms.
            name = min(found, key=lambda name: len(found[name]))
            last = float(found[name][split].values[-1])
            return f"{split} {name} {measured(last)}"
    return "no numbers yet"


def _speeds(log: metrics.Metrics) -> list[str]:
    """Return the median of every `<things>_per_second`: '60,000 things / s'."""
    speeds = []
    for name, points in log.speeds.items():
        median = float(np.median(points.curve().means))
        number = f"{median:,.0f}" if median >= 100 else f"{median:.3g}"
        things = name.removesuffix("_per_second").replace("_", " ")
        speeds.append(f"{number} {things} / s")
    return speeds


def _chart(name: str, splits: Mapping[str, metrics.Curve]) -> dict[str, Any]:
    """Return a curve's name, its last values and its drawing."""
    last = [(split, measured(float(curve.values[-1]))) for split, curve in splits.items()]
    return {"name": name, "last": last, "svg": curves.svg(splits)}
