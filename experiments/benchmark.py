"""How fast jaxgen is here: against eager PyTorch, at its start, and its samplers.

    python -m experiments.benchmark vae --torch-python PYTHON
    python -m experiments.benchmark start
    python -m experiments.benchmark autoregressive --torch-python PYTHON
    python -m experiments.benchmark sampling
    python -m experiments.benchmark adversarial --torch-python PYTHON
    python -m experiments.benchmark seeds
    python -m experiments.benchmark guard

`vae` trains the Bernoulli VAE 784-400-20 (batch 128, Adam) four ways in one run: eager PyTorch
with fused Adam, jaxgen's loop without and with its periodic evaluations, and the loop's bare step.
`start` takes the time from the start of `experiments.vae_digits` to the end of its first step.
`autoregressive` compares training, densities and samples of autoregressive models with PyTorch's.
`sampling` compares their fast samplers with a full forward pass for each element.
`adversarial` compares a step of DCGAN, one move of each player, with PyTorch's.
`seeds` compares ten seeds of the mode lab under `vmap` with one seed and with ten runs.
`guard` compares steps that look for NaN, as the loop's do, with steps that do not.
"""

import sys
from pathlib import Path
from typing import Any

import tyro

from experiments import (
    benchmark_adversarial,
    benchmark_autoregressive,
    benchmark_guard,
    benchmark_sampling,
    benchmark_seeds,
    benchmark_start,
    benchmark_vae,
)
from experiments.benchmark_harness import torch_python as find_torch_python
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.files import write_json
from jaxgen.memory import keep_freed_memory
from jaxgen.threads import spare_thread


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
    config = benchmark_vae.settings(rounds, block_steps, activation, smoke)
    report = benchmark_vae.measure(config, data, find_torch_python(torch_python), periodic)
    benchmark_vae.show(report)
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


def guard(
    *, rounds: int = 15, only: tuple[str, ...] = (), out: Path | None = None, smoke: bool = False
) -> None:
    """Steps that look for NaN against steps that do not.

    Args:
      rounds: turns of both.
      only: models; default all.
      out: keep the figures in this JSON file.
      smoke: two steps, to see that all runs.
    """
    _require_rounds(rounds)
    keep_freed_memory()
    report = benchmark_guard.measure(2 if smoke else rounds, only, smoke)
    print("\n".join(benchmark_guard.table(report)))
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
                "guard": guard,
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


def _require_rounds(rounds):
    if rounds < 1:
        raise ConfigError(f"--rounds {rounds}: expected at least 1")


def _save(path: Path | None, report: dict[str, Any]) -> None:
    if path is not None:
        write_json(path, report)


if __name__ == "__main__":
    sys.exit(main())
