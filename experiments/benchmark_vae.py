"""A step of the VAE: eager PyTorch, jaxgen's loop, and the loop's bare step.

The first command of `experiments.benchmark`. One process of each variant, which take turns.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark_harness import (
    Worker,
    closing_all,
    conditions,
    machine,
    ratio,
    row,
    take_turns,
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


def settings(rounds: int, block_steps: int, activation: str, smoke: bool) -> dict[str, Any]:
    """What every worker is told. Raises ConfigError."""
    if activation not in ("tanh", "relu"):
        raise ConfigError(f"--activation {activation}: choose from tanh, relu")
    if block_steps < 1 or block_steps % LOG_EVERY or rounds < 1:
        raise ConfigError(
            f"--rounds {rounds} --block-steps {block_steps}: expected at least one round of a "
            f"multiple of {LOG_EVERY} steps"
        )
    sizes = {"hidden": HIDDEN, "latent_dim": 20, "batch_size": 128}
    if smoke:
        sizes, rounds, block_steps = {"hidden": 8, "latent_dim": 2, "batch_size": 8}, 2, LOG_EVERY
    config = {"activation": activation, "log_every": LOG_EVERY, "learning_rate": 1e-3}
    return config | sizes | {"warmup_blocks": 2, "rounds": rounds, "steps": block_steps}


def measure(
    config: dict[str, Any], data: Path | None, python: str | None, periodic: bool
) -> dict[str, Any]:
    """The figures of all variants."""
    before, smoke = conditions(), config["hidden"] != HIDDEN
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        path = _noise(Path(folder), 1000 if smoke else 75_000) if data is None else data.resolve()
        config |= {"data": str(path), "folder": folder}
        with closing_all(_workers(config, python, periodic and not smoke)) as workers:
            said = {worker.name: worker.ready() for worker in workers}
            times = take_turns(workers, config["rounds"])
    return _report(config, times) | {"environment": said, "before": before, "after": conditions()}


def show(report: dict[str, Any]) -> None:
    """Prints the table."""
    config, said = report["settings"], report["environment"]
    model = f"{config['hidden']}-{config['latent_dim']}, {config['activation']}"
    turns = f"{len(report['times']['loop'])} rounds of {config['steps']} steps in turns"
    print(f"VAE {model}, batch {config['batch_size']}; {turns}")
    print(machine(said["loop"]))
    if "torch" in said:
        print("PyTorch {torch} on {device}, {threads} threads".format(**said["torch"]))
    else:
        print("PyTorch is left out: not found here; --torch-python names an interpreter with it")
    for when in ("before", "after"):
        print("{date}, load average {load_average}".format(**report[when]))
    print(f"\n{'':28}{'median':>10}{'p10':>10}  ms/step{'images/s':>12}")
    for name, found in report["rows"].items():
        times = f"{found['median_ms']:10.3f}{found['p10_ms']:10.3f}"
        print(f"{TITLES[name]:28}{times}{found['images_per_second']:21,.0f}")
    print(f"\n{'time / time, per round':28}{'median':>10}{'quartiles':>16}{'range':>16}")
    for title, found in report["ratios"].items():
        quartiles = f"{found['lower']:.3f}-{found['upper']:.3f}"
        ends = f"{found['low']:.3f}-{found['high']:.3f}"
        print(f"{title:28}{found['median']:10.3f}{quartiles:>16}{ends:>16}  {verdict(found)}")


def _noise(folder: Path, num: int) -> Path:
    """An IDX file of `num` 28x28 images; what is on them does not change the speed."""
    path, shape = folder / "noise-idx3-ubyte", (num, 28, 28)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path.write_bytes(np.array([0x0803, *shape], ">u4").tobytes() + pixels.tobytes())
    return path


def _workers(config: dict[str, Any], torch_python: str | None, periodic: bool) -> list[Worker]:
    """All variants, started; they warm up side by side."""
    folder, jaxgen = Path(config["folder"]), [sys.executable, "-m", "experiments.benchmark_jaxgen"]
    commands = dict.fromkeys(("loop", "bare", *(["periodic"] if periodic else [])), jaxgen)
    if torch_python:
        script = Path(__file__).with_name("benchmark_torch.py")
        commands = {"torch": [torch_python, str(script)], **commands}
    workers = []
    for name, command in commands.items():
        own = config | {"variant": name, "interval": 0}
        if name == "periodic":  # a block holds the same number of evaluations as any other
            steps = -(-config["steps"] // INTERVAL) * INTERVAL
            own |= {"interval": INTERVAL, "steps": steps}
        workers.append(Worker(name, [*command, json.dumps(own)], own["steps"], folder))
    return workers


def _report(config: dict[str, Any], times: dict[str, list[float]]) -> dict[str, Any]:
    """The figures of one run; a smoke run's meet no target."""
    ratios = {
        "PyTorch / jaxgen.loop": ("torch", "loop", {"at_least": 2.0}),
        "PyTorch / loop, evaluating": ("torch", "periodic", {}),
        "PyTorch / bare step": ("torch", "bare", {}),
        "jaxgen.loop / bare step": ("loop", "bare", {"at_most": 1.1}),
        "evaluating / not": ("periodic", "loop", {}),
    }
    ratios = {
        title: ratio(times[above], times[below], **(target if config["hidden"] == HIDDEN else {}))
        for title, (above, below, target) in ratios.items()
        if above in times and below in times
    }
    rows = {name: row(values, config["batch_size"]) for name, values in times.items()}
    kept = {name: value for name, value in config.items() if name not in ("folder", "data")}
    return {"settings": kept, "rows": rows, "ratios": ratios, "times": times}
