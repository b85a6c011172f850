"""One step for every objective: a fold over the players of a game.

A likelihood model is a game with one player, a GAN has two, CycleGAN three over four networks. A
player owns networks and minimises a loss; one step lets each player move once. This file holds the
only gradient code of jaxgen.

    for each player p:   params[p.owns] <- params[p.owns] + tx_p(grad of loss_p at params[p.owns])

Randomness: step t draws from `fold_in(state.key, t)`, so a state determines its own future and a
restored run goes on bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, no_type_check

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxgen.errors import ConfigError

Key = jax.Array  # a typed key: jax.random.key(0)
Batch = Mapping[str, Any]  # {'image': [B, H, W, C], 'label': [B], 'step': [], 'key': []}
Variables = Mapping[str, Any]  # {network: Linen variables}
Metrics = Mapping[str, jax.Array]  # {name: []}
Mutated = Mapping[str, Any]  # {network: {collection: new value}}
Loss = Callable[[Variables, Batch, Key], tuple[jax.Array, tuple[Metrics, Mutated]]]
Order = Literal["alternating", "simultaneous"]


_AVERAGED = ("params", "batch_stats")


@dataclass(frozen=True)
class Player:
    """One line of a paper's algorithm box: who moves, by which loss, how often.

    Attributes:
      name: the player's name; its loss is the model's method `<name>_loss`.
      owns: the networks it moves; gradients exist for their parameters alone.
      loss: `(variables, batch, key) -> (scalar, (metrics, mutated))`. `batch['step']` is the step
        of the state, for losses with a schedule, `batch['opt_state']` the state of every player's
        optimiser, for losses that foresee a move, and `batch['key']` (in a `train_step`) a key that
        all players of a step have in common. `mutated` holds new values of collections other than
        the parameters (batch statistics, pools, chains), `{network: {collection: value}}`.
      tx: the optimiser.
      every: moves on the steps divisible by `every`; on the others it only reports its loss.
    """

    name: str
    owns: tuple[str, ...]
    loss: Loss
    tx: optax.GradientTransformation
    every: int = 1


@no_type_check  # tree functions rebuild it with shapes, shardings or None in place of arrays
class TrainState(flax.struct.PyTreeNode):
    """All that a run needs to go on; arrays only, so that a checkpoint is the state.

    Attributes:
      step: [] int32, the number of steps taken.
      key: the root key; never split in place.
      variables: {network: Linen variables}.
      opt_state: {player: optimiser state}.
      ema: an exponential moving average of the parameters and of batch statistics (of other weights
        they would not be the statistics; other collections are copied), or None.
    """

    step: jax.Array
    key: Key
    variables: Variables
    opt_state: Mapping[str, optax.OptState]
    ema: Variables | None = None


def init_state(
    key: Key, variables: Variables, players: tuple[Player, ...], *, ema: bool = False
) -> TrainState:
    """The state before the first step. Raises ConfigError unless every network has an owner."""
    owned = {network for player in players for network in player.owns}
    if owned != set(variables):
        raise ConfigError(f"players own {sorted(owned)}, the model has {sorted(variables)}")
    opt_state = {player.name: player.tx.init(_params(variables, player)) for player in players}
    average = jax.tree.map(jnp.copy, variables) if ema else None
    return TrainState(jnp.zeros((), jnp.int32), key, variables, opt_state, average)


def evaluation_variables(state: TrainState) -> Variables:
    """The moving average if the state keeps one, else the variables themselves."""
    return state.variables if state.ema is None else state.ema


def update(
    player: Player, state: TrainState, batch: Batch, key: Key, *, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One move of one player, whatever its `every`; the step is not counted.

    The escape hatch: a coupled algorithm that no fold over players expresses is written from it.

    Args:
      player: who moves.
      state: the state it sees.
      batch: arrays of one batch; `batch['step']` and `batch['opt_state']` are set to the state's.
      key: the randomness of this move.
      axis_name: average gradients, statistics and metrics over this `pmap` axis.

    Returns:
      The state after the move, and the loss's metrics with `loss`.
    """
    changed, opt_state, metrics = _move(player, state, batch, key, axis_name)
    return _apply(state, player, changed, opt_state), metrics


