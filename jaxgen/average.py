"""The moving average of the weights, which a run is evaluated and sampled with.

After update n of a network, with p_n its weights and d the decay that was asked for,

    a_n = a_(n-1) + w_n (p_n - a_(n-1)),    w_n = max(1 - d, 4 / (n + 3)).

It is warmed up: w_1 = 1, so that the initial weights have no part in it. Up to update 4 / (1 - d)
it is the polynomial-decay average of Shamir & Zhang, 2013, "Stochastic gradient descent for
non-smooth optimization" (arXiv 1212.1824), with eta = 3: p_k weighs like k^3, and the mean age of
what it holds is n / 5. From there on it is the exponential average that was asked
for. The average of what stays is what stays, exactly. A debiased exponential average would weigh
all weights alike up to update 1 / (1 - d), and is grey for a long time where samples are first
grey; a longer warm-up would not reach the decay that was asked for in runs of usual length.

An update is a change that an optimiser made: not a micro-batch of an accumulation
(`optax.MultiSteps`), nor a step at which a player with `every` only watches. A network with several
owners has one update in a step in which any of them made one.

States of runs whose records are of formats 1 to 3 have no `ema_updates`. Their average goes on as
it began, full of the initial weights and moved at every step: a_t = d a_(t-1) + (1 - d) p_t.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgen.state import Player, TrainState
from jaxgen.typing import Array, Variables

# Collections that are averages themselves: of the weights over updates, of batches over replicas.
STATISTICS = "batch_stats"
_WEIGHTS = "params"
_AVERAGED = (_WEIGHTS, STATISTICS)
_POWER = 3  # eta: while it is warmed up, the weights after update k weigh like k^3


def with_average(
    players: tuple[Player, ...],
    before: TrainState,
    after: TrainState,
    step: Array,
    decay: float,
) -> TrainState:
    """Return the state after a step with its average moved on; what is no average is copied.

    Args:
      players: of the step.
      before: the state that the step began with.
      after: the state after all moves, with the average of `before`; it may have none.
      step: of the stage, [] int32, by which players with `every` count.
      decay: d, in (0, 1).
    """
    if after.ema is None:
        return after
    if after.ema_updates is None:
        return after.replace(ema=_from_initial_weights(after.ema, after.variables, decay))
    average = {}
    counts = {}
    for network, new in after.variables.items():
        owners = [player for player in players if network in player.owns]
        updated = _any_updated(owners, before, after, step)
        counts[network] = after.ema_updates[network] + updated
        weight = jnp.where(updated, _weight(counts[network], decay), 0.0)
        old = after.ema[network]
        # Nobody moves the weights of a frozen network; what a stage took over for them stays.
        moving = _AVERAGED if owners else (STATISTICS,)
        kept = {name: old[name] for name in _AVERAGED if name in new}
        moved = {name: _towards(kept[name], new[name], weight) for name in moving if name in new}
        average[network] = {**new, **kept, **moved}
    return after.replace(ema=average, ema_updates=counts)


def has_updated(
    player: Player,
    before: TrainState,
    after: TrainState,
    step: Array,
) -> jax.Array:
    """Return whether the player's optimiser made an update between two states, [] bool."""
    updated = jnp.asarray(step % player.every == 0)
    old = _accumulations(before.opt_state[player.name])
    new = _accumulations(after.opt_state[player.name])
    for was, now in zip(old, new, strict=True):
        updated = updated & (now.gradient_step != was.gradient_step)
    return updated


def _any_updated(
    owners: list[Player],
    before: TrainState,
    after: TrainState,
    step: Array,
) -> jax.Array:
    """Return whether any owner made an update; the statistics of a frozen network always move."""
    if not owners:
        return jnp.asarray(True)
    return jnp.asarray([has_updated(player, before, after, step) for player in owners]).any()


def _accumulations(opt_state: optax.OptState) -> list[optax.MultiStepsState]:
    """Return the accumulators in an optimiser's state."""

    def is_accumulation(part: Any) -> bool:
        return isinstance(part, optax.MultiStepsState)

    parts = jax.tree.leaves(opt_state, is_leaf=is_accumulation)
    return [part for part in parts if isinstance(part, optax.MultiStepsState)]


def _weight(num_updates: jax.Array, decay: float) -> jax.Array:
    """Return w_n, []; 1 at the first update."""
    n = jnp.maximum(num_updates, 1).astype(jnp.result_type(float))
    return jnp.maximum(1 - decay, (_POWER + 1) / (n + _POWER))


def _towards(old: Any, new: Any, weight: jax.Array) -> Any:
    """Return old + weight (new - old), exactly `new` at weight 1; whole numbers are copied."""

    def move(old_leaf: jax.Array, new_leaf: jax.Array) -> jax.Array:
        if not jnp.issubdtype(old_leaf.dtype, jnp.floating):
            return jnp.where(weight > 0, new_leaf, old_leaf)
        moved = (old_leaf + weight * (new_leaf - old_leaf)).astype(old_leaf.dtype)
        return jnp.where(weight == 1, new_leaf, moved)

    return jax.tree.map(move, old, new)


def _from_initial_weights(old_average: Variables, variables: Variables, decay: float) -> Variables:
    """Return the average after a step, of a run whose records are of formats 1 to 3."""
    average: dict[str, Any] = {}
    for network, new in variables.items():
        old = old_average[network]
        moved = {
            name: optax.incremental_update(new[name], old[name], 1 - decay)
            for name in _AVERAGED
            if name in new
        }
        average[network] = {**new, **moved}
    return average
