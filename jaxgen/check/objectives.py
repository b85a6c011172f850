"""Laws of what a model claims of its data: its `elbo`, its `log_prob`, its reconstructions.

A model can be consistent and wrong: with the sign of the reconstruction turned in the one place
that loss, bound and weights share, all of these agree. So a claim is held against three others,

    claim = the same made here, of the decoder's distribution, the encoder's and the prior alone,
    loss  = minus the claim, with the weights that the model's fields give its terms,
    small steps down the loss raise the claim, nearly as much as steps up the claim itself,

the last from fresh variables, where no law depends on how far a run has come.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.capabilities import Amortised, Contrastive
from jaxgen.check.claim import claim
from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.check.training import without_zeros
from jaxgen.evaluation.measures import SquaredError
from jaxgen.state import owned_params
from jaxgen.step import Player
from jaxgen.typing import (
    Batch,
    Bounded,
    BoundedBySteps,
    Density,
    Key,
    Mutated,
    Reconstructor,
    Variables,
)

_SIGMAS = 5.0
_EXAMPLES = 32
_LATE = 2**20  # a step after every warm-up
_NUM_STEPS = 10
_LENGTH = 0.01  # of a step, relative to the parameters
_NUM_KEYS = 8  # whose losses are averaged, the same ones at every step
_LEAST_SHARE = 0.3
_MOST_CHANGE = 0.3  # of a mean, when the batch is doubled
_NUM_LOSSES = 100
_ROUNDING = 1e-5  # relative, of float32 sums over the elements of an example


def improvement(subject: Subject) -> list[Law]:
    """Test that small steps along the one player's gradients improve what the model claims.

    The loss of a diffusion model may weigh the terms of its bound otherwise, and then need not; its
    own laws hold its loss against what it should be.
    """
    if isinstance(subject.model, BoundedBySteps):
        return []
    subject = few(subject)
    batch = subject.batch
    claimed = claim(subject.model, subject.x, subject.conditions(len(subject.x)))
    players = subject.experiment.players()
    if len(players) != 1 or claimed is None:
        return []
    (player,) = players
    variables = without_zeros(jax.jit(subject.model.init)(subject.key))
    keys = jax.random.split(jax.random.fold_in(subject.key, 1), _NUM_KEYS)

    def mean_claim(variables: Variables) -> jax.Array:
        return claimed(variables, subject.key).mean()

    def mean_loss(variables: Variables) -> jax.Array:
        def of_key(key: Key) -> jax.Array:
            return loss_of(player, players, variables, batch, key)[0]

        return jax.vmap(of_key)(keys).mean()

    measured = jax.jit(mean_claim)
    before = float(measured(variables))
    gains = []
    for minimised in (mean_loss, lambda variables: -mean_claim(variables)):
        after = descended(minimised, player, variables)
        gains.append(float(measured(after)) - before)
    reached, possible = gains
    return [
        at_least(
            "small steps along the gradients improve the claim",
            reached / max(possible, 1e-12),
            _LEAST_SHARE,
            "share of what is possible",
            f"{_NUM_STEPS} plain steps down the loss from fresh variables change it by "
            f"{reached:.4g} nats an example, as many steps up the claim itself by {possible:.4g}.",
        )
    ]


def closeness(subject: Subject) -> list[Law]:
    """Test that a squared error is that of the reconstructions, and its loss a mean of examples."""
    model = subject.model
    if not isinstance(model, SquaredError) or not isinstance(model, Reconstructor):
        return []
    subject = few(subject)
    x = np.asarray(subject.x, np.float64)
    given = subject.conditions(len(x))
    made = jax.jit(model.reconstruct)(subject.variables, subject.x, **given)
    difference = np.asarray(made, np.float64) - x
    expected = (difference**2).reshape(len(x), -1).sum(axis=-1)
    found = np.asarray(jax.jit(model.squared_error)(subject.variables, subject.x, **given))
    wrong = np.inf if found.shape != expected.shape else np.abs(found - expected).max()
    return [
        at_most(
            "the squared error is that of the reconstruction",
            wrong / (1 + expected.max()),
            _ROUNDING,
            "relative difference",
            f"A sum over the elements of each of {len(x)} examples, in float64.",
        ),
        *_mean_of_examples(subject),
    ]


def _mean_of_examples(subject: Subject) -> list[Law]:
    """Test that the one player's loss of the same examples twice is no other."""
    players = subject.experiment.players()
    if len(players) != 1:
        return []
    twice = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), dict(subject.batch))
    once, again = (
        float(loss_of(players[0], players, subject.variables, batch, subject.key)[0])
        for batch in (subject.batch, twice)
    )
    return [
        at_most(
            "a loss is a mean over examples",
            abs(again - once) / (1 + abs(once)),
            _MOST_CHANGE,
            "relative difference",
            f"Of a batch {once:.4g}, of the same examples twice {again:.4g}; a sum would be "
            "twice as large.",
        )
    ]


