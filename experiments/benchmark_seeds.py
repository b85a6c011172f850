"""Seeds of the mode lab that train together, against one seed and against one after the other.

The last command of `experiments.benchmark`. One process; one seed by itself and all seeds under
`vmap` take turns, a compiled call of many steps each.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmark_harness import (
    chosen,
    conditions,
    judged,
    machine,
    quartiles,
    ratio,
    take_turns,
    verdict,
)
from experiments.mode_arms import PRESETS, experiment
from experiments.mode_worlds import Plane
from experiments.modes import advance, advance_all, fresh_states
from jaxgen.folder import environment
from jaxgen.train import TrainState

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

    def __init__(self, name: str, advance: Advance, states: TrainState, steps: int):
        self.name, self.advance, self._steps = name, advance, steps
        self._states = advance(states)
        self.first = jax.device_get(self._states.variables)

    def block(self) -> float:
        """Milliseconds per step."""
        start = time.perf_counter()
        self._states = jax.block_until_ready(self.advance(self._states))
        return 1000 * (time.perf_counter() - start) / self._steps


def measure(rounds: int, seeds: int, only: tuple[str, ...], smoke: bool) -> dict[str, Any]:
    """The figures of each preset of the plane."""
    before, entries, steps = conditions(), {}, 2 if smoke else STEPS
    in_the_plane = [name for name in PRESETS if PRESETS[name].shape == Plane.shape]
    for preset in chosen(only, in_the_plane):
        arm, ring = experiment("minimax", preset, steps), Plane.of("ring")
        alone = jax.jit(partial(advance, arm, ring, num=steps), donate_argnums=0)
        one = Seeds("1", alone, seed_of(fresh_states(arm, seeds), 0), steps)
        together = advance_all(arm, ring, steps)
        several = Seeds(str(seeds), together, fresh_states(arm, seeds), steps)
        apart = difference(several.first, alone, fresh_states(arm, seeds))
        times = take_turns([one, several], rounds)
        entries[preset] = {"times": times, "difference": apart}
        entries[preset] |= {"ratios": ratios(times, seeds, judge=not smoke)}
        print(f"{preset}: done", file=sys.stderr, flush=True)
    found = {"seeds": seeds, "presets": entries, "environment": environment()}
    return found | {"before": before, "after": conditions()}


def ratios(times: dict[str, list[float]], seeds: int, *, judge: bool) -> dict[str, Any]:
    """Together over alone, and together over one after the other."""
    alone, together = times["1"], times[str(seeds)]
    on_cpu = jax.default_backend() == "cpu"
    apart = {"at_most": BELOW_APART} if judge and on_cpu else {}
    one = {"at_most": BELOW_ONE} if judge and not on_cpu else {}
    return {
        "one seed": ratio(together, alone, **one),
        f"{seeds} runs": ratio(together, [seeds * ms for ms in alone], **apart),
    }


def difference(together: Any, alone: Advance, fresh: TrainState) -> float:
    """The largest difference of any parameter of any seed, among others and in its own run."""

    def gap(seed):
        own, among = alone(seed_of(fresh, seed)).variables, seed_of(together, seed)
        gaps = jax.tree.map(lambda x, y: np.abs(x - y).max(), among, own)
        return max(map(float, jax.tree.leaves(gaps)))

    return max(map(gap, range(len(fresh.step))))


def seed_of(tree: Any, seed: int) -> Any:
    """That seed's part of what is stacked."""
    return jax.tree.map(lambda x: x[seed], tree)


def table(found: dict[str, Any]) -> list[str]:
    """The lines to print."""
    seeds = found["seeds"]
    lines = [f"{seeds} seeds of the ring in one compiled step, the minimax game"]
    lines.append(machine(found["environment"]))
    for when in ("before", "after"):
        lines.append("{date}, load average {load_average}".format(**found[when]))
    for preset, entry in found["presets"].items():
        ms = {name: np.median(times) for name, times in entry["times"].items()}
        lines += ["", f"{preset}: one seed {ms['1']:.2f} ms a step, {seeds} {ms[str(seeds)]:.2f}"]
        for title, entry_ratio in entry["ratios"].items():
            line = f"  over {title:12}{entry_ratio['median']:6.2f} ({quartiles(entry_ratio)})"
            lines.append(f"{line}  {verdict(entry_ratio)}".rstrip())
        apart = verdict(judged(entry["difference"], at_most=SAME))
        lines.append(f"  largest difference of a parameter: {entry['difference']:.1e}  {apart}")
    return lines
