"""The fast samplers of autoregressive models, each against the naive one, and over sizes.

All samplers of a model are compiled, warmed up, and take turns in one process. The naive sampler
makes a full forward pass for each element (`chain_rule.naive`), so that a part of its elements
tells what all of them take; that of NADE computes the hidden activations of each element from
scratch, O(D^2 H), and is timed whole.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import models
from benchmarks.harness import chosen, conditions, progress, ratio, take_turns
from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.base import drawing
from jaxgen.runs.folder import environment

NUM = 16  # samples at once
SIDES = (8, 16, 28, 32)
TARGETS = {"nade": 50.0, "nade_relu": 50.0, "pixel_cnn": 80.0, "gated_pixel_cnn": 80.0}
GROWTH = 1.3  # at most: time per element of the largest size over that of the smallest
BY_FIXED_POINT = ("pixel_cnn_pp", "made")
OVER_ALL = ("made",)  # each conditional has weights for every element: it must grow
LEAST_SECONDS = 0.05  # of a block


class Timed:
    """A compiled sampler, for `take_turns`.

    Args:
      name: of the sampler.
      draw: (variables, key) -> samples.
      variables: of the model.
      share: of the elements that are drawn.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[..., Any],
        variables: Any,
        share: float = 1.0,
    ):
        self.name = name
        self._draw = jax.jit(draw)
        self._variables = variables
        self._share = share
        self._drawn = 0
        self._calls = 1
        self.block()  # compiles
        self._calls = math.ceil(max(1.0, LEAST_SECONDS / self._seconds()))

    def block(self) -> float:
        """Draw, and return the milliseconds per batch of samples."""
        return 1000 * self._seconds() / self._calls / self._share

    def _seconds(self) -> float:
        start = time.perf_counter()
        for _ in range(self._calls):
            self._drawn += 1
            x = self._draw(self._variables, jax.random.key(self._drawn))
        jax.block_until_ready(x)
        return time.perf_counter() - start


@dataclass(frozen=True)
class SomeElements:
    """A model of which the naive sampler draws some elements alone, evenly spread."""

    model: Any
    positions: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.model.shape

    @property
    def order(self) -> np.ndarray:
        """The elements that are drawn."""
        order = self.model.order
        return order[np.linspace(0, len(order) - 1, self.positions).astype(int)]

    def conditionals(
        self,
        variables: Any,
        x: jax.Array,
    ) -> jax.Array:
        """Make a full forward pass."""
        return self.model.conditionals(variables, x)


@dataclass(frozen=True)
class Counted:
    """A model that counts its forward passes."""

    model: Any
    passes: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.model.shape

    def conditionals(
        self,
        variables: Any,
        x: jax.Array,
    ) -> jax.Array:
        """Make a full forward pass."""
        jax.debug.callback(lambda: self.passes.append(1))
        return self.model.conditionals(variables, x)


def naive(
    model: Any,
    variables: Any,
    key: jax.Array,
    positions: int,
) -> jax.Array:
    """Sample by a full forward pass for each of so many elements."""
    choose = drawing(model.observation, key)
    return chain_rule.naive(SomeElements(model, positions), variables, choose, NUM)


def direct_nade(
    model: Any,
    variables: Any,
    key: jax.Array,
) -> jax.Array:
    """Sample with the hidden activations of each element anew, from all before it: O(D^2 H)."""
    params = variables["nade"]["params"]
    choose = drawing(model.observation, key)
    unit = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[model.activation]

    def draw(x: jax.Array, site: jax.Array) -> tuple[jax.Array, None]:
        hidden = unit(params["c"][None] + x @ params["W"].T)  # later elements are zero
        logits = hidden @ params["V"][site] + params["b"][site]
        return x.at[:, site].set(choose(site, logits[:, None])), None

    x, _ = jax.lax.scan(draw, jnp.zeros((NUM, math.prod(model.shape))), jnp.asarray(model.order))
    return x.reshape(NUM, *model.shape)


