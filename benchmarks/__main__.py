"""The speed of jaxgen on this machine: against eager PyTorch, at its start, and its samplers.

    python -m benchmarks vae --torch-python PYTHON
    python -m benchmarks start
    python -m benchmarks autoregressive --torch-python PYTHON
    python -m benchmarks sampling
    python -m benchmarks adversarial --torch-python PYTHON
    python -m benchmarks seeds
    python -m benchmarks guard

`vae` trains the Bernoulli VAE 784-400-20 (batch 128, Adam) four ways in one run: eager PyTorch
with fused Adam, jaxgen's loop without and with its periodic evaluations, and the loop's bare step.
`start` takes the time from the start of `jaxgen train vae_digits` to the end of its first step.
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

from benchmarks import adversarial as adversarial_table
from benchmarks import autoregressive as autoregressive_table
from benchmarks import guard as guard_table
from benchmarks import sampling as samplers
from benchmarks import sampling_table
from benchmarks import seeds as seeds_table
from benchmarks import start as start_table
from benchmarks import vae as vae_table
from benchmarks.harness import torch_python as find_torch_python
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.files import write_json
from jaxgen.loop.host import keep_freed_memory, spare_thread


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
    """Compare the VAE 784-400-20 at batch 128: eager PyTorch, jaxgen's loop, and its bare step.

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
    config = vae_table.settings(rounds, block_steps, activation, smoke)
    report = vae_table.measure(config, data, find_torch_python(torch_python), periodic)
    _publish(vae_table.table(report), report, out)


def start(
    *,
    rounds: int = 5,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Time a start, from that of `jaxgen train vae_digits` to the end of its first step.

    Args:
      rounds: starts with an empty compilation cache, and as many with a filled one.
      out: keep the figures in this JSON file.
      smoke: one of each.
    """
    _require_rounds(rounds)
    report = start_table.measure(1 if smoke else rounds)
    _publish(start_table.table(report), report, out)


def autoregressive(
    *,
    rounds: int = 10,
    only: tuple[str, ...] = (),
    torch_python: Path | None = None,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Compare autoregressive models, training, log_prob and sampling, with eager PyTorch.

    Args:
      rounds: turns of both libraries, in each comparison.
      only: models to compare; default all.
      torch_python: an interpreter that has PyTorch; default this one, if it has.
      out: keep the figures in this JSON file.
      smoke: tiny models for a step or two, to see that all runs.
    """
    _require_rounds(rounds)
    python = find_torch_python(torch_python)
    report = autoregressive_table.measure(rounds, python, only, smoke)
    _publish(autoregressive_table.table(report), report, out)


def adversarial(
    *,
    rounds: int = 10,
    torch_python: Path | None = None,
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Compare a step of DCGAN with eager PyTorch.

    Args:
      rounds: turns of both libraries.
      torch_python: an interpreter that has PyTorch; default this one, if it has.
      out: keep the figures in this JSON file.
      smoke: tiny networks for two steps, to see that all runs.
    """
    _require_rounds(rounds)
    report = adversarial_table.measure(rounds, find_torch_python(torch_python), smoke)
    _publish(adversarial_table.table(report), report, out)


def seeds(
    *,
    rounds: int = 5,
    num: int = 10,
    only: tuple[str, ...] = (),
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Compare seeds of the mode lab in one compiled step with one seed and one after the other.

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
    report = seeds_table.measure(2 if smoke else rounds, num, only, smoke)
    _publish(seeds_table.table(report), report, out)


def guard(
    *,
    rounds: int = 15,
    only: tuple[str, ...] = (),
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Compare steps that look for NaN with steps that do not.

    Args:
      rounds: turns of both.
      only: models; default all.
      out: keep the figures in this JSON file.
      smoke: two steps, to see that all runs.
    """
    _require_rounds(rounds)
    keep_freed_memory()
    report = guard_table.measure(2 if smoke else rounds, only, smoke)
    _publish(guard_table.table(report), report, out)


def sampling(
    *,
    rounds: int = 5,
    positions: int = 16,
    only: tuple[str, ...] = (),
    out: Path | None = None,
    smoke: bool = False,
) -> None:
    """Compare the fast samplers of autoregressive models with the naive one, and over sizes.

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
    report = samplers.measure(rounds, positions, only, smoke)
    _publish(sampling_table.table(report), report, out)


COMMANDS = (vae, start, autoregressive, sampling, adversarial, seeds, guard)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    spare_thread()
    try:
        tyro.extras.subcommand_cli_from_dict(
            {command.__name__: command for command in COMMANDS},
            args=argv,
            prog="python -m benchmarks",
            description=__doc__,
        )
    except JaxgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted before the first round was complete", file=sys.stderr)
        return 130
    return 0


def _require_rounds(rounds: int) -> None:
    if rounds < 1:
        raise ConfigError(f"--rounds {rounds}: expected at least 1")


def _publish(
    lines: list[str],
    report: dict[str, Any],
    out: Path | None,
) -> None:
    """Print the table, and keep the figures where that was asked for."""
    print("\n".join(lines))
    if out is not None:
        write_json(out, report)


if __name__ == "__main__":
    sys.exit(main())
