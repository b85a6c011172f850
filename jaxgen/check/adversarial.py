"""Laws of adversarial games: their costs at the model's own networks, and what D can reach."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen import losses
from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.evaluation.guard import judges_alone
from jaxgen.train import Player, TrainState, update

_NUM = 8  # samples of which each has a gradient of its own
_POINTS = 4  # of the frozen game
_STEPS = 1500
_NEAR = 0.15  # nats


def separation(subject: Subject) -> list[Law]:
    """A sample depends on its own noise alone."""
    model, variables = subject.model, subject.variables
    z = model.latents(subject.key, _NUM)
    decode = jax.jit(model.decode)
    changed = z.at[1:].set(model.latents(jax.random.key(1), _NUM - 1))
    rest = largest_difference(decode(variables, z)[0], decode(variables, changed)[0])
    own = largest_difference(decode(variables, z)[1:], decode(variables, changed)[1:])
    return [
        at_most(
            "a sample does not depend on the others",
            rest,
            1e-6,
            "largest difference",
            "New noise in all other rows of a batch leaves this row's sample as it was.",
        ),
        at_least(
            "a sample depends on its noise",
            own,
            1e-6,
            "largest difference",
            "Rows with new noise change.",
        ),
    ]


def value(subject: Subject) -> list[Law]:
    """V in float32 is V in float64, and the generator's three costs keep their identities."""
    if not judges_alone(subject.model):
        return []
    model, variables = subject.model, subject.variables
    fake = jax.jit(lambda v, k: model.logits(v, model.sample(v, k, len(subject.x))))
    logits = [jax.jit(model.logits)(variables, subject.x), fake(variables, subject.key)]
    real, fake = (np.asarray(x, np.float64) for x in logits)
    exact = np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()
    return [
        at_most(
            "-V = E softplus(-l) + E softplus(l)",
            abs(float(losses.discriminator_cost(*logits)) - exact) / max(1.0, exact),
            1e-5,
            "relative difference",
            "The discriminator's cost at its own logits equals the same sum in float64.",
        ),
        *_slopes(subject),
    ]


def _slopes(subject):
    """The three costs' slopes, sample by sample, are multiples of one another."""
    model, variables = subject.model, subject.variables
    z = model.latents(subject.key, _NUM)
    others = {name: v for name, v in variables["generator"].items() if name != "params"}

    def logit(params, z):
        own = {**variables, "generator": {**others, "params": params}}
        return model.logits(own, model.decode(own, z[None]))[0]

    def slope(cost):
        each = jax.grad(lambda params, z: cost(logit(params, z)))
        trees = jax.jit(jax.vmap(each, (None, 0)))(variables["generator"]["params"], z)
        return np.concatenate([np.asarray(x).reshape(_NUM, -1) for x in jax.tree.leaves(trees)], 1)

    # D and 1 - D from the logit in float64: 1 - D of a sure discriminator has no digits in float32.
    logits = jax.jit(jax.vmap(logit, (None, 0)))(variables["generator"]["params"], z)
    largest = losses.LARGEST_LOGIT
    odds = np.exp(np.clip(np.asarray(logits, np.float64), -largest, largest))[:, None]
    inside = (np.abs(np.asarray(logits)) < largest)[:, None]  # beyond it the last cost is constant
    minimax = slope(losses.minimax_cost)
    pairs = {
        "non-saturating = minimax (1 - D) / D": (losses.non_saturating_cost, 1 / odds),
        "maximum likelihood = minimax / (1 - D)": (losses.maximum_likelihood_cost, 1 + odds),
    }
    found = {name: (slope(cost), minimax * factor) for name, (cost, factor) in pairs.items()}
    return [
        at_most(
            f"slopes: {name}",
            np.abs(inside * (a - b)).max() / max(np.abs(inside * b).max(), 1e-30),
            1e-3,
            "relative difference",
            "Gradients of the generator's parameters, sample by sample, at this discriminator.",
        )
        for name, (a, b) in found.items()
    ]


def optimum(subject: Subject) -> list[Law]:
    """On frozen points of known weights D's best value is known, and D can reach it.

    The points are examples: samples of a generator that has hardly begun are all but one point.
    """
    if not judges_alone(subject.model):
        return []
    model = subject.model
    points = subject.x[:_POINTS]
    p, q = np.random.default_rng(0).dirichlet(np.ones(_POINTS), 2)
    best = float((p * np.log(p / (p + q))).sum() + (q * np.log(q / (p + q))).sum())

    def loss(variables, batch, key):
        del batch, key  # without the noise of training, which would hide the points
        logits = model.logits(variables, points)
        real, fake = jax.nn.softplus(-logits), jax.nn.softplus(logits)
        return (p * real + q * fake).sum(), ({}, {})

    player = Player("discriminator", ("discriminator",), loss, optax.adam(5e-3))
    params = {"discriminator": subject.variables["discriminator"]["params"]}
    opt_state = {"discriminator": player.tx.init(params)}
    state = TrainState(jnp.zeros((), jnp.int32), subject.key, subject.variables, opt_state)

    def move(state, key):
        state, metrics = update(player, state, {}, key)
        return state, -metrics["loss"]

    keys = jax.random.split(subject.key, _STEPS)
    _, values = jax.jit(lambda s: jax.lax.scan(move, s, keys))(state)
    values = np.asarray(values, np.float64)
    return [
        at_most(
            "D reaches its optimum on frozen points",
            abs(float(best - values[-100:].mean())),
            _NEAR,
            "nats",
            f"Over {_POINTS} examples of known weights p and q the optimum of V is E_p log p/(p+q) "
            f"+ E_q log q/(p+q) = {best:.4f}; {_STEPS} steps of this discriminator come near it.",
        ),
    ]


LAWS = (separation, value, optimum)
