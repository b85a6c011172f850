"""Laws of the moves of a game: a discriminator tells data from samples, a generator is believed.

The value of a game is its own, but its `logits` mean one thing: the larger, the more real. From
fresh networks a discriminator that moves by its own loss comes to rank data above samples, and
small steps of the generator along its own gradients then raise the logits of its samples. Labels
that were exchanged and a cost of the wrong sign do the reverse.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.check.law import Law, Subject, at_least
from jaxgen.check.objectives import at_rest, descended, few, loss_of
from jaxgen.check.training import without_zeros
from jaxgen.evaluation.collapse import Packing
from jaxgen.state import owned_params
from jaxgen.step import Player, TrainState, update
from jaxgen.typing import Game, Key, Variables

_NUM_MOVES = 150
_LOOK_EVERY = 50
_SETTLING = 100  # passes, after which an average of decay 0.9 has forgotten its start
_WELL_RANKED = 0.9
_LEARNING_RATE = 0.01
_LEAST_RANKED = 0.6  # a half is chance
_LEAST_SHARE = 0.02  # batch statistics take some of a step's effect away
_NUM_KEYS = 8
_NOISE = 0.05  # relative, by which a network is moved to see what depends on it


def advantages(subject: Subject) -> list[Law]:
    """Test that small steps of a player without logits move the advantage in its favour."""
    model = subject.model
    if isinstance(model, Game):  # its logits say more, see `directions`
        return []
    players = subject.experiment.players()
    subject = few(subject)
    x = subject.x
    given = subject.conditions(len(x))
    unknown = jnp.asarray(jnp.nan)
    draw_key, loss_key = jax.random.split(subject.key)
    keys = jax.random.split(loss_key, _NUM_KEYS)

    def outputs_of_data(variables: Variables) -> jax.Array:
        return model.outputs(variables, x, **given)

    def advantage(variables: Variables) -> jax.Array:
        samples = model.sample(variables, draw_key, len(x), **given)
        fake = model.outputs(variables, samples, **given)
        return model.verdicts(outputs_of_data(variables), fake).get("advantage", unknown)

    variables = without_zeros(jax.jit(model.init)(subject.key))
    if len(players) != 2 or jnp.isnan(advantage(variables)):
        return []
    laws = []
    for player in players:
        others = outputs_of_data(_moved(variables, player))
        judges = bool((others != outputs_of_data(variables)).any())
        sign = 1 if judges else -1

        def in_favour(variables: Variables, sign: int = sign) -> jax.Array:
            return sign * advantage(variables)

        def mean_loss(variables: Variables, player: Player = player) -> jax.Array:
            def of_key(key: Key) -> jax.Array:
                return loss_of(player, players, variables, subject.batch, key)[0]

            return jax.vmap(of_key)(keys).mean()

        laws.append(_favoured(player, variables, mean_loss, in_favour))
    return laws


def _favoured(
    player: Player,
    variables: Variables,
    loss: Callable[[Variables], jax.Array],
    in_favour: Callable[[Variables], jax.Array],
) -> Law:
    """Test that small steps down a loss are in the player's favour."""
    before = float(in_favour(variables))
    gains = []
    for minimised in (loss, lambda variables: -in_favour(variables)):
        after = descended(minimised, player, variables)
        gains.append(float(in_favour(after)) - before)
    reached, possible = gains
    return at_least(
        f"small steps of the {player.name} move the advantage its way",
        reached / max(possible, 1e-12),
        _LEAST_SHARE,
        "share of what is possible",
        f"From fresh networks, down its loss by {reached:.4g}, along the advantage itself by "
        f"{possible:.4g}.",
    )


def directions(subject: Subject) -> list[Law]:
    """Test in which direction the discriminator and the generator move."""
    if isinstance(subject.model, Packing):
        return []
    game = _Judged(subject)
    fresh = without_zeros(jax.jit(subject.model.init)(subject.key))
    players = subject.experiment.players()
    judges = [player for player in players if game.logits_move(fresh, player)]
    makers = [player for player in players if player not in judges]
    makers = [player for player in makers if game.samples_move(fresh, player)]
    if len(judges) != 1 or len(makers) != 1:
        return []
    trained = _trained(game, judges[0], makers[0], fresh)
    return [_discriminator(game, trained), _generator(game, makers[0], trained)]


