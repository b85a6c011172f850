"""A step of DCGAN against the same networks in eager PyTorch.

The fifth command of `experiments.benchmark`. One process of each library, which take turns. A step
is one move of the discriminator and one of the generator, on the same samples, as PyTorch's users
write it.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.benchmark_harness import (
    Worker,
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

JAXGEN = [sys.executable, "-m", "experiments.benchmark_adversarial_jaxgen"]
TORCH_SCRIPT = str(Path(__file__).with_name("benchmark_adversarial_torch.py"))
STEPS, BATCH = 2, 64
SIZES = {
    "64 x 64 x 3": {"shape": (64, 64, 3), "latent_dim": 100, "features": 64, "stages": 4},
    "32 x 32 x 1": {"shape": (32, 32, 1), "latent_dim": 32, "features": 16, "stages": 3},
}
TINY = {"8 x 8 x 1": {"shape": (8, 8, 1), "latent_dim": 2, "features": 2, "stages": 1}}
TARGETS = {"64 x 64 x 3": 0.9}


def measure(rounds: int, python: str | None, smoke: bool) -> dict[str, Any]:
    """The figures of all sizes."""
    rounds, before, entries = 2 if smoke else rounds, conditions(), {}
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        for name, size in (TINY if smoke else SIZES).items():
            config = size | {"batch_size": 8 if smoke else BATCH, "steps": STEPS, "share": True}
            entries[name] = compare(name, config, rounds, python, Path(folder))
            print(f"{name}: done", file=sys.stderr, flush=True)
    return {"sizes": entries, "before": before, "after": conditions()}


def compare(
    name: str, config: dict[str, Any], rounds: int, python: str | None, folder: Path
) -> dict[str, Any]:
    """The figures of one size."""
    commands = {"jaxgen": [*JAXGEN, json.dumps(config)]}
    if python:
        commands["torch"] = [python, TORCH_SCRIPT, json.dumps(config)]
    workers, said = [], {}
    with closing_all(workers):
        for library, command in commands.items():
            workers.append(Worker(library, command, config["steps"], folder))
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
    """The lines to print."""
    first = next(iter(found["sizes"].values()))
    lines = ["DCGAN, one move of each player; Adam, float32"]
    lines.append(machine(first["environment"]["jaxgen"]))
    for when in ("before", "after"):
        lines.append("{date}, load average {load_average}".format(**found[when]))
    lines += ["", f"{'':16}{'batch':>6}{'parameters':>12}{'PyTorch ms':>12}{'jaxgen ms':>12}"]
    for name, entry in found["sizes"].items():
        rows, said = entry["rows"], entry["environment"]["jaxgen"]
        theirs = f"{rows['torch']['median_ms']:12.1f}" if "torch" in rows else f"{'-':>12}"
        line = f"{name:16}{entry['settings']['batch_size']:6}{said['parameters']:12}{theirs}"
        line += f"{rows['jaxgen']['median_ms']:12.1f}"
        if "ratio" in entry:
            ratios = entry["ratio"]
            line += f"   PyTorch / jaxgen {ratios['median']:.3g} ({quartiles(ratios)})"
            line += f"  {verdict(ratios)}"
        lines.append(line.rstrip())
    if "torch" not in first["environment"]:
        lines.append("PyTorch is left out; --torch-python names an interpreter with it")
    return lines
