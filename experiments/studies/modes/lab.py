"""The mode lab: how many modes GANs find, over many seeds at once, with error bars.

    python -m experiments.studies.modes --arms minimax unrolled_5 --seeds 5 --steps 10000
    python -m experiments.studies.modes --data grid --preset small
    python -m experiments.studies.modes --data stacked_digits --steps 5000

All seeds of an arm train in one compiled step, by `vmap` over their states; fresh examples are
drawn at every step. Samples are measured as in the PacGAN paper: modes covered, in the plane the
share within three standard deviations of a centre, and the divergence of their histogram over modes
from the uniform one. The first line is of exact samples. Writes a JSON file, and for each arm a
picture of its first seed over time.

Minutes and figures, with their seeds, stand in docs/modes.md.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.experiment import Experiment
from jaxgen.figures import images
from jaxgen.files import write_json
from jaxgen.loop.host import spare_thread
from jaxgen.step import TrainState, train_step
from jaxgen.typing import Array

from .arms import ARMS, PRESETS, experiment
from .worlds import PRESET_OF, WORLDS, World

SNAPSHOTS = 5  # of the first seed, in a picture
BATCH = 500  # samples are drawn in such batches
COLUMNS = {  # of the table: (title, what a value is multiplied by, decimals)
    "covered": ("modes", 1, 1),
    "high_quality": ("high quality %", 100, 1),
    "reverse_kl": ("reverse KL", 1, 3),
}


@dataclass(frozen=True)
class Lab:
    """The settings of the lab.

    Attributes:
      data: what is drawn from.
      arms: which; default all.
      preset: networks and optimisers: unrolled, pacgan, small or stacked; default that of the data.
      seeds: how many train at once.
      steps: default those of the preset.
      out: folder for the JSON file and the pictures.
    """

    data: Literal["ring", "small_ring", "grid", "stacked_digits"] = "ring"
    arms: tuple[str, ...] = field(default_factory=lambda: tuple(ARMS))
    preset: str | None = None
    seeds: int = 5
    steps: int | None = None
    out: Path = Path("runs/modes")


def advance(arm: Experiment, world: World, state: TrainState, num: int) -> TrainState:
    """Take `num` steps of one seed."""
    players = arm.players()

    def step(state: TrainState, _: None) -> tuple[TrainState, None]:
        step_key = jax.random.fold_in(state.key, state.step)
        data_key = jax.random.fold_in(step_key, 1)
        batch = {"image": world.draw(data_key, arm.settings.batch_size)}
        after, _metrics = train_step(players, state, batch, order=arm.order)
        return after, None

    state, _ = jax.lax.scan(step, state, length=num)
    return state


def fresh_states(arm: Experiment, seeds: int) -> TrainState:
    """Return the states of seeds 0 .. seeds - 1, stacked."""
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    return jax.jit(jax.vmap(arm.fresh_state))(keys)


def advance_all(arm: Experiment, world: World, num: int) -> Callable[[TrainState], TrainState]:
    """Return what takes all seeds `num` steps on, compiled."""
    return jax.jit(jax.vmap(partial(advance, arm, world, num=num)), donate_argnums=0)


def measured(arm: Experiment, world: World, state: TrainState) -> dict[str, Array]:
    """Return the numbers of one seed."""
    keys = jax.random.split(jax.random.key(1), world.num_samples // BATCH)
    x = jax.lax.map(lambda key: arm.model.sample(state.variables, key, BATCH), keys)
    return world.measure(x.reshape(-1, *world.shape))


def snapshot(arm: Experiment, world: World, states: TrainState) -> jax.Array:
    """Return samples of the first seed."""
    variables = jax.tree.map(lambda x: x[0], states.variables)
    return arm.model.sample(variables, jax.random.key(1), world.shown)


def train(
    arm: Experiment, world: World, seeds: int
) -> tuple[list[np.ndarray], dict[str, np.ndarray], float]:
    """Train all seeds of one arm at once.

    Returns:
      Snapshots of the first seed, measures [seeds], seconds.
    """
    start = time.perf_counter()
    seen = []
    states = fresh_states(arm, seeds)
    many = advance_all(arm, world, arm.settings.steps // SNAPSHOTS)
    look = jax.jit(partial(snapshot, arm, world))
    for _ in range(SNAPSHOTS):
        states = many(states)
        seen.append(np.asarray(look(states)))
    measure = partial(jax.lax.map, partial(measured, arm, world))
    found = jax.tree.map(np.asarray, jax.jit(measure)(states))
    return seen, found, time.perf_counter() - start


def run(lab: Lab) -> dict[str, Any]:
    """Train all arms, print a line for each, and write what was found."""
    world, preset, steps = _require(lab)
    print(f"{lab.data}, preset {preset}, {steps} steps, {lab.seeds} seeds: mean ± its error")
    measures = world.measure(world.draw(jax.random.key(0), world.num_samples))
    exact = {key: np.asarray(value)[None] for key, value in measures.items()}
    titles = "".join(f"{COLUMNS[key][0]:>18}" for key in exact)
    print(f"{'':20}{titles}{'seconds':>9}\n{line('exact samples', exact)}", flush=True)
    arms = {}
    for name in lab.arms:
        arm = experiment(name, preset, steps)
        seen, found, seconds = train(arm, world, lab.seeds)
        print(line(name, found) + f"{seconds:9.0f}", flush=True)
        arms[name] = {key: value.tolist() for key, value in found.items()}
        arms[name]["seconds"] = round(seconds, 1)
        captions = [f"{name}, step {steps // SNAPSHOTS * (i + 1)}" for i in range(len(seen))]
        picture = world.picture(dict(zip(captions, seen, strict=True)))
        images.save_png(lab.out / f"{lab.data}_{name}.png", picture)
    told = {**asdict(lab), "preset": preset, "steps": steps, "out": str(lab.out)}
    record = {
        "lab": told,
        "counted by": world.counted_by,
        "exact": {key: value.tolist() for key, value in exact.items()},
        "arms": arms,
    }
    write_json(lab.out / f"{lab.data}_modes.json", record)
    return record


def line(name: str, found: dict[str, np.ndarray]) -> str:
    """Return means over seeds, and their standard errors where there is more than one."""
    cells = []
    for key, values in found.items():
        _, factor, decimals = COLUMNS[key]
        values = factor * np.asarray(values, np.float64)
        cell = f"{values.mean():.{decimals}f}"
        if len(values) > 1:
            cell += f" ± {values.std(ddof=1) / np.sqrt(len(values)):.{decimals}f}"
        cells.append(f"{cell:>18}")
    return f"{name:20}" + "".join(cells)


def _require(lab: Lab) -> tuple[World, str, int]:
    """Return the world, the preset and the steps. Raises ConfigError."""
    if lab.seeds < 1:
        raise ConfigError(f"--seeds: got {lab.seeds}, expected >= 1")
    if lab.steps is not None and (lab.steps < 1 or lab.steps % SNAPSHOTS):
        raise ConfigError(f"--steps: got {lab.steps}, expected a multiple of {SNAPSHOTS}")
    world = WORLDS[lab.data]
    preset = lab.preset or PRESET_OF[lab.data]
    for arm in lab.arms:
        shape = experiment(arm, preset, 1).model.shape  # raises for a name that is not there
        if shape != world.shape:
            raise ConfigError(
                f"--preset {preset}: for examples {list(shape)}, those of {lab.data} are "
                f"{list(world.shape)}"
            )
    lab.out.mkdir(parents=True, exist_ok=True)
    return world.of(lab.data), preset, lab.steps or PRESETS[preset].steps


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    spare_thread()
    try:
        run(
            tyro.cli(
                Lab, args=argv, prog="python -m experiments.studies.modes", description=__doc__
            )
        )
    except JaxgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
