"""Autoregressive models against the same architectures in eager PyTorch.

The third command of `experiments.benchmark`. For each comparison one process of each library is
started and warmed up, then they take turns; both do the same from the same parameters, which is
checked: the numbers of parameters, and the logits that PyTorch computes from jaxgen's parameters.
PyTorch samples from a PixelCNN as its users do, by a full forward pass for each pixel.
"""

import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments import benchmark_models
from experiments.benchmark_harness import (
    Worker,
    chosen,
    closing_all,
    conditions,
    machine,
    quartiles,
    ratio,
    row,
    take_turns,
    verdict,
)
from jaxgen.errors import JaxgenError

TASKS = {"train": "training", "log_prob": "log_prob", "sample": "sampling"}
JAXGEN = [sys.executable, "-m", "experiments.benchmark_autoregressive_jaxgen"]
TORCH_SCRIPT = str(Path(__file__).with_name("benchmark_autoregressive_torch.py"))


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


def measure(rounds: int, python: str | None, only: tuple[str, ...], smoke: bool) -> dict[str, Any]:
    """The figures of all comparisons, or of those with the models in `only`.

    Interrupted, it returns what is complete, if anything is.
    """
    names = chosen(only, list(dict.fromkeys(c.model for c in COMPARISONS)))
    rounds = 2 if smoke else rounds
    before, entries = conditions(), []
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        try:
            for comparison in (c for c in COMPARISONS if c.model in names):
                config = settings(comparison, smoke)
                entries.append(compare(config, rounds, python, Path(folder)))
                print(f"{comparison.model}, {comparison.task}: done", file=sys.stderr, flush=True)
                if len(entries[-1]["times"]["jaxgen"]) < rounds:
                    break
        except KeyboardInterrupt:
            if not entries:
                raise
    return {"comparisons": entries, "before": before, "after": conditions()}


def settings(comparison: Comparison, smoke: bool) -> dict[str, Any]:
    """What the workers of a comparison are told."""
    tables = benchmark_models.TINY if smoke else benchmark_models.SIZES
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
    config: dict[str, Any], rounds: int, python: str | None, folder: Path
) -> dict[str, Any]:
    """The figures of one comparison. PyTorch starts when jaxgen has left its parameters."""
    config = config | {"weights": str(folder / "weights.npz") if python else None}
    torch_steps, jaxgen_steps = config["blocks"]
    pixels = math.prod(config["shape"])
    workers = []
    with closing_all(workers):
        own = json.dumps(config | {"steps": jaxgen_steps})
        workers.append(Worker("jaxgen", [*JAXGEN, own], jaxgen_steps, folder))
        said = {"jaxgen": workers[0].ready()}
        if python:
            own = json.dumps(config | {"steps": torch_steps})
            timed = torch_steps * (config["positions"] or pixels) / pixels
            workers.append(Worker("torch", [python, TORCH_SCRIPT, own], timed, folder))
            said["torch"] = workers[1].ready()
            require_same(config["model"], said)
        times = take_turns(workers, rounds)
    return report(config, said, times)


def require_same(model: str, said: dict[str, Any]) -> None:
    """Raises JaxgenError unless both workers have the same network."""
    theirs, ours = said["torch"]["parameters"], said["jaxgen"]["parameters"]
    if abs(theirs - ours) > 0.02 * ours:
        raise JaxgenError(f"{model}: {theirs} parameters in PyTorch, {ours} in jaxgen")
    if not said["torch"]["difference"] < 1e-3:
        found = said["torch"]["difference"]
        raise JaxgenError(f"{model}: PyTorch's logits differ from jaxgen's by {found:.2g} of them")


def report(
    config: dict[str, Any], said: dict[str, Any], times: dict[str, list[float]]
) -> dict[str, Any]:
    """The figures of one comparison, from milliseconds a step."""
    kept = {name: value for name, value in config.items() if name != "weights"}
    entry = {"settings": kept, "environment": said, "times": times}
    entry["rows"] = {name: row(values, config["batch_size"]) for name, values in times.items()}
    if "torch" in times:
        entry["ratio"] = ratio(times["torch"], times["jaxgen"], at_least=config["target"])
    return entry


def table(found: dict[str, Any]) -> list[str]:
    """The lines to print."""
    entries = found["comparisons"]
    said = entries[0]["environment"]
    lines = ["Autoregressive models, binary images; Adam, float32", machine(said["jaxgen"])]
    if "torch" in said:
        lines.append(
            "PyTorch {torch}, eager, on {device}, {threads} threads".format(**said["torch"])
        )
    else:
        lines.append(
            "PyTorch is left out: not found here; --torch-python names an interpreter with it"
        )
    for when in ("before", "after"):
        lines.append("{date}, load average {load_average}".format(**found[when]))
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
    """One comparison."""
    config, said, rows = entry["settings"], entry["environment"], entry["rows"]
    title = f"{benchmark_models.TITLES[config['model']]}, {TASKS[config['task']]}"
    star = "*" if config["positions"] else " "
    ours = f"{said['jaxgen']['parameters']:10}", f"{rows['jaxgen']['median_ms']:10.2f}"
    if "ratio" not in entry:
        return f"{title:26}{config['batch_size']:10}{'-':>10}{ours[0]}{'-':>10}{ours[1]}"
    theirs = f"{said['torch']['parameters']:10}", f"{rows['torch']['median_ms']:9.1f}{star}"
    counts, times = theirs[0] + ours[0], theirs[1] + ours[1]
    found = entry["ratio"]
    ratios = f"{found['median']:9.3g}{quartiles(found):>14}  {verdict(found)}"
    return f"{title:26}{config['batch_size']:10}{counts}{times}{ratios}".rstrip()


def notes(entries: list[dict[str, Any]]) -> list[str]:
    """What is extrapolated, and what limits the plain PixelCNN."""
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
    """How near a step comes to what the machine can do; [] where that was not measured."""
    found = entry["environment"]["jaxgen"].get("limits")
    if found is None:
        return []
    seconds = entry["rows"]["jaxgen"]["median_ms"] / 1000
    title = benchmark_models.TITLES[entry["settings"]["model"]]
    work, moved = found["step_gflop"], found["step_gb"]
    least = work / found["gflop_per_second"], moved / found["gb_per_second"]
    return [
        f"{title}, training: a step is {work:.3g} GFLOP and moves {moved:.3g} GB by XLA's count, "
        f"{work / seconds:.3g} GFLOP/s and {moved / seconds:.3g} GB/s.",
        f"  At this machine's {found['gflop_per_second']:.3g} GFLOP/s (1024^3 product) and "
        f"{found['gb_per_second']:.3g} GB/s (scaling 256 MB in place) they would take "
        f"{1000 * least[0]:.3g} and {1000 * least[1]:.3g} ms:",
        f"  {'memory' if least[1] > least[0] else 'arithmetic'} is the limit.",
    ]