def jacobi(
    model: Any,
    variables: Any,
    key: jax.Array,
) -> jax.Array:
    """Sample by the fixed point of all elements at once."""
    return chain_rule.jacobi(model, variables, drawing(model.observation, key), NUM)


def count_passes(model: Any, variables: Any) -> int:
    """Return the forward passes of one batch by `jacobi`."""
    passes: list[int] = []
    choose = drawing(model.observation, jax.random.key(1))
    counted = Counted(model, passes)
    draw = jax.jit(lambda v: chain_rule.jacobi(counted, v, choose, NUM))
    jax.block_until_ready(draw(variables))
    jax.effects_barrier()
    return len(passes)


def measure(
    rounds: int,
    positions: int,
    only: tuple[str, ...],
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of all models, or of those in `only`.

    Interrupted, it returns what is complete, if anything is.
    """
    names = chosen(only, list(models.SIZES))
    rounds = 2 if smoke else rounds
    before = conditions()
    entries: dict[str, Any] = {}
    try:
        for name in names:
            entries[name] = sample(name, rounds, positions, smoke)
            progress(name)
            if len(entries[name]["times"]["naive"]) < rounds:
                break
    except KeyboardInterrupt:
        if not entries:
            raise
    return {
        "models": entries,
        "environment": environment(),
        "before": before,
        "after": conditions(),
    }


def sample(
    name: str,
    rounds: int,
    positions: int,
    smoke: bool,
) -> dict[str, Any]:
    """Return the figures of one model; a smoke run's meet no target."""
    sizes = (models.TINY if smoke else models.SIZES)[name]
    sides = (2, 4) if smoke else SIDES
    main = 4 if smoke else 28
    samplers = []
    for side in sides:
        model, variables = fresh(name, side, sizes)
        samplers.append(Timed(str(side), partial(_fast, model), variables))
    model, variables = fresh(name, main, sizes)
    dim = math.prod(model.shape)
    entry = {"side": main, "dim": dim, "timed": min(positions, dim)}
    draw = partial(naive, model, positions=entry["timed"])
    samplers.append(Timed("naive", draw, variables, entry["timed"] / dim))
    if name.startswith("nade"):
        samplers.append(Timed("direct", partial(direct_nade, model), variables))
    if name in BY_FIXED_POINT:
        samplers.append(Timed("jacobi", partial(jacobi, model), variables))
        entry["passes"] = count_passes(model, variables)
    times = take_turns(samplers, rounds)
    return entry | {"times": times, "ratios": ratios(name, main, sides, times, judge=not smoke)}


def fresh(
    name: str,
    side: int,
    sizes: dict[str, Any],
) -> tuple[Any, Any]:
    """Return the model on examples of side x side, and untrained parameters."""
    model = models.build(name, (side, side, 1), sizes)
    return model, jax.jit(model.init)(jax.random.key(0))


def ratios(
    name: str,
    main: int,
    sides: tuple[int, ...],
    times: dict[str, list[float]],
    *,
    judge: bool,
) -> dict[str, Any]:
    """Return the other samplers over the fast one, and the largest size over the smallest."""
    others = [other for other in ("direct", "naive", "jacobi") if other in times]
    judged = next(iter(others)) if judge else None  # NADE by its direct form
    found = {
        other: ratio(
            times[other],
            times[str(main)],
            at_least=TARGETS.get(name) if other == judged else None,
        )
        for other in others
    }
    ends = [[ms / side**2 for ms in times[str(side)]] for side in (sides[-1], sides[0])]
    limit = GROWTH if judge and name not in OVER_ALL else None
    return found | {"growth": ratio(*ends, at_most=limit)}


def _fast(
    model: Any,
    variables: Any,
    key: jax.Array,
) -> jax.Array:
    return model.sample(variables, key, NUM)
