"""Autoregressive models against the same architectures in eager PyTorch.

The third command of `benchmarks`. For each comparison one process of each library is
started and warmed up, then they take turns; both do the same from the same parameters, which is
checked: the numbers of parameters, and the logits that PyTorch computes from jaxgen's parameters.
PyTorch samples from a PixelCNN as its users do, by a full forward pass for each pixel.
"""

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks import models
from benchmarks.harness import (
    Worker,
    chosen,
    closing_all,
    conditions,
    jaxgen_command,
    opening,
    opponent,
    progress,
    quartiles,
    ratio,
    row,
    take_turns,
    torch_command,
    verdict,
)
from jaxgen.errors import JaxgenError

NAME = "autoregressive"  # of the workers' files
TASKS = {"train": "training", "log_prob": "log_prob", "sample": "sampling"}


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
      model: its name.
      task: what is timed.
      batch_size: images at once.
      blocks: steps, or batches of samples, in a block of PyTorch and of jaxgen.
      target: what PyTorch's time over jaxgen's should be at least.
      positions: of the pixels of a PyTorch sample, how many are timed; 0: all.
      limits: measure, too, what the machine could do.
    """

    model: str
    task: Literal["train", "log_prob", "sample"]
    batch_size: int
    blocks: tuple[int, int]
    target: float | None = None
    positions: int = 0
    limits: bool = False


COMPARISONS = (
    Comparison("nade", "train", 128, (5, 25), target=4),
    Comparison("nade", "log_prob", 128, (10, 50), target=5),
    Comparison("nade", "sample", 64, (10, 50), target=8),
    Comparison("nade_relu", "train", 128, (5, 25), target=4),
    Comparison("nade_relu", "log_prob", 128, (10, 50), target=5),
    Comparison("nade_relu", "sample", 64, (10, 50), target=8),
    Comparison("gated_pixel_cnn", "train", 32, (3, 3), target=0.9),
    Comparison("diagonal_bilstm", "train", 16, (3, 6), target=1.5),
    Comparison("pixel_cnn", "sample", 16, (1, 10), target=150, positions=16),
    Comparison("gated_pixel_cnn", "sample", 16, (1, 10), target=150, positions=16),
    Comparison("pixel_cnn", "train", 128, (5, 5), limits=True),  # known to be slower
)


def measure(
    rounds: int,
    python: str | None,
    only: tuple[str, ...],
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of all comparisons, or of those with the models in `only`.

    Interrupted, it returns what is complete, if anything is.
    """
    names = chosen(only, list(dict.fromkeys(c.model for c in COMPARISONS)))
    rounds = 2 if smoke else rounds
    before = conditions()
    entries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        try:
            for comparison in (c for c in COMPARISONS if c.model in names):
                config = settings(comparison, smoke)
                entries.append(compare(config, rounds, python, Path(folder)))
                progress(f"{comparison.model}, {comparison.task}")
                if len(entries[-1]["times"]["jaxgen"]) < rounds:
                    break
        except KeyboardInterrupt:
            if not entries:
                raise
    return {"comparisons": entries, "before": before, "after": conditions()}


def settings(comparison: Comparison, smoke: bool) -> dict[str, Any]:
    """Return what the workers of a comparison are told."""
    tables = models.TINY if smoke else models.SIZES
    config = {
        "model": comparison.model,
        "task": comparison.task,
        "shape": (4, 4, 1) if smoke else (28, 28, 1),
        "sizes": tables[comparison.model],
        "batch_size": 8 if smoke else comparison.batch_size,
        "blocks": (1, 2) if smoke else comparison.blocks,
        "positions": min(comparison.positions, 2) if smoke else comparison.positions,
        "limits": comparison.limits,
        "learning_rate": 1e-3,
    }
    return config | {"target": None if smoke else comparison.target}


def compare(
    config: dict[str, Any],
    rounds: int,
    python: str | None,
    folder: Path,
) -> dict[str, Any]:
    """Return the figures of one comparison; PyTorch starts when jaxgen has left its parameters."""
    config = config | {"weights": str(folder / "weights.npz") if python else None}
    torch_steps, jaxgen_steps = config["blocks"]
    pixels = math.prod(config["shape"])
    workers: list[Worker] = []
    with closing_all(workers):
        own = json.dumps(config | {"steps": jaxgen_steps})
        workers.append(Worker("jaxgen", [*jaxgen_command(NAME), own], jaxgen_steps, folder))
        said = {"jaxgen": workers[0].ready()}
        if python:
            own = json.dumps(config | {"steps": torch_steps})
            timed = torch_steps * (config["positions"] or pixels) / pixels
            workers.append(Worker("torch", [*torch_command(python, NAME), own], timed, folder))
            said["torch"] = workers[1].ready()
            require_same(config["model"], said)
        times = take_turns(workers, rounds)
    return report(config, said, times)


