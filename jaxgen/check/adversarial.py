"""Laws of adversarial games: their costs at the model's own networks, and what D can reach."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen import losses
from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.evaluation.collapse import judges_alone
from jaxgen.step import Player, TrainState, update
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

_NUM = 8  # samples of which each has a gradient of its own
_POINTS = 4  # of the frozen game
_STEPS = 1500
_LAST = 100  # steps whose mean is the value that D reached
_LEARNING_RATE = 5e-3
_NEAR = 0.15  # nats
_SLOPES_BOUND = 1e-3  # relative difference
_TINY = 1e-30  # in the place of a zero divisor


def separation(subject: Subject) -> list[Law]:
    """Test that a sample depends on its own noise alone."""
    model = subject.model
    variables = subject.variables
    decode = jax.jit(model.decode)
    given = subject.conditions(_NUM)
    z = model.latents(subject.key, _NUM)
    others = model.latents(jax.random.key(1), _NUM - 1)
    before = decode(variables, z, **given)
    after = decode(variables, z.at[1:].set(others), **given)
    return [
        at_most(
            "a sample does not depend on the others",
            largest_difference(before[0], after[0]),
            1e-6,
            "largest difference",
            "New noise in all other rows of a batch leaves this row's sample as it was.",
        ),
        at_least(
            "a sample depends on its noise",
            largest_difference(before[1:], after[1:]),
            1e-6,
            "largest difference",
            "Rows with new noise change.",
        ),
    ]


def value(subject: Subject) -> list[Law]:
    """Test that V in float32 is V in float64, and that the generator's costs keep their ratios."""
    if not judges_alone(subject.model):
        return []
    return [_value_in_float64(subject), *_slopes(subject)]


def _value_in_float64(subject: Subject) -> Law:
    model = subject.model
    num = len(subject.x)
    given = subject.conditions(num)

    def logits_of_samples(variables: Variables, key: Key) -> Array:
        samples = model.sample(variables, key, num, **given)
        return model.logits(variables, samples, **given)

    real = jax.jit(model.logits)(subject.variables, subject.x, **given)
    fake = jax.jit(logits_of_samples)(subject.variables, subject.key)
    found = float(losses.discriminator_cost(real, fake))
    cost_of_real = np.logaddexp(0, -np.asarray(real, np.float64)).mean()
    cost_of_fake = np.logaddexp(0, np.asarray(fake, np.float64)).mean()
    exact = cost_of_real + cost_of_fake
    return at_most(
        "-V = E softplus(-l) + E softplus(l)",
        abs(found - exact) / max(1.0, exact),
        1e-5,
        "relative difference",
        "The discriminator's cost at its own logits equals the same sum in float64.",
    )


def _slopes(subject: Subject) -> list[Law]:
    """Test that the slopes of the three costs, sample by sample, are multiples of one another."""
    logits, slopes = _logits_and_slopes(subject)
    # D and 1 - D from the logit in float64: 1 - D of a sure discriminator has no digits in float32.
    largest = losses.LARGEST_LOGIT
    odds = np.exp(np.clip(logits, -largest, largest))[:, None]  # D / (1 - D), [N, 1]
    inside = (np.abs(logits) < largest)[:, None]  # beyond it the last cost is constant
    minimax = slopes(losses.minimax_cost)
    non_saturating = slopes(losses.non_saturating_cost)
    maximum_likelihood = slopes(losses.maximum_likelihood_cost)

    def proportional(identity: str, found: np.ndarray, expected: np.ndarray) -> Law:
        difference = np.abs(inside * (found - expected)).max()
        scale = np.abs(inside * expected).max()
        return at_most(
            f"slopes: {identity}",
            difference / max(scale, _TINY),
            _SLOPES_BOUND,
            "relative difference",
            "Gradients of the generator's parameters, sample by sample, at this discriminator.",
        )

    return [
        proportional("non-saturating = minimax (1 - D) / D", non_saturating, minimax * (1 / odds)),
        proportional(
            "maximum likelihood = minimax / (1 - D)", maximum_likelihood, minimax * (1 + odds)
        ),
    ]


