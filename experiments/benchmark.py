"""How fast jaxgen is here: against eager PyTorch, at its start, and its samplers.

    python -m experiments.benchmark vae --torch-python PYTHON
    python -m experiments.benchmark start
    python -m experiments.benchmark autoregressive --torch-python PYTHON
    python -m experiments.benchmark sampling
    python -m experiments.benchmark adversarial --torch-python PYTHON
    python -m experiments.benchmark seeds

`vae` trains the Bernoulli VAE 784-400-20 (batch 128, Adam) four ways in one run: eager PyTorch
with fused Adam, jaxgen's loop without and with its periodic evaluations, and the loop's bare step.
`start` takes the time from the start of `experiments.vae_digits` to the end of its first step.
`autoregressive` compares training, densities and samples of autoregressive models with PyTorch's.
`sampling` compares their fast samplers with a full forward pass for each element.
`adversarial` compares a step of DCGAN, one move of each player, with PyTorch's.
`seeds` compares ten seeds of the mode lab under `vmap` with one seed and with ten runs.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments import (
    benchmark_adversarial,
    benchmark_autoregressive,
    benchmark_sampling,
    benchmark_seeds,
    benchmark_start,
)
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
from experiments.benchmark_harness import torch_python as find_torch_python
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.files import write_json
from jaxgen.memory import keep_freed_memory
from jaxgen.threads import spare_thread

LOG_EVERY = 100  # the loop's default
INTERVAL = 1000  # of evaluations, pictures and checkpoints: the loop's default
TITLES = {
    "torch": "PyTorch, eager, fused Adam",
    "loop": "jaxgen.loop",
    "periodic": f"  evaluating every {INTERVAL}",
    "bare": "  its bare step",
}


def vae(
    *,
    rounds: int = 10,
    block_steps: int = 200,
    activation: str = "tanh",
    data: Path | None = None,
    torch_python: Path | None = None,
    periodic: bool = True,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """The VAE 784-400-20 at batch 128: eager PyTorch, jaxgen's loop, and its bare step.

    Args:
      rounds: turns of every variant.
      block_steps: steps in a turn, a multiple of 100.
      activation: tanh or relu, of the hidden layers.
      data: an IDX file of 28x28 images, 80% of which are trained on; default 75000 of noise.
      torch_python: an interpreter that has PyTorch; default this one, if it has.
      periodic: also the loop that evaluates, draws and saves every 1000 steps.
      out: keep the figures in this JSON file.
      smoke: a tiny model for a few steps, to see that all runs.
    """
    config = _settings(rounds, block_steps, activation, smoke)
    before = conditions()
    with tempfile.TemporaryDirectory(prefix="jaxgen-benchmark-") as folder:
        path = _noise(Path(folder), 1000 if smoke else 75_000) if data is None else data.resolve()
        config |= {"data": str(path), "folder": folder}
        python = find_torch_python(torch_python)
        with closing_all(_workers(config, python, periodic and not smoke)) as workers:
            said = {worker.name: worker.ready() for worker in workers}
            times = take_turns(workers, config["rounds"])
    report = _report(config, times) | {"environment": said, "before": before, "after": conditions()}
    _show(report)
    _save(out, report)


def start(*, rounds: int = 5, out: Path | None = None, smoke: bool = False) -> None:
    """From the start of the process `experiments.vae_digits` to the end of its first step.

    Args:
      rounds: starts with an empty compilation cache, and as many with a filled one.
      out: keep the figures in this JSON file.
      smoke: one of each.
    """
    _require_rounds(rounds)
    report = benchmark_start.measure(1 if smoke else rounds)
    benchmark_start.show(report)
    _save(out, report)


def autoregressive(
    *,
    rounds: int = 10,
    only: tuple[str, ...] = (),
    torch_python: Path | None = None,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Autoregressive models: training, log_prob and sampling against eager PyTorch.

    Args:
      rounds: turns of both libraries, in each comparison.
      only: models to compare; default all.
      torch_python: an interpreter that has PyTorch; default this one, if it has.
      out: keep the figures in this JSON file.
      smoke: tiny models for a step or two, to see that all runs.
    """
    _require_rounds(rounds)
    python = find_torch_python(torch_python)
    report = benchmark_autoregressive.measure(rounds, python, only, smoke)
    print("\n".join(benchmark_autoregressive.table(report)))
    _save(out, report)


