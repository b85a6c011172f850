"""The state of a run and the players that move it.

A state holds arrays alone, so that a checkpoint is the state: the step, a root key, the variables
of all networks, each player's optimiser and, if wanted, a moving average.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, no_type_check

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxgen.errors import ConfigError
from jaxgen.typing import Key, Loss, Variables

Weights = Literal["average", "parameters"]  # what a state is evaluated with


@dataclass(frozen=True)
class Player:
    """One line of a paper's algorithm box: who moves, by which loss, how often.

    Attributes:
      name: the player's name, in metrics and among the optimisers' states.
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
      ema_updates: {network: [] int32}, the updates that the average of each has seen; None without
        an average, and in runs whose records are of formats 1 to 3, see `average`.
    """

    step: jax.Array
    key: Key
    variables: Variables
    opt_state: Mapping[str, optax.OptState]
    ema: Variables | None = None
    ema_updates: Mapping[str, jax.Array] | None = None


def init_state(
    key: Key,
    variables: Variables,
    players: tuple[Player, ...],
    *,
    ema: bool = False,
    frozen: tuple[str, ...] = (),
) -> TrainState:
    """Return the state before the first step.

    Args:
      key: the root key.
      variables: {network: Linen variables}.
      players: who move the networks.
      ema: keep a moving average.
      frozen: networks that no player moves.

    Raises:
      ConfigError: a network with parameters is neither owned nor frozen, or is both.
    """
    _require_owners(variables, players, frozen)
    opt_state = {player.name: player.tx.init(owned_params(variables, player)) for player in players}
    average = jax.tree.map(jnp.copy, variables) if ema else None
    updates = {network: jnp.zeros((), jnp.int32) for network in variables} if ema else None
    return TrainState(jnp.zeros((), jnp.int32), key, variables, opt_state, average, updates)


def evaluation_variables(state: TrainState, weights: Weights | None = None) -> Variables:
    """Return the moving average, or the variables themselves.

    Args:
      state: of a run.
      weights: which; by default the average if the state keeps one.

    Raises:
      ConfigError: the average is asked for, and the state keeps none.
    """
    if state.ema is not None and weights != "parameters":
        return state.ema
    if weights == "average":
        raise ConfigError("--weights average: the run keeps none, it was begun with --ema-decay 0")
    return state.variables


def by_name(fresh: Variables, old: Variables) -> Variables:
    """Return `fresh` with each array replaced by the old one of the same path, shape and dtype."""
    known = dict(jax.tree_util.tree_flatten_with_path(old)[0])

    def take(path: Any, leaf: jax.Array) -> jax.Array:
        found = known.get(path)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            return leaf
        return found

    return jax.tree_util.tree_map_with_path(take, fresh)


def choose(condition: jax.Array, one: TrainState, other: TrainState) -> TrainState:
    """Return `one` where the condition [] is true, else `other`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def all_finite(tree: Any) -> jax.Array:
    """Return whether no real number in the tree is NaN or infinite, []."""
    real = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.asarray([jnp.isfinite(leaf).all() for leaf in real]).all()


def owned_params(variables: Variables, player: Player) -> dict[str, Any]:
    """Return {network: parameters} of what a player owns; pools and chains have none."""
    owned = {network: variables[network] for network in player.owns}
    return {network: value["params"] for network, value in owned.items() if "params" in value}


def _require_owners(
    variables: Variables,
    players: tuple[Player, ...],
    frozen: tuple[str, ...],
) -> None:
    """Raise ConfigError unless each network with parameters is owned or frozen, and not both."""
    owned = {network for player in players for network in player.owns}
    with_params = {name for name, value in variables.items() if "params" in value}
    strange = sorted((owned | set(frozen)) - set(variables))
    without = sorted(with_params - owned - set(frozen))
    if strange or without:
        more = f", frozen {sorted(frozen)}" if frozen else ""
        raise ConfigError(f"players own {sorted(owned)}{more}, the model has {sorted(variables)}")
    both = sorted(owned & set(frozen))
    if both:
        raise ConfigError(f"{both} are frozen, but a player owns them")
