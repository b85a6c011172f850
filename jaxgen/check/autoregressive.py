"""Laws of autoregressive models, on the model itself at its real configuration.

If no conditional reads its own element or a later one (the Jacobian), and each conditional is a
distribution (its sum over the values), then the product of them sums to one: by induction from the
last element to the first. Both are checked where the model really is, and besides them the sum over
every state of the last elements given the others, in one piece.

The sampler is checked without a second sampler. If x was drawn with the noise of a key, drawing
every element anew from the conditionals *at x* with the same noise must give x again; by causality
there is but one such x, the one that drawing element by element with full passes would give.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.autoregressive import chain_rule
from jaxgen.check.law import Law, Subject, at_least, at_most

_SITES = 64  # rows of the Jacobian
_STATES = 256  # of the last elements
_SIGMAS = 5.0
_NUM = 64  # samples


def causality(subject: Subject) -> list[Law]:
    """The Jacobian of the conditionals is zero but at the dependencies, and not zero there."""
    model, dim = subject.model, math.prod(subject.model.shape)
    sites = np.unique(np.linspace(0, dim - 1, min(dim, _SITES)).astype(int))
    depends = model.dependencies()[sites]
    rank = np.argsort(model.order)
    later = rank[None, :] >= rank[sites][:, None]
    slopes = _slopes(subject, sites)
    reached = (slopes > 0)[depends].mean() if depends.any() else 1.0
    where = f"{len(sites)} of {dim} conditionals against all elements, at 4 test examples"
    return [
        at_most(
            "no conditional reads its own or a later element",
            slopes[later].max(),
            0.0,
            "largest |slope|",
            f"Jacobian of {where}; order: {_describe(model)}.",
        ),
        at_most(
            "a conditional reads nothing outside its field",
            slopes[~depends].max(),
            0.0,
            "largest |slope|",
            f"The exact dependency set of this architecture, {where}.",
        ),
        at_least(
            "a conditional reads all of its field",
            reached,
            0.99,
            "share of the field",
            f"Slopes that are not zero, {where} (some may underflow).",
        ),
    ]


def normalisation(subject: Subject) -> list[Law]:
    """Every conditional is a distribution, and so is the density of the last elements."""
    model, condition = subject.model, subject.conditions(8)
    x = subject.x[:8]
    params = jax.jit(model.conditionals)(subject.variables, x, **condition)
    total, _, _ = _moments(model.observation, params)
    laws = [
        at_most(
            "p(x_i | x_<i) sums to 1",
            jnp.abs(total - 1).max(),
            1e-4,
            "largest |sum - 1|",
            f"Over all values of each of {params[0, ..., 0].size} elements of 8 test examples.",
        )
    ]
    if model.observation.values is not None and model.observation.values <= _STATES:
        laws.append(_tail(subject))
    return laws


def agreement(subject: Subject) -> list[Law]:
    """Draws have the log-density that the conditionals say they have: a martingale."""
    model, condition = subject.model, subject.conditions(_NUM)
    x = _sample(subject, condition)
    params = jax.jit(model.conditionals)(subject.variables, x, **condition)
    _, mean, square = _moments(model.observation, params)
    excess = model.observation.log_prob(params, x) - mean
    variance = jnp.maximum(square - mean**2, 0).sum()
    error = jnp.sqrt(variance) + 1e-5 * (1 + jnp.abs(mean).sum())
    return [
        at_most(
            "draws follow the density",
            jnp.abs(excess.sum()) / error,
            _SIGMAS,
            "standard errors",
            f"sum_i log p(x_i | x_<i) minus its conditional mean, over {_NUM} draws: mean 0.",
        )
    ]


def sampler(subject: Subject) -> list[Law]:
    """The fast sampler draws what full forward passes draw, and completes what it is given."""
    model, condition = subject.model, subject.conditions(_NUM)
    x = _sample(subject, condition)
    params = jax.jit(model.conditionals)(subject.variables, x, **condition)
    params = params.reshape(_NUM, -1, params.shape[-1])
    choose = chain_rule.drawing(model.observation, subject.key)
    sites = jnp.arange(params.shape[1])
    again = jax.jit(jax.vmap(choose, in_axes=(0, 1), out_axes=1))(sites, params)
    difference = np.abs(np.asarray(again).reshape(x.shape) - x)
    real = model.observation.values is None
    wrong = (difference > (1e-3 * (1 + np.abs(x)) if real else 0)).sum()
    return [
        at_most(
            "fast sampling = naive sampling",
            wrong,
            0,
            "elements that differ",
            f"{x.size} elements of {_NUM} draws, redrawn from a full pass with the same noise.",
        ),
        _completion(subject),
    ]


LAWS = (causality, normalisation, agreement, sampler)


def _slopes(subject, sites):
    """|d (a random mixture of the parameters of each site) / d x|, the largest of 4, [S, D]."""
    model, key = subject.model, subject.key
    projection = jax.random.normal(key, (model.observation.num_params,))
    condition = subject.conditions(4)

    @jax.jit
    def rows(x, condition):
        def outputs(x):
            params = model.conditionals(subject.variables, x[None], **condition)
            return params.reshape(-1, params.shape[-1]) @ projection

        dim = math.prod(model.shape)
        _, pull = jax.vjp(outputs, x)
        return jax.lax.map(lambda s: pull(jax.nn.one_hot(s, dim))[0].reshape(-1), sites)

    largest = 0.0
    for i in range(len(subject.x[:4])):
        one = {name: value[i : i + 1] for name, value in condition.items()}
        # A little off the whole numbers, where a table or a rectifier may have a kink.
        largest = np.maximum(largest, np.abs(rows(subject.x[i] + 0.01, one)))
    return largest


def _moments(observation, params):
    """For each element, over its values: sum of p, and the means of log p and of its square."""
    points, width = observation.grid(params)
    width = jnp.broadcast_to(width, points.shape)

    def add(total, point):
        log_prob = observation.log_prob(params, point[0])
        mass = jnp.exp(log_prob) * point[1]
        finite = jnp.where(mass > 0, log_prob, 0)  # 0 log 0 = 0
        return tuple(t + mass * finite**k for k, t in enumerate(total)), None

    zeros = jnp.zeros(points.shape[1:])
    total, _ = jax.jit(lambda p: jax.lax.scan(add, (zeros,) * 3, p))((points, width))
    return total


def _tail(subject):
    """The sum over every state of the last elements, given a test example's others."""
    model, order = subject.model, subject.model.order
    values, dim = model.observation.values, len(order)
    num = min(dim, int(math.log(_STATES) / math.log(values) + 1e-9))
    states = np.array(list(itertools.product(range(values), repeat=num)), np.float32)
    x = np.repeat(np.asarray(subject.x[:1]).reshape(1, -1), len(states), axis=0)
    x[:, order[-num:]] = states
    one = subject.conditions(1)
    condition = {name: np.repeat(value, len(x), axis=0) for name, value in one.items()}
    params = jax.jit(model.conditionals)(subject.variables, subject.x[:1], **one)
    log_prob = np.asarray(model.observation.log_prob(params, subject.x[:1])).reshape(-1)
    head = float(log_prob[order[:-num]].sum())
    x = jnp.asarray(x.reshape(-1, *model.shape))
    joint = np.asarray(jax.jit(model.log_prob)(subject.variables, x, **condition), np.float64)
    return at_most(
        "the density sums to 1 over the last elements",
        abs(np.exp(joint - head).sum() - 1),
        1e-5 * (1 + abs(head)),  # a difference of float32 sums
        "|sum - 1|",
        f"Over all {len(states)} states of the last {num} elements of a test example.",
    )


def _completion(subject):
    """Known elements are kept."""
    model, x = subject.model, subject.x[:8]
    known = np.zeros(math.prod(model.shape), bool)
    known[model.order[: known.size // 2]] = True
    known = jnp.asarray(known.reshape(model.shape))
    complete = jax.jit(model.complete)
    done = complete(subject.variables, subject.key, x, known, **subject.conditions(8))
    return at_most(
        "a completion keeps what is known",
        jnp.abs(jnp.where(known, done - x, 0)).max(),
        0.0,
        "largest difference",
        "The first half of the order given, of 8 test examples.",
    )


def _sample(subject, condition):
    sample = jax.jit(subject.model.sample, static_argnames="num")
    return np.asarray(sample(subject.variables, subject.key, num=_NUM, **condition))


def _describe(model: Any) -> str:
    ordering = getattr(model, "ordering", None)
    return "raster" if ordering is None else ordering.kind