def adversarial(
    *,
    rounds: int = 10,
    torch_python: Path | None = None,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """A step of DCGAN against eager PyTorch.

    Args:
      rounds: turns of both libraries.
      torch_python: an interpreter that has PyTorch; default this one, if it has.
      out: keep the figures in this JSON file.
      smoke: tiny networks for two steps, to see that all runs.
    """
    _require_rounds(rounds)
    report = benchmark_adversarial.measure(rounds, find_torch_python(torch_python), smoke)
    print("\n".join(benchmark_adversarial.table(report)))
    _save(out, report)


def seeds(
    *,
    rounds: int = 5,
    num: int = 10,
    only: tuple[str, ...] = (),
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Seeds of the mode lab in one compiled step, against one seed and one after the other.

    Args:
      rounds: turns of both.
      num: how many seeds.
      only: presets; default all of the plane.
      out: keep the figures in this JSON file.
      smoke: two steps, to see that all runs.
    """
    _require_rounds(rounds)
    if num < 2:
        raise ConfigError(f"--num {num}: expected at least 2")
    report = benchmark_seeds.measure(2 if smoke else rounds, num, only, smoke)
    print("\n".join(benchmark_seeds.table(report)))
    _save(out, report)


def sampling(
    *,
    rounds: int = 5,
    positions: int = 16,
    only: tuple[str, ...] = (),
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """The fast samplers of autoregressive models, against the naive one and over sizes.

    Args:
      rounds: turns of all samplers of a model.
      positions: elements for which the naive sampler's full forward pass is timed; the rest costs
        the same.
      only: models to sample from; default all.
      out: keep the figures in this JSON file.
      smoke: tiny models of tiny examples, to see that all runs.
    """
    _require_rounds(rounds)
    if positions < 1:
        raise ConfigError(f"--positions {positions}: expected at least 1")
    keep_freed_memory()
    report = benchmark_sampling.measure(rounds, positions, only, smoke)
    print("\n".join(benchmark_sampling.table(report)))
    _save(out, report)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    spare_thread()
    try:
        tyro.extras.subcommand_cli_from_dict(
            {
                **{"vae": vae, "start": start, "autoregressive": autoregressive},
                **{"sampling": sampling, "adversarial": adversarial, "seeds": seeds},
            },
            args=argv,
            prog="python -m experiments.benchmark",
            description=__doc__,
        )
    except JaxgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted before the first round was complete", file=sys.stderr)
        return 130
    return 0


def _settings(rounds: int, block_steps: int, activation: str, smoke: bool) -> dict[str, Any]:
    """What every worker is told. Raises ConfigError."""
    if activation not in ("tanh", "relu"):
        raise ConfigError(f"--activation {activation}: choose from tanh, relu")
    if block_steps < 1 or block_steps % LOG_EVERY or rounds < 1:
        raise ConfigError(
            f"--rounds {rounds} --block-steps {block_steps}: expected at least one round of a "
            f"multiple of {LOG_EVERY} steps"
        )
    sizes = {"hidden": 400, "latent_dim": 20, "batch_size": 128}
    if smoke:
        sizes, rounds, block_steps = {"hidden": 8, "latent_dim": 2, "batch_size": 8}, 2, LOG_EVERY
    config = {"activation": activation, "log_every": LOG_EVERY, "learning_rate": 1e-3}
    return config | sizes | {"warmup_blocks": 2, "rounds": rounds, "steps": block_steps}


def _require_rounds(rounds):
    if rounds < 1:
        raise ConfigError(f"--rounds {rounds}: expected at least 1")


def _save(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        write_json(path, report)


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
        title: ratio(times[above], times[below], **(target if config["hidden"] == 400 else {}))
        for title, (above, below, target) in ratios.items()
        if above in times and below in times
    }
    rows = {name: row(values, config["batch_size"]) for name, values in times.items()}
    kept = {name: value for name, value in config.items() if name not in ("folder", "data")}
    return {"settings": kept, "rows": rows, "ratios": ratios, "times": times}


def _show(report: dict[str, Any]) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