def few(subject: Subject) -> Subject:
    """Return the subject with few examples, for laws that take many steps with them."""
    fields = {name: jnp.asarray(value)[:_EXAMPLES] for name, value in subject.fields.items()}
    return replace(subject, x=subject.x[:_EXAMPLES], fields=fields)


def at_rest(
    players: tuple[Player, ...],
    variables: Variables,
) -> dict[str, Any]:
    """Return the optimisers' states of all players before their first moves."""
    return {player.name: player.tx.init(owned_params(variables, player)) for player in players}


def loss_of(
    player: Player,
    players: tuple[Player, ...],
    variables: Variables,
    batch: Batch,
    key: Key,
) -> tuple[jax.Array, Mutated]:
    """Return the loss of a player, late in a stage: no warm-up is left; and what it changed."""
    opt_state = at_rest(players, variables)
    told = {**batch, "step": jnp.asarray(_LATE, jnp.int32), "key": key, "opt_state": opt_state}
    loss, (_, mutated) = player.loss(variables, told, key)
    return loss, mutated


def descended(
    minimised: Callable[[Variables], jax.Array],
    player: Player,
    variables: Variables,
) -> Variables:
    """Return the variables after small plain steps down a function of them."""

    def merged(params: dict[str, Any]) -> Variables:
        own = {name: {**variables[name], "params": value} for name, value in params.items()}
        return {**variables, **own}

    @jax.jit
    def step(params: dict[str, Any]) -> dict[str, Any]:
        slopes = jax.grad(lambda params: minimised(merged(params)))(params)
        length = _LENGTH * _norm(params) / jnp.maximum(_norm(slopes), 1e-30)
        return jax.tree.map(lambda value, slope: value - length * slope, params, slopes)

    params = owned_params(variables, player)
    for _ in range(_NUM_STEPS):
        params = step(params)
    return merged(params)


def _norm(tree: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(tree)))


def objective(subject: Subject) -> list[Law]:
    """Test that the one player's loss is minus the claim, in nats, and a mean over examples.

    A bound's weights are the model's fields, if it has them: `beta`, of the KL term, `free_bits`
    and `num_samples`. A density's loss is looked at if it draws nothing: dropout and drawn orders
    make another one of it.
    """
    model = subject.model
    players = subject.experiment.players()
    if len(players) != 1 or not isinstance(model, Bounded | Density | Contrastive):
        return []
    (player,) = players
    subject = few(subject)
    batch = subject.batch
    expected = _expected_loss(model, subject.x, subject.conditions(len(subject.x)))
    if expected is None:
        return []

    @jax.jit
    def both(
        variables: Variables,
        key: Key,
    ) -> tuple[jax.Array, jax.Array]:
        loss, _ = loss_of(player, players, variables, batch, key)
        return loss, expected(variables, key)

    pairs = [both(subject.variables, key) for key in jax.random.split(subject.key, _NUM_LOSSES)]
    losses, claims = np.asarray(pairs, np.float64).T
    if not isinstance(model, Bounded) and losses.std() > 0:
        return []
    error = (losses - claims).std() / _NUM_LOSSES**0.5 + _ROUNDING * (1 + abs(claims.mean()))
    return [
        at_most(
            "the loss is minus the claim",
            abs(losses.mean() - claims.mean()) / error,
            _SIGMAS,
            "standard errors",
            f"Means over {_NUM_LOSSES} draws: the loss is {losses.mean():.4f}, the claim, with the "
            f"weights that the model states, makes it {claims.mean():.4f} nats an example.",
        )
    ]


def _expected_loss(
    model: Any,
    x: jax.Array,
    given: Batch,
) -> Callable[[Variables, Key], jax.Array] | None:
    """Return what the loss should be, by the model's own terms; None if it has no terms to say."""
    weight = getattr(model, "beta", 1.0)
    free_bits = getattr(model, "free_bits", 0.0)
    claimed = claim(model, x, given, num_samples=1)
    if (weight, free_bits) == (1.0, 0.0) or not isinstance(model, Bounded):
        return claimed and (lambda variables, key: -claimed(variables, key).mean())
    if not isinstance(model, Amortised):
        return None

    def weighted(
        variables: Variables,
        key: Key,
    ) -> jax.Array:
        terms = model.terms(variables, x, key, **given)
        kl = jnp.maximum(terms.kl.mean(axis=0), free_bits).sum()
        return weight * kl - terms.log_likelihood.mean()

    return weighted


def ceiling(subject: Subject) -> list[Law]:
    """Test that no probability of discrete data is claimed to be more than 1."""
    model = subject.model
    space = getattr(model, "observation", model)
    x = subject.x[:_EXAMPLES]
    claimed = claim(model, x, subject.conditions(len(x)))
    if claimed is None or getattr(space, "values", None) is None:
        return []
    found = jax.jit(claimed)(subject.variables, subject.key)
    return [
        at_most(
            "no probability is above 1",
            jnp.max(found),
            _ROUNDING * (1 + float(jnp.abs(found).max())),
            "nats",
            f"The largest claim of log p(x) over {len(x)} examples of elements of "
            f"{space.values} values each.",
        )
    ]
