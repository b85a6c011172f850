"""One step for every objective: a fold over the players of a game.

A likelihood model is a game with one player, a GAN has two, CycleGAN three over four networks. A
player owns networks and minimises a loss; one step lets each player move once. This file holds the
only gradient code of jaxgen.

    for each player p:   params[p.owns] <- params[p.owns] + tx_p(grad of loss_p at params[p.owns])

Randomness: step t draws from `fold_in(state.key, t)`, so a state determines its own future and a
restored run goes on bit for bit.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import optax

from jaxgen.average import STATISTICS, with_average
from jaxgen.errors import ConfigError
from jaxgen.first_batch import look_at_prepared, look_or_note
from jaxgen.state import (
    Player,
    TrainState,
    all_finite,
    by_name,
    choose,
    evaluation_variables,
    init_state,
    owned_params,
)
from jaxgen.typing import Batch, Key, Metrics, Mutated, Variables

__all__ = [
    "Order",
    "Player",
    "TrainState",
    "all_finite",
    "by_name",
    "choose",
    "evaluation_variables",
    "init_state",
    "train_step",
    "update",
]

Order = Literal["alternating", "simultaneous"]


# What `_move` and `_watch` return: changed collections, the optimiser's state and the metrics.
Outcome = tuple[dict[str, dict[str, Any]], optax.OptState, dict[str, jax.Array]]


def update(
    player: Player,
    state: TrainState,
    batch: Batch,
    key: Key,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Make one move of one player, whatever its `every`; the step is not counted.

    The escape hatch: a coupled algorithm that no fold over players expresses is written from it.

    Args:
      player: who moves.
      state: the state it sees.
      batch: arrays of one batch; `batch['step']` (the state's, unless it is given) and
        `batch['opt_state']` are set.
      key: the randomness of this move.
      axis_name: average gradients, statistics and metrics over this `pmap` axis.

    Returns:
      The state after the move, and the loss's metrics with `loss`.

    Raises:
      DataError: the batch has values that the model is not for; where it is traced, bytes alone.
    """
    look_at_prepared(player, batch)
    changed, opt_state, metrics = _move(player, state, batch, key, axis_name)
    return _apply(state, player, changed, opt_state), metrics


def train_step(
    players: tuple[Player, ...],
    state: TrainState,
    batch: Batch,
    *,
    order: Order = "alternating",
    ema_decay: float = 0.0,
    begin: int = 0,
    prepare: Callable[[Batch, Key], Batch] | None = None,
    axis_name: str | None = None,
    guard: bool = False,
) -> tuple[TrainState, Metrics]:
    """Take one step of the game: each player moves once.

    Args:
      players: in the order in which they move.
      state: the state; its `step` and `key` give this step's randomness.
      batch: arrays of one batch.
      order: 'alternating' lets each player see the moves before its own; 'simultaneous' takes all
        gradients at the same variables.
      ema_decay: fraction of the average kept per update, for a state with `ema`; see `average`.
      begin: the step at which the stage of a run began: losses with a schedule and players with
        `every` count from there.
      prepare: the data's own randomness (binarisation, dequantisation), `(batch, key) -> batch`.
      axis_name: inside `pmap`, the axis to average over; each replica folds in its index.
      guard: leave the whole state untouched, its step included, where a metric or what would come
        of the state is NaN or infinite, or where `batch['turn']`, if given, is not its step.

    Returns:
      The next state, and metrics as scalars; with several players their names are prefixed.
      With `guard` the metric 'finite' [] says whether the step was taken.

    Raises:
      ConfigError: `ema_decay` and the state disagree on an average; two owners of one network in
        simultaneous order.
      DataError: the batch has values that a model is not for (see `first_batch`).
    """
    if (ema_decay > 0) != (state.ema is not None):
        kept = "keeps no" if state.ema is None else "keeps a"
        raise ConfigError(f"ema_decay={ema_decay}, but the state {kept} moving average")
    _require_disjoint(players, order)
    look_or_note(players, batch, prepare)
    key = jax.random.fold_in(state.key, state.step)
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    data_key, *keys = jax.random.split(key, 1 + len(players))
    batch = prepare(batch, data_key) if prepare else batch
    batch = {**batch, "key": jax.random.fold_in(data_key, 1), "step": state.step - begin}

    new = state
    metrics: dict[str, jax.Array] = {}
    for player, player_key in zip(players, keys, strict=True):
        seen = state if order == "simultaneous" else new
        changed, opt_state, reported = _turn(player, seen, batch, player_key, axis_name)
        new = _apply(new, player, changed, opt_state)
        prefix = f"{player.name}/" if len(players) > 1 else ""
        metrics |= {prefix + name: value for name, value in reported.items()}
    new = with_average(players, state, new, batch["step"], ema_decay)
    new = new.replace(step=state.step + 1)
    if not guard:
        return new, metrics
    taken = all_finite((metrics, new)) & (batch.get("turn", state.step) == state.step)
    return choose(taken, new, state), {**metrics, "finite": taken}