def _logits_and_slopes(
    subject: Subject,
) -> tuple[np.ndarray, Callable[[Callable[[Array], Array]], np.ndarray]]:
    """Return D's logits of N samples, [N] in float64, and the slopes of any cost of them.

    The slopes are gradients in G's parameters, one row for each sample, [N, number of parameters].
    """
    model = subject.model
    z = model.latents(subject.key, _NUM)
    given = subject.conditions(_NUM)
    params = subject.variables["generator"]["params"]

    def logit(params: Any, z: Array, given: Batch) -> Array:
        generator = {**subject.variables["generator"], "params": params}
        variables = {**subject.variables, "generator": generator}
        one = {name: value[None] for name, value in given.items()}
        sample = model.decode(variables, z[None], **one)  # [Z] -> [1, *shape]
        return model.logits(variables, sample, **one)[0]

    def slopes(cost: Callable[[Array], Array]) -> np.ndarray:
        def cost_of_sample(params: Any, z: Array, given: Batch) -> Array:
            return cost(logit(params, z, given))

        of_each = jax.jit(jax.vmap(jax.grad(cost_of_sample), (None, 0, 0)))
        leaves = jax.tree.leaves(of_each(params, z, given))  # [N, *shape of the parameter] each
        return np.concatenate([np.asarray(leaf).reshape(_NUM, -1) for leaf in leaves], axis=1)

    logits = jax.jit(jax.vmap(logit, (None, 0, 0)))(params, z, given)
    return np.asarray(logits, np.float64), slopes


def optimum(subject: Subject) -> list[Law]:
    """Test that D can reach its best value, known on frozen points of known weights.

    The points are examples: samples of a generator that has hardly begun are all but one point.
    """
    if not judges_alone(subject.model):
        return []
    p, q = np.random.default_rng(0).dirichlet(np.ones(_POINTS), 2)
    cost_of_p = (p * np.log(p / (p + q))).sum()
    cost_of_q = (q * np.log(q / (p + q))).sum()
    best = float(cost_of_p + cost_of_q)
    reached = _fitted_value(subject, p, q)
    return [
        at_most(
            "D reaches its optimum on frozen points",
            abs(best - reached),
            _NEAR,
            "nats",
            f"Over {_POINTS} examples of known weights p and q the optimum of V is E_p log p/(p+q) "
            f"+ E_q log q/(p+q) = {best:.4f}; {_STEPS} steps of this discriminator come near it.",
        ),
    ]


def _fitted_value(subject: Subject, p: np.ndarray, q: np.ndarray) -> float:
    """Return V after training D on points that weigh p among the data and q among the samples."""
    model = subject.model
    points = subject.x[:_POINTS]
    given = subject.conditions(_POINTS)

    def loss(
        variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        del batch, key  # without the noise of training, which would hide the points
        logits = model.logits(variables, points, **given)
        real = jax.nn.softplus(-logits)
        fake = jax.nn.softplus(logits)
        return (p * real + q * fake).sum(), ({}, {})

    player = Player("discriminator", ("discriminator",), loss, optax.adam(_LEARNING_RATE))
    params = {"discriminator": subject.variables["discriminator"]["params"]}
    opt_state = {"discriminator": player.tx.init(params)}
    start = TrainState(jnp.zeros((), jnp.int32), subject.key, subject.variables, opt_state)

    def move(state: TrainState, key: Key) -> tuple[TrainState, jax.Array]:
        state, metrics = update(player, state, {}, key)
        return state, -metrics["loss"]

    def fit(state: TrainState, keys: Key) -> tuple[TrainState, jax.Array]:
        return jax.lax.scan(move, state, keys)

    _, values = jax.jit(fit)(start, jax.random.split(subject.key, _STEPS))
    return float(np.asarray(values, np.float64)[-_LAST:].mean())


LAWS = (separation, value, optimum)
