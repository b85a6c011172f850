"""The mode lab: how many modes GANs find, over many seeds at once, with error bars.

    python -m experiments.modes --data ring --arms minimax unrolled_5 --seeds 5 --steps 10000
    python -m experiments.modes --data grid --preset small

All seeds of an arm train in one compiled step, by `vmap` over their states; fresh points are drawn
from the mixture at every step. 2500 samples a seed are measured as in the PacGAN paper: modes
covered, share within three standard deviations of a centre, and the divergence of their histogram
from the uniform one. Writes modes.json, and a picture an arm over time.

Minutes and figures stand in docs/modes.md (2026-11-25: not all arms have been run), with the seeds.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.mode_arms import ARMS, PRESETS, experiment
from jaxgen import pictures, plots
from jaxgen.data.mixtures import MIXTURES, Mixture
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.evaluation.modes import Modes, measure_modes
from jaxgen.experiment import Experiment
from jaxgen.train import TrainState, train_step

NUM_SAMPLES = 2500
SNAPSHOTS = 5  # of the first seed, in a picture


@dataclass(frozen=True)
class Lab:
    """What the lab is told.

    Attributes:
      data: the mixture.
      arms: which; default all.
      preset: networks and optimisers: unrolled, pacgan or small.
      seeds: how many train at once.
      steps: default those of the preset.
      out: folder for modes.json and pictures.
    """

    data: Literal["ring", "small_ring", "grid"] = "ring"
    arms: tuple[str, ...] = field(default_factory=lambda: tuple(ARMS))
    preset: str = "unrolled"
    seeds: int = 5
    steps: int | None = None
    out: Path = Path("runs/modes")


def draw(mixture: Mixture, key: jax.Array, num: int) -> jax.Array:
    """`num` points of the mixture, [num, 2]."""
    centre_key, noise_key = jax.random.split(key)
    centres = jnp.asarray(mixture.centres)
    chosen = centres[jax.random.randint(centre_key, (num,), 0, len(centres))]
    return chosen + mixture.std * jax.random.normal(noise_key, chosen.shape)


def advance(arm: Experiment, mixture: Mixture, state: TrainState, num: int) -> TrainState:
    """`num` steps of one seed."""
    players = arm.players()

    def step(state, _):
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 1)
        batch = {"image": draw(mixture, key, arm.settings.batch_size)}
        return train_step(players, state, batch, order=arm.order)[0], None

    return jax.lax.scan(step, state, length=num)[0]


def train(arm: Experiment, mixture: Mixture, seeds: int) -> tuple[list[np.ndarray], Modes, float]:
    """All seeds of one arm at once: snapshots of the first seed, measures [seeds], seconds."""
    start, model = time.perf_counter(), arm.model
    chunk = -(-arm.settings.steps // SNAPSHOTS)
    states = jax.jit(jax.vmap(arm.fresh_state))(jax.vmap(jax.random.key)(jnp.arange(seeds)))
    many = jax.jit(jax.vmap(partial(advance, arm, mixture, num=chunk)), donate_argnums=0)
    sample = jax.jit(jax.vmap(lambda s: model.sample(s.variables, jax.random.key(1), NUM_SAMPLES)))
    seen, x = [], None
    for _ in range(SNAPSHOTS):
        states = many(states)
        x = sample(states)
        seen.append(np.asarray(x[0]))
    centres = jnp.asarray(mixture.centres)
    found = jax.vmap(lambda x: measure_modes(x, centres, mixture.std))(x)
    return seen, jax.tree.map(np.asarray, found), time.perf_counter() - start


def run(lab: Lab) -> dict[str, Any]:
    """Trains all arms, prints a line for each, and writes what it found."""
    _require(lab)
    mixture = MIXTURES[lab.data]
    steps = lab.steps or PRESETS[lab.preset].steps
    print(f"{lab.data}, preset {lab.preset}, {steps} steps, {lab.seeds} seeds: mean ± its error")
    print(f"{'':20}{'modes':>14}{'high quality':>18}{'reverse KL':>16}{'seconds':>9}", flush=True)
    arms = {}
    for name in lab.arms:
        arm = experiment(name, lab.preset, steps)
        seen, found, seconds = train(arm, mixture, lab.seeds)
        arms[name] = {key: np.asarray(value).tolist() for key, value in found._asdict().items()}
        arms[name]["seconds"] = round(seconds, 1)
        print(line(name, found, seconds), flush=True)
        chunk = -(-steps // SNAPSHOTS)
        captions = [f"{name}, step {chunk * (i + 1)}" for i in range(len(seen))]
        picture = plots.scatter(dict(zip(captions, seen, strict=True)) | {lab.data: _real(mixture)})
        pictures.save_png(lab.out / f"{lab.data}_{name}.png", picture)
    record = {"lab": {**asdict(lab), "out": str(lab.out)}, "steps": steps, "arms": arms}
    (lab.out / f"{lab.data}_modes.json").write_text(json.dumps(record, indent=1))
    return record


def line(name: str, found: Modes, seconds: float) -> str:
    """Means over seeds and their standard errors."""
    covered, quality, kl = (_mean_and_error(value) for value in found)
    return (
        f"{name:20}{covered[0]:7.1f} ±{covered[1]:5.1f}"
        f"{100 * quality[0]:9.1f} ±{100 * quality[1]:5.1f} %"
        f"{kl[0]:9.2f} ±{kl[1]:5.2f}{seconds:9.0f}"
    )


def _mean_and_error(values):
    values = np.asarray(values, np.float64)
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0


def _real(mixture):
    return np.asarray(draw(mixture, jax.random.key(0), NUM_SAMPLES))


def _require(lab):
    for name, value in (("seeds", lab.seeds), ("steps", lab.steps or 1)):
        if value < 1:
            raise ConfigError(f"--{name}: got {value}, expected >= 1")
    for arm in lab.arms:
        experiment(arm, lab.preset, 1)  # raises for a name that is not there
    lab.out.mkdir(parents=True, exist_ok=True)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    try:
        run(tyro.cli(Lab, args=argv, prog="python -m experiments.modes", description=__doc__))
    except JaxgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