def _merge(variables: Variables, changed: Mapping[str, Any]) -> Variables:
    """Return `variables` with the collections in `changed` replaced."""
    return {name: {**value, **changed.get(name, {})} for name, value in variables.items()}


def _apply(
    state: TrainState,
    player: Player,
    changed: Mapping[str, Any],
    opt_state: optax.OptState,
) -> TrainState:
    """Return the state with a player's changes, and its optimiser's new state."""
    return state.replace(
        variables=_merge(state.variables, changed),
        opt_state={**state.opt_state, player.name: opt_state},
    )


def _turn(
    player: Player,
    state: TrainState,
    batch: Batch,
    key: Key,
    axis_name: str | None,
) -> Outcome:
    """Move, or watch on the steps that are not the player's."""
    if player.every == 1:
        return _move(player, state, batch, key, axis_name)
    return jax.lax.cond(
        batch["step"] % player.every == 0,
        lambda: _move(player, state, batch, key, axis_name),
        lambda: _watch(player, state, batch, key, axis_name),
    )


def _objective(
    player: Player,
    state: TrainState,
    batch: Batch,
    key: Key,
) -> Callable[[Any], tuple[jax.Array, tuple[Metrics, Mutated]]]:
    """Return the player's loss as a function of the parameters it owns."""
    batch = {"step": state.step, **batch, "opt_state": state.opt_state}

    def objective(params: Any) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        own = {network: {"params": value} for network, value in params.items()}
        return player.loss(_merge(state.variables, own), batch, key)

    return objective


def _move(
    player: Player,
    state: TrainState,
    batch: Batch,
    key: Key,
    axis_name: str | None,
) -> Outcome:
    """Return what changes when the player takes a step of its optimiser."""
    objective = _objective(player, state, batch, key)
    params = owned_params(state.variables, player)
    (loss, (metrics, mutated)), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    if axis_name is not None:
        loss, metrics, gradients = jax.lax.pmean((loss, metrics, gradients), axis_name)
        mutated = _mean_statistics(mutated, axis_name)
    updates, opt_state = player.tx.update(gradients, state.opt_state[player.name], params)
    moved = cast(dict[str, Any], optax.apply_updates(params, updates))
    changed = {name: dict(value) for name, value in mutated.items()}
    for network, value in moved.items():
        changed[network] = {**changed.get(network, {}), "params": value}
    return changed, opt_state, {**metrics, "loss": loss}


def _mean_statistics(mutated: Mutated, axis_name: str) -> Mutated:
    """Average batch statistics over the replicas; chains, pools and counters are each one's own."""

    def mean(leaf: jax.Array) -> jax.Array:
        real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.lax.pmean(leaf, axis_name) if real else leaf

    averaged = {}
    for network, collections in mutated.items():
        averaged[network] = {
            name: jax.tree.map(mean, value) if name == STATISTICS else value
            for name, value in collections.items()
        }
    return averaged


def _watch(
    player: Player,
    state: TrainState,
    batch: Batch,
    key: Key,
    axis_name: str | None,
) -> Outcome:
    """Return the same outputs as `_move`, with nothing moved."""
    params = owned_params(state.variables, player)
    loss, (metrics, mutated) = _objective(player, state, batch, key)(params)
    if axis_name is not None:
        loss, metrics = jax.lax.pmean((loss, metrics), axis_name)
    touched = {name: tuple(value) for name, value in mutated.items()}
    for network in params:
        touched[network] = (*touched.get(network, ()), "params")
    changed = {}
    for network, collections in touched.items():
        changed[network] = {name: state.variables[network][name] for name in collections}
    return changed, state.opt_state[player.name], {**metrics, "loss": loss}


def _require_disjoint(players: tuple[Player, ...], order: Order) -> None:
    """Raise ConfigError where gradients at the same variables would overwrite each other."""
    owned = [network for player in players for network in player.owns]
    shared = sorted({network for network in owned if owned.count(network) > 1})
    if order == "simultaneous" and shared:
        raise ConfigError(f"order 'simultaneous', but {shared} has two owners: use 'alternating'")