def train_step(
    players: tuple[Player, ...],
    state: TrainState,
    batch: Batch,
    *,
    order: Order = "alternating",
    ema_decay: float = 0.0,
    prepare: Callable[[Batch, Key], Batch] | None = None,
    axis_name: str | None = None,
    guard: bool = False,
) -> tuple[TrainState, Metrics]:
    """One step of the game: each player moves once.

    Args:
      players: in the order in which they move.
      state: the state; its `step` and `key` give this step's randomness.
      batch: arrays of one batch.
      order: 'alternating' lets each player see the moves before its own; 'simultaneous' takes all
        gradients at the same variables.
      ema_decay: fraction of the average kept per step, for a state with `ema`.
      prepare: the data's own randomness (binarisation, dequantisation), `(batch, key) -> batch`.
      axis_name: inside `pmap`, the axis to average over; each replica folds in its index.
      guard: leave the whole state untouched, its step included, where a metric or what would come
        of the state is NaN or infinite, or where `batch['turn']`, if given, is not its step.

    Returns:
      The next state, and metrics as scalars; with several players their names are prefixed.
      With `guard` the metric 'finite' [] says whether the step was taken.
    """
    if (ema_decay > 0) != (state.ema is not None):
        kept = "keeps no" if state.ema is None else "keeps a"
        raise ConfigError(f"ema_decay={ema_decay}, but the state {kept} moving average")
    _require_disjoint(players, order)
    key = jax.random.fold_in(state.key, state.step)
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    data_key, *keys = jax.random.split(key, 1 + len(players))
    batch = prepare(batch, data_key) if prepare else batch
    batch = {**batch, "key": jax.random.fold_in(data_key, 1)}

    new, metrics = state, {}
    for player, player_key in zip(players, keys, strict=True):
        seen = state if order == "simultaneous" else new
        changed, opt_state, reported = _turn(player, seen, batch, player_key, axis_name)
        new = _apply(new, player, changed, opt_state)
        prefix = f"{player.name}/" if len(players) > 1 else ""
        metrics |= {prefix + name: value for name, value in reported.items()}
    new = new.replace(step=state.step + 1, ema=_average(new, ema_decay))
    if not guard:
        return new, metrics
    taken = all_finite((metrics, new)) & (batch.get("turn", state.step) == state.step)
    return choose(taken, new, state), {**metrics, "finite": taken}


def choose(condition: jax.Array, one: TrainState, other: TrainState) -> TrainState:
    """`one` where the condition [] is true, else `other`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def all_finite(tree: Any) -> jax.Array:
    """Whether no real number in it is NaN or infinite, []."""
    real = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in real]).all()


def _params(variables, player):
    return {network: variables[network]["params"] for network in player.owns}


def _merge(variables, changed):
    """`variables` with the collections in `changed` replaced."""
    return {name: {**value, **changed.get(name, {})} for name, value in variables.items()}


def _apply(state, player, changed, opt_state):
    return state.replace(
        variables=_merge(state.variables, changed),
        opt_state={**state.opt_state, player.name: opt_state},
    )


def _turn(player, state, batch, key, axis_name):
    if player.every == 1:
        return _move(player, state, batch, key, axis_name)
    return jax.lax.cond(
        state.step % player.every == 0,
        lambda: _move(player, state, batch, key, axis_name),
        lambda: _watch(player, state, batch, key, axis_name),
    )


def _objective(player, state, batch, key):
    """The player's loss as a function of the parameters it owns."""
    batch = {**batch, "step": state.step, "opt_state": state.opt_state}

    def objective(params):
        own = {network: {"params": value} for network, value in params.items()}
        return player.loss(_merge(state.variables, own), batch, key)

    return objective


def _move(player, state, batch, key, axis_name):
    objective = _objective(player, state, batch, key)
    params = _params(state.variables, player)
    (loss, (metrics, mutated)), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    if axis_name is not None:
        loss, metrics, gradients = jax.lax.pmean((loss, metrics, gradients), axis_name)
        mutated = _mean_statistics(mutated, axis_name)
    updates, opt_state = player.tx.update(gradients, state.opt_state[player.name], params)
    params = optax.apply_updates(params, updates)
    changed = {name: dict(value) for name, value in mutated.items()}
    for network in player.owns:
        changed[network] = {**changed.get(network, {}), "params": params[network]}
    return changed, opt_state, {**metrics, "loss": loss}


def _mean_statistics(mutated, axis_name):
    """Averages what is real over the replicas; counters and the like must agree already."""

    def mean(leaf):
        real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.lax.pmean(leaf, axis_name) if real else leaf

    return jax.tree.map(mean, mutated)


def _watch(player, state, batch, key, axis_name):
    """The same outputs as `_move`, with nothing moved."""
    params = _params(state.variables, player)
    loss, (metrics, mutated) = _objective(player, state, batch, key)(params)
    if axis_name is not None:
        loss, metrics = jax.lax.pmean((loss, metrics), axis_name)
    touched = {name: tuple(value) for name, value in mutated.items()}
    for network in player.owns:
        touched[network] = (*touched.get(network, ()), "params")
    changed = {name: {c: state.variables[name][c] for c in cs} for name, cs in touched.items()}
    return changed, state.opt_state[player.name], {**metrics, "loss": loss}


def _average(state, decay):
    if state.ema is None:
        return None

    def average(old, new):
        kept = {
            name: optax.incremental_update(new[name], old[name], 1 - decay)
            for name in _AVERAGED
            if name in new
        }
        return {**new, **kept}

    return {name: average(state.ema[name], new) for name, new in state.variables.items()}


def _require_disjoint(players, order):
    owned = [network for player in players for network in player.owns]
    shared = sorted({network for network in owned if owned.count(network) > 1})
    if order == "simultaneous" and shared:
        raise ConfigError(f"order 'simultaneous', but {shared} has two owners: use 'alternating'")
