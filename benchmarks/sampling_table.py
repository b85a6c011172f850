"""The table of the samplers: a line a sampler, and the time per element over the sizes."""

from typing import Any

from benchmarks import models
from benchmarks.harness import Spread, opening, quartiles, verdict
from benchmarks.sampling import NUM, OVER_ALL


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    entries = found["models"]
    first = next(iter(entries.values()))
    rounds = len(first["times"]["naive"])
    side = first["side"]
    title = f"Sampling, {NUM} at once, {side} x {side}; {rounds} rounds in turns; untrained models"
    lines = opening(title, found["environment"], found)
    lines += ["", f"{'':24}{'ms, median':>11}{'us/element':>12}{'x fast':>10}{'quartiles':>16}"]
    for name, entry in entries.items():
        lines += comparison(name, entry)
    lines += ["", *notes(entries), "", *growth(entries)]
    return lines


def comparison(name: str, entry: dict[str, Any]) -> list[str]:
    """Return the lines of all samplers of one model."""
    names = {
        str(entry["side"]): models.TITLES[name],
        "direct": "  from scratch, O(D^2 H)",
        "naive": f"  {entry['dim']} forward passes{'*' if entry['timed'] < entry['dim'] else ''}",
        "jacobi": f"  fixed point, {entry.get('passes')} passes",
    }
    lines = []
    for sampler, title in names.items():
        if sampler not in entry["times"]:
            continue
        ms = Spread.of(entry["times"][sampler]).median
        line = f"{title:24}{ms:11.2f}{1000 * ms / entry['dim']:12.1f}"
        if sampler in entry["ratios"]:
            against = entry["ratios"][sampler]
            line += f"{against['median']:10.3g}{quartiles(against):>16}  {verdict(against)}"
        lines.append(line.rstrip())
    return lines


def notes(entries: dict[str, Any]) -> list[str]:
    """Return what is extrapolated."""
    lines = ["x fast: the sampler's time over the fast one's, in each round."]
    timed = {entry["timed"] for entry in entries.values() if entry["timed"] < entry["dim"]}
    if timed:
        lines += [
            f"* extrapolated: {min(timed)} elements, evenly spread, were timed; the forward pass",
            "  of each is that of the whole example, whatever the element.",
        ]
    if any("passes" in entry for entry in entries.values()):
        lines.append(
            "The fixed point takes more passes the more a trained model's elements depend."
        )
    return lines


def growth(entries: dict[str, Any]) -> list[str]:
    """Return the lines of the time per element over the size of the example."""
    sides = [int(name) for name in next(iter(entries.values()))["times"] if name.isdecimal()]
    heads = "".join(f"{f'{side}x{side}':>9}" for side in sides)
    last = f"{sides[-1]}/{sides[0]}"
    lines = [f"{'us/element, median':24}{heads}{last:>9}{'quartiles':>14}"]
    for name, entry in entries.items():
        medians = [Spread.of(entry["times"][str(side)]).median for side in sides]
        each = zip(medians, sides, strict=True)
        cells = "".join(f"{1000 * ms / side**2:9.1f}" for ms, side in each)
        found = entry["ratios"]["growth"]
        ends = f"{found['median']:9.2f}{quartiles(found):>14}  {verdict(found)}"
        lines.append(f"{models.TITLES[name]:24}{cells}{ends}".rstrip())
    if any(name in OVER_ALL for name in entries):
        lines.append("A conditional of MADE has weights for every element of the example.")
    return [
        *lines,
        "Within an example the first and the last quarter of the rows take the same time by",
        "construction: a scan runs one and the same computation for each of them.",
    ]
