"""A step of the VAE: eager PyTorch, jaxgen's loop, and the loop's bare step.

The first command of `benchmarks`. One process of each variant, which take turns.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import (
    Worker,
    closing_all,
    conditions,
    jaxgen_command,
    opening,
    opponent,
    ratio,
    row,
    take_turns,
    torch_command,
    verdict,
)
from jaxgen.errors import ConfigError

LOG_EVERY = 100  # the loop's default
HIDDEN = 400  # units; a smoke run has fewer, and meets no target
INTERVAL = 1000  # of evaluations, pictures and checkpoints: the loop's default
TITLES = {
    "torch": "PyTorch, eager, fused Adam",
    "loop": "jaxgen.loop",
    "periodic": f"  evaluating every {INTERVAL}",
    "bare": "  its bare step",
}

RATIOS: dict[str, tuple[str, str, dict[str, float]]] = {  # title: (above, below, target)
    "PyTorch / jaxgen.loop": ("torch", "loop", {"at_least": 2.0}),
    "PyTorch / loop, evaluating": ("torch", "periodic", {}),
    "PyTorch / bare step": ("torch", "bare", {}),
    "jaxgen.loop / bare step": ("loop", "bare", {"at_most": 1.1}),
    "evaluating / not": ("periodic", "loop", {}),
}


def settings(
    rounds: int,
    block_steps: int,
    activation: str,
    smoke: bool,
) -> dict[str, Any]:
    """Return what every worker is told. Raises ConfigError."""
    if activation not in ("tanh", "relu"):
        raise ConfigError(f"--activation {activation}: choose from tanh, relu")
    if block_steps < 1 or block_steps % LOG_EVERY or rounds < 1:
        raise ConfigError(
            f"--rounds {rounds} --block-steps {block_steps}: expected at least one round of a "
            f"multiple of {LOG_EVERY} steps"
        )
    sizes = {"hidden": HIDDEN, "latent_dim": 20, "batch_size": 128}
    if smoke:
        sizes = {"hidden": 8, "latent_dim": 2, "batch_size": 8}
        rounds = 2
        block_steps = LOG_EVERY
    config = {"activation": activation, "log_every": LOG_EVERY, "learning_rate": 1e-3}
    return config | sizes | {"warmup_blocks": 2, "rounds": rounds, "steps": block_steps}


def measure(
    config: dict[str, Any],
    data: Path | None,
    python: str | None,
    periodic: bool,
) -> dict[str, Any]:
    """Return the figures of all variants."""
    before = conditions()
    smoke = config["hidden"] != HIDDEN
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        path = _noise(Path(folder), 1000 if smoke else 75_000) if data is None else data.resolve()
        config |= {"data": str(path), "folder": folder}
        with closing_all(_workers(config, python, periodic and not smoke)) as workers:
            said = {worker.name: worker.ready() for worker in workers}
            times = take_turns(workers, config["rounds"])
    return _report(config, times) | {"environment": said, "before": before, "after": conditions()}


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    config = found["settings"]
    said = found["environment"]
    model = f"{config['hidden']}-{config['latent_dim']}, {config['activation']}"
    turns = f"{len(found['times']['loop'])} rounds of {config['steps']} steps in turns"
    title = f"VAE {model}, batch {config['batch_size']}; {turns}"
    lines = opening(title, said["loop"], found)
    lines += [opponent(said.get("torch")), ""]
    lines.append(f"{'':28}{'median':>10}{'p10':>10}  ms/step{'images/s':>12}")
    for name, row_found in found["rows"].items():
        times = f"{row_found['median_ms']:10.3f}{row_found['p10_ms']:10.3f}"
        lines.append(f"{TITLES[name]:28}{times}{row_found['images_per_second']:21,.0f}")
    lines += ["", f"{'time / time, per round':28}{'median':>10}{'quartiles':>16}{'range':>16}"]
    for ratio_title, against in found["ratios"].items():
        within = f"{against['lower']:.3f}-{against['upper']:.3f}"
        ends = f"{against['low']:.3f}-{against['high']:.3f}"
        line = f"{ratio_title:28}{against['median']:10.3f}{within:>16}{ends:>16}"
        lines.append(f"{line}  {verdict(against)}".rstrip())
    return lines


def _noise(folder: Path, num: int) -> Path:
    """Write an IDX file of `num` 28x28 images; what is on them does not change the speed."""
    path = folder / "noise-idx3-ubyte"
    shape = (num, 28, 28)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path.write_bytes(np.array([0x0803, *shape], ">u4").tobytes() + pixels.tobytes())
    return path


def _workers(
    config: dict[str, Any],
    torch_python: str | None,
    periodic: bool,
) -> list[Worker]:
    """Start all variants, which warm up side by side."""
    folder = Path(config["folder"])
    variants = ["loop", "bare", "periodic"] if periodic else ["loop", "bare"]
    commands = dict.fromkeys(variants, jaxgen_command("vae"))
    if torch_python:
        commands = {"torch": torch_command(torch_python, "vae"), **commands}
    workers = []
    for name, command in commands.items():
        own = config | {"variant": name, "interval": 0}
        if name == "periodic":  # a block holds the same number of evaluations as any other
            steps = -(-config["steps"] // INTERVAL) * INTERVAL
            own |= {"interval": INTERVAL, "steps": steps}
        workers.append(Worker(name, [*command, json.dumps(own)], own["steps"], folder))
    return workers


def _report(config: dict[str, Any], times: dict[str, list[float]]) -> dict[str, Any]:
    """Return the figures of one run; a smoke run's meet no target."""
    ratios = {}
    for title, (above, below, target) in RATIOS.items():
        if above in times and below in times:
            judge = target if config["hidden"] == HIDDEN else {}
            ratios[title] = ratio(times[above], times[below], **judge)
    rows = {name: row(values, config["batch_size"]) for name, values in times.items()}
    kept = {name: value for name, value in config.items() if name not in ("folder", "data")}
    return {"settings": kept, "rows": rows, "ratios": ratios, "times": times}