class _Judged:
    """The logits of data and of samples, both given the same conditions."""

    def __init__(
        self,
        subject: Subject,
    ):
        model = subject.model
        self.players = subject.experiment.players()
        subject = few(subject)
        self.batch = subject.batch
        self.key = subject.key
        x = subject.x
        given = subject.conditions(len(x))
        draws = jax.random.fold_in(subject.key, 2)

        def samples(variables: Variables) -> jax.Array:
            return model.sample(variables, draws, len(x), **given)

        def of_samples(variables: Variables) -> jax.Array:
            return model.logits(variables, samples(variables), **given)

        def of_data(variables: Variables) -> jax.Array:
            return model.logits(variables, x, **given)

        self.samples = jax.jit(samples)
        self.of_samples = jax.jit(of_samples)
        self.of_data = jax.jit(of_data)

    def ranked(
        self,
        variables: Variables,
    ) -> float:
        """Return the share of pairs in which the example's logit is above the sample's."""
        real = np.asarray(self.of_data(variables))[:, None]
        fake = np.asarray(self.of_samples(variables))[None]
        return float((real > fake).mean() + 0.5 * (real == fake).mean())

    def logits_move(
        self,
        variables: Variables,
        player: Player,
    ) -> bool:
        """Return whether the logits of data depend on what a player owns."""
        other = self.of_data(_moved(variables, player))
        return bool((other != self.of_data(variables)).any())

    def samples_move(
        self,
        variables: Variables,
        player: Player,
    ) -> bool:
        """Return whether samples depend on what a player owns."""
        other = self.samples(_moved(variables, player))
        return bool((other != self.samples(variables)).any())


def _moved(
    variables: Variables,
    player: Player,
) -> Variables:
    """Return the variables with all that a player owns a little larger."""

    def larger(leaf: jax.Array) -> jax.Array:
        return leaf * (1 + _NOISE)

    params = jax.tree.map(larger, owned_params(variables, player))
    own = {name: {**variables[name], "params": value} for name, value in params.items()}
    return {**variables, **own}


def _trained(
    game: _Judged,
    judge: Player,
    maker: Player,
    variables: Variables,
) -> Variables:
    """Return the variables after the discriminator's moves by its own loss.

    The generator's parameters stand still. The discriminator stops when it ranks well, for a surer
    one leaves a generator without slopes. Batch statistics are those of the last weights.
    """
    learning = replace(judge, tx=optax.adam(_LEARNING_RATE))
    opt_state = at_rest((*game.players, learning), variables)
    state = TrainState(jnp.zeros((), jnp.int32), game.key, variables, opt_state)
    move = jax.jit(partial(update, learning))
    for number, key in enumerate(jax.random.split(game.key, _NUM_MOVES), start=1):
        state, _ = move(state, game.batch, key)
        if number % _LOOK_EVERY:
            continue
        settled = _settled(game, (judge, maker), state.variables)
        if number == _NUM_MOVES or game.ranked(settled) >= _WELL_RANKED:
            return settled
    return state.variables


def _settled(
    game: _Judged,
    players: tuple[Player, ...],
    variables: Variables,
) -> Variables:
    """Return the variables with the batch statistics that these parameters have."""
    if not any("batch_stats" in collections for collections in variables.values()):
        return variables

    @jax.jit
    def passed(
        variables: Variables,
        key: Key,
    ) -> Variables:
        for player in players:
            _, mutated = loss_of(player, game.players, variables, game.batch, key)
            changed = {name: {**variables[name], **value} for name, value in mutated.items()}
            variables = {**variables, **changed}
        return variables

    for key in jax.random.split(game.key, _SETTLING):
        variables = passed(variables, key)
    return variables


def _discriminator(
    game: _Judged,
    trained: Variables,
) -> Law:
    return at_least(
        "a discriminator learns to rank data above samples",
        game.ranked(trained),
        _LEAST_RANKED,
        "share of pairs",
        f"At most {_NUM_MOVES} moves of a fresh discriminator by its own loss, against a fresh "
        f"generator; {len(game.of_data(trained))} examples and as many samples.",
    )


def _generator(
    game: _Judged,
    player: Player,
    trained: Variables,
) -> Law:
    keys = jax.random.split(game.key, _NUM_KEYS)

    def mean_loss(variables: Variables) -> jax.Array:
        def of_key(key: Key) -> jax.Array:
            return loss_of(player, game.players, variables, game.batch, key)[0]

        return jax.vmap(of_key)(keys).mean()

    def minus_logits(variables: Variables) -> jax.Array:
        return -game.of_samples(variables).mean()

    before = float(minus_logits(trained))
    gains = [
        before - float(minus_logits(descended(minimised, player, trained)))
        for minimised in (mean_loss, minus_logits)
    ]
    reached, possible = gains
    return at_least(
        "a generator's gradients raise the logits of its samples",
        reached / max(possible, 1e-12),
        _LEAST_SHARE,
        "share of what is possible",
        f"Small plain steps down its loss change them by {reached:.4g}, as many steps up the "
        f"logits themselves by {possible:.4g}.",
    )
