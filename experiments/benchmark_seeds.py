"""Seeds of the mode lab that train together, against one seed and against one after the other.

The last command of `experiments.benchmark`. One process; one seed by itself and all seeds under
`vmap` take turns, a compiled call of many steps each.
"""

import sys
import time
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
from experiments.modes import advance_all, fresh_states
from jaxgen.folder import environment

STEPS = 100  # of a turn; parameters are compared after the first so many
BELOW_APART = 0.5  # of the time of all seeds one after the other, at most
SAME = 1e-4  # parameters of a seed among others and by itself, after a turn
BELOW_ONE = 1.5  # times one seed, at most, on an accelerator


class Seeds:
    """Some seeds of an arm, for `take_turns`."""

    def __init__(self, preset: str, seeds: int, steps: int):
        self.name, self._steps = str(seeds), steps
        arm = experiment("minimax", preset, steps)
        self._advance = advance_all(arm, Plane.of("ring"), steps)
        self._states = self._advance(fresh_states(arm, seeds))
        self.first = jax.device_get(self._states.variables)

    def block(self) -> float:
        """Milliseconds per step of all its seeds."""
        start = time.perf_counter()
        self._states = jax.block_until_ready(self._advance(self._states))
        return 1000 * (time.perf_counter() - start) / self._steps

    def after_a_block(self, state: Any) -> Any:
        """The variables that another state of as many seeds then has."""
        return self._advance(state).variables


def measure(rounds: int, seeds: int, only: tuple[str, ...], smoke: bool) -> dict[str, Any]:
    """The figures of each preset of the plane."""
    before, entries, steps = conditions(), {}, 2 if smoke else STEPS
    in_the_plane = [name for name in PRESETS if PRESETS[name].shape == Plane.shape]
    for preset in chosen(only, in_the_plane):
        one, several = Seeds(preset, 1, steps), Seeds(preset, seeds, steps)
        apart = difference(one, several, fresh_states(experiment("minimax", preset, steps), seeds))
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


def difference(one: Seeds, several: Seeds, fresh: Any) -> float:
    """The largest difference of any parameter of any seed, together and by itself."""

    def gap(seed):
        alone, among = one.after_a_block(one_of(fresh, seed)), one_of(several.first, seed)
        gaps = jax.tree.map(lambda x, y: np.abs(x - y).max(), among, alone)
        return max(map(float, jax.tree.leaves(gaps)))

    return max(map(gap, range(int(several.name))))


def one_of(tree: Any, seed: int) -> Any:
    """That seed's part of stacked states."""
    return jax.tree.map(lambda x: x[seed : seed + 1], tree)


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
