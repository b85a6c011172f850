"""A step of DCGAN against the same networks in eager PyTorch.

The fifth command of `benchmarks`. One process of each library, which take turns. A step
is one move of the discriminator and one of the generator, on the same samples, as PyTorch's users
write it.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Worker,
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

STEPS = 2  # of a block
BATCH = 64
SIZES = {
    "64 x 64 x 3": {"shape": (64, 64, 3), "latent_dim": 100, "features": 64, "stages": 4},
    "32 x 32 x 1": {"shape": (32, 32, 1), "latent_dim": 32, "features": 16, "stages": 3},
}
TINY = {"8 x 8 x 1": {"shape": (8, 8, 1), "latent_dim": 2, "features": 2, "stages": 1}}
TARGETS = {"64 x 64 x 3": 0.9}


def measure(
    rounds: int,
    python: str | None,
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of all sizes."""
    rounds = 2 if smoke else rounds
    before = conditions()
    entries = {}
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        for name, size in (TINY if smoke else SIZES).items():
            config = size | {"batch_size": 8 if smoke else BATCH, "steps": STEPS, "share": True}
            entries[name] = compare(name, config, rounds, python, Path(folder))
            progress(name)
    return {"sizes": entries, "before": before, "after": conditions()}


def compare(
    name: str,
    config: dict[str, Any],
    rounds: int,
    python: str | None,
    folder: Path,
) -> dict[str, Any]:
    """Return the figures of one size."""
    commands = {"jaxgen": jaxgen_command("adversarial")}
    if python:
        commands["torch"] = torch_command(python, "adversarial")
    workers: list[Worker] = []
    said: dict[str, dict[str, Any]] = {}
    with closing_all(workers):
        for library, command in commands.items():
            workers.append(Worker(library, [*command, json.dumps(config)], config["steps"], folder))
            said[library] = workers[-1].ready()
        counts = {library: ready["parameters"] for library, ready in said.items()}
        if len(set(counts.values())) > 1:
            raise JaxgenError(f"DCGAN {name}: parameters differ, {counts}")
        times = take_turns(workers, rounds)
    entry = {"settings": config, "environment": said, "times": times}
    entry["rows"] = {key: row(values, config["batch_size"]) for key, values in times.items()}
    if "torch" in times:
        entry["ratio"] = ratio(times["torch"], times["jaxgen"], at_least=TARGETS.get(name))
    return entry


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    first = next(iter(found["sizes"].values()))
    environment = first["environment"]
    title = "DCGAN, one move of each player; Adam, float32"
    lines = opening(title, environment["jaxgen"], found)
    lines.append(opponent(environment.get("torch")))
    lines += ["", f"{'':16}{'batch':>6}{'parameters':>12}{'PyTorch ms':>12}{'jaxgen ms':>12}"]
    for name, entry in found["sizes"].items():
        rows = entry["rows"]
        said = entry["environment"]["jaxgen"]
        theirs = f"{rows['torch']['median_ms']:12.1f}" if "torch" in rows else f"{'-':>12}"
        line = f"{name:16}{entry['settings']['batch_size']:6}{said['parameters']:12}{theirs}"
        line += f"{rows['jaxgen']['median_ms']:12.1f}"
        if "ratio" in entry:
            ratios = entry["ratio"]
            line += f"   PyTorch / jaxgen {ratios['median']:.3g} ({quartiles(ratios)})"
            line += f"  {verdict(ratios)}"
        lines.append(line.rstrip())
    return lines
