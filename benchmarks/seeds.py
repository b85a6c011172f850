"""Seeds of the mode lab that train together, against one seed and against one after the other.

One process; one seed by itself and all seeds under
`vmap` take turns, a compiled call of many steps each.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.harness import (
    chosen,
    conditions,
    judged,
    opening,
    progress,
    quartiles,
    ratio,
    take_turns,
    verdict,
)
from experiments.studies.modes.arms import PRESETS, experiment
from experiments.studies.modes.lab import advance, advance_all, fresh_states
from experiments.studies.modes.worlds import Plane
from jaxgen.runs.folder import environment
from jaxgen.step import TrainState

Advance = Callable[[TrainState], TrainState]

STEPS = 100  # of a turn; parameters are compared after the first so many
BELOW_APART = 0.5  # of the time of all seeds one after the other, at most
SAME = 1e-4  # parameters of a seed among others and in its own run, after a turn, at most
BELOW_ONE = 1.5  # times one seed, at most, on an accelerator


class Seeds:
    """The seeds of an arm that start as `states`, for `take_turns`.

    Args:
      name: of the variant.
      advance: one seed's, or under `vmap` all seeds', compiled.
      states: where it begins; donated.
      steps: of a call.
    """

    def __init__(
        self,
        name: str,
        advance: Advance,
        states: TrainState,
        steps: int,
    ):
        self.name = name
        self.advance = advance
        self._steps = steps
        self._states = advance(states)
        self.first = jax.device_get(self._states.variables)

    def block(self) -> float:
        """Take the steps of a turn and return their milliseconds per step."""
        start = time.perf_counter()
        self._states = jax.block_until_ready(self.advance(self._states))
        return 1000 * (time.perf_counter() - start) / self._steps


def measure(
    rounds: int,
    seeds: int,
    only: tuple[str, ...],
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of each preset of the plane."""
    before = conditions()
    entries: dict[str, Any] = {}
    steps = 2 if smoke else STEPS
    in_the_plane = [name for name in PRESETS if PRESETS[name].shape == Plane.shape]
    for preset in chosen(only, in_the_plane):
        arm = experiment("minimax", preset, steps)
        ring = Plane.of("ring")
        alone = jax.jit(partial(advance, arm, ring, num=steps), donate_argnums=0)
        one = Seeds("1", alone, seed_of(fresh_states(arm, seeds), 0), steps)
        together = advance_all(arm, ring, steps)
        several = Seeds(str(seeds), together, fresh_states(arm, seeds), steps)
        apart = difference(several.first, alone, fresh_states(arm, seeds))
        times = take_turns([one, several], rounds)
        entries[preset] = {"times": times, "difference": apart}
        entries[preset] |= {"ratios": ratios(times, seeds, judge=not smoke)}
        progress(preset)
    found = {"seeds": seeds, "presets": entries, "environment": environment()}
    return found | {"before": before, "after": conditions()}


def ratios(
    times: dict[str, list[float]],
    seeds: int,
    *,
    judge: bool,
) -> dict[str, Any]:
    """Return the time of all together over one alone, and over one after the other."""
    alone = times["1"]
    together = times[str(seeds)]
    on_cpu = jax.default_backend() == "cpu"
    apart = {"at_most": BELOW_APART} if judge and on_cpu else {}
    one = {"at_most": BELOW_ONE} if judge and not on_cpu else {}
    return {
        "one seed": ratio(together, alone, **one),
        f"{seeds} runs": ratio(together, [seeds * ms for ms in alone], **apart),
    }


def difference(
    together: Any,
    alone: Advance,
    fresh: TrainState,
) -> float:
    """Return the largest difference of a parameter of a seed among others and in its own run."""

    def gap(seed: int) -> float:
        own = alone(seed_of(fresh, seed)).variables
        among = seed_of(together, seed)
        gaps = jax.tree.map(lambda x, y: np.abs(x - y).max(), among, own)
        return max(map(float, jax.tree.leaves(gaps)))

    return max(map(gap, range(len(fresh.step))))


def seed_of(tree: Any, seed: int) -> Any:
    """Return that seed's part of what is stacked."""
    return jax.tree.map(lambda x: x[seed], tree)


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    seeds = found["seeds"]
    title = f"{seeds} seeds of the ring in one compiled step, the minimax game"
    lines = opening(title, found["environment"], found)
    for preset, entry in found["presets"].items():
        ms = {name: np.median(times) for name, times in entry["times"].items()}
        lines += ["", f"{preset}: one seed {ms['1']:.2f} ms a step, {seeds} {ms[str(seeds)]:.2f}"]
        for title, entry_ratio in entry["ratios"].items():
            line = f"  over {title:12}{entry_ratio['median']:6.2f} ({quartiles(entry_ratio)})"
            lines.append(f"{line}  {verdict(entry_ratio)}".rstrip())
        apart = verdict(judged(entry["difference"], at_most=SAME))
        lines.append(f"  largest difference of a parameter: {entry['difference']:.1e}  {apart}")
    return lines