def require_same(model: str, said: dict[str, Any]) -> None:
    """Raise JaxgenError unless both workers have the same network."""
    theirs = said["torch"]["parameters"]
    ours = said["jaxgen"]["parameters"]
    if abs(theirs - ours) > 0.02 * ours:
        raise JaxgenError(f"{model}: {theirs} parameters in PyTorch, {ours} in jaxgen")
    if not said["torch"]["difference"] < 1e-3:
        found = said["torch"]["difference"]
        raise JaxgenError(f"{model}: PyTorch's logits differ from jaxgen's by {found:.2g} of them")


def report(
    config: dict[str, Any],
    said: dict[str, Any],
    times: dict[str, list[float]],
) -> dict[str, Any]:
    """Return the figures of one comparison, from milliseconds a step."""
    kept = {name: value for name, value in config.items() if name != "weights"}
    entry = {"settings": kept, "environment": said, "times": times}
    entry["rows"] = {name: row(values, config["batch_size"]) for name, values in times.items()}
    if "torch" in times:
        entry["ratio"] = ratio(times["torch"], times["jaxgen"], at_least=config["target"])
    return entry


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    entries = found["comparisons"]
    said = entries[0]["environment"]
    lines = opening("Autoregressive models, binary images; Adam, float32", said["jaxgen"], found)
    lines.append(opponent(said.get("torch")))
    rounds = len(entries[0]["times"]["jaxgen"])
    lines += [
        "",
        f"{'':36}{'parameters':>20}{'ms, median':>20}  PyTorch / jaxgen in {rounds} rounds",
        f"{'':26}{'batch':>10}"
        + f"{'PyTorch':>10}{'jaxgen':>10}" * 2
        + f"{'median':>9}{'quartiles':>14}",
    ]
    lines += [line(entry) for entry in entries]
    return lines + notes(entries)


def line(entry: dict[str, Any]) -> str:
    """Return the line of one comparison."""
    config = entry["settings"]
    said = entry["environment"]
    rows = entry["rows"]
    title = f"{models.TITLES[config['model']]}, {TASKS[config['task']]}"
    star = "*" if config["positions"] else " "
    our_count = f"{said['jaxgen']['parameters']:10}"
    our_time = f"{rows['jaxgen']['median_ms']:10.2f}"
    if "ratio" not in entry:
        return f"{title:26}{config['batch_size']:10}{'-':>10}{our_count}{'-':>10}{our_time}"
    counts = f"{said['torch']['parameters']:10}{our_count}"
    times = f"{rows['torch']['median_ms']:9.1f}{star}{our_time}"
    found = entry["ratio"]
    ratios = f"{found['median']:9.3g}{quartiles(found):>14}  {verdict(found)}"
    return f"{title:26}{config['batch_size']:10}{counts}{times}{ratios}".rstrip()


def notes(entries: list[dict[str, Any]]) -> list[str]:
    """Return what is extrapolated, and what limits the plain PixelCNN."""
    lines = ["", "ms: of a step of training, of the densities of a batch, of a batch of samples."]
    for entry in entries:
        config = entry["settings"]
        if config["positions"] and "ratio" in entry:
            pixels = math.prod(config["shape"])
            lines += [
                f"* extrapolated: a sample in PyTorch is {pixels} full forward passes, all equal;",
                f"  {config['positions']} of them, at pixels evenly spread, were timed and taken "
                f"{pixels / config['positions']:g}-fold.",
            ]
            break
    return lines + [text for entry in entries for text in limits(entry)]


def limits(entry: dict[str, Any]) -> list[str]:
    """Return how near a step comes to what the machine can do; [] where that was not measured."""
    found = entry["environment"]["jaxgen"].get("limits")
    if found is None:
        return []
    seconds = entry["rows"]["jaxgen"]["median_ms"] / 1000
    title = models.TITLES[entry["settings"]["model"]]
    work = found["step_gflop"]
    moved = found["step_gb"]
    computing = work / found["gflop_per_second"]
    moving = moved / found["gb_per_second"]
    return [
        f"{title}, training: a step is {work:.3g} GFLOP and moves {moved:.3g} GB by XLA's count, "
        f"{work / seconds:.3g} GFLOP/s and {moved / seconds:.3g} GB/s.",
        f"  At this machine's {found['gflop_per_second']:.3g} GFLOP/s (1024^3 product) and "
        f"{found['gb_per_second']:.3g} GB/s (scaling 256 MB in place) they would take "
        f"{1000 * computing:.3g} and {1000 * moving:.3g} ms:",
        f"  {'memory' if moving > computing else 'arithmetic'} is the limit.",
    ]
