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

from jaxgen.autoregressive.base import drawing
from jaxgen.check.law import Law, Subject, at_least, at_most

_SITES = 64  # rows of the Jacobian
_STATES = 256  # of the last elements
_SIGMAS = 5.0
_NUM = 64  # samples
_Moments = tuple[jax.Array, jax.Array, jax.Array]


def causality(subject: Subject) -> list[Law]:
    """Test that the Jacobian of the conditionals is zero but at the dependencies, and not there."""
    model = subject.model
    dim = math.prod(model.shape)
    sites = np.unique(np.linspace(0, dim - 1, min(dim, _SITES)).astype(int))  # [S]
    depends = model.dependencies()[sites]  # [S, D]
    rank = np.argsort(model.order)
    later = rank[None, :] >= rank[sites][:, None]  # [S, D]
    slopes = _slopes(subject, sites)  # [S, D]
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
    """Test that every conditional is a distribution, and the density of the last elements too."""
    observation = subject.model.observation
    params = _conditionals(subject, subject.x[:8], subject.conditions(8))  # [8, *shape, P]
    total, _, _ = _moments(observation, params)
    laws = [
        at_most(
            "p(x_i | x_<i) sums to 1",
            jnp.abs(total - 1).max(),
            1e-4,
            "largest |sum - 1|",
            f"Over all values of each of {params[0, ..., 0].size} elements of 8 test examples.",
        )
    ]
    if observation.values is not None and observation.values <= _STATES:
        laws.append(_tail(subject))
    return laws


def agreement(subject: Subject) -> list[Law]:
    """Test that draws have the log-density that the conditionals say they have: a martingale."""
    observation = subject.model.observation
    condition = subject.conditions(_NUM)
    x = _sample(subject, condition)
    params = _conditionals(subject, x, condition)
    _, mean, square = _moments(observation, params)
    excess = observation.log_prob(params, x) - mean
    # Each element's excess has mean 0 given those before it, so that the variances add up.
    variance = jnp.maximum(square - mean**2, 0).sum()
    error = jnp.sqrt(variance) + 1e-5 * (1 + jnp.abs(mean).sum())  # and a float32 sum's
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
    """Test that the fast sampler draws what full passes draw, and completes what it is given."""
    observation = subject.model.observation
    condition = subject.conditions(_NUM)
    x = _sample(subject, condition)
    params = _conditionals(subject, x, condition)
    params = params.reshape(_NUM, -1, params.shape[-1])  # [N, *shape, P] -> [N, D, P]
    choose = drawing(observation, subject.key)
    choose_all = jax.jit(jax.vmap(choose, in_axes=(0, 1), out_axes=1))
    again = choose_all(jnp.arange(params.shape[1]), params)  # [N, D]
    difference = np.abs(np.asarray(again).reshape(x.shape) - x)
    # Whole levels must be the same; real numbers differ by rounding.
    allowed = 1e-3 * (1 + np.abs(x)) if observation.values is None else 0
    return [
        at_most(
            "fast sampling = naive sampling",
            (difference > allowed).sum(),
            0,
            "elements that differ",
            f"{x.size} elements of {_NUM} draws, redrawn from a full pass with the same noise.",
        ),
        _completion(subject),
    ]


LAWS = (causality, normalisation, agreement, sampler)


def _conditionals(
    subject: Subject,
    x: Any,
    condition: dict[str, Any],
) -> jax.Array:
    """Return the parameters of all conditionals at x, [N, *shape, P]."""
    return jax.jit(subject.model.conditionals)(subject.variables, x, **condition)


def _slopes(subject: Subject, sites: np.ndarray) -> np.ndarray:
    """Return |d (a random mixture of the parameters of each site) / d x|, [S, D].

    It is the largest of four examples.
    """
    model = subject.model
    dim = math.prod(model.shape)
    projection = jax.random.normal(subject.key, (model.observation.num_params,))
    condition = subject.conditions(4)

    @jax.jit
    def slopes_at(x: jax.Array, condition: dict[str, Any]) -> jax.Array:
        def outputs(x: jax.Array) -> jax.Array:
            params = model.conditionals(subject.variables, x[None], **condition)
            return params.reshape(-1, params.shape[-1]) @ projection  # [D, P] @ [P]

        _, pull = jax.vjp(outputs, x)

        def row(site: jax.Array) -> jax.Array:
            (slope,) = pull(jax.nn.one_hot(site, dim))
            return slope.reshape(-1)  # [*shape] -> [D]

        return jax.lax.map(row, jnp.asarray(sites))

    largest = np.zeros((len(sites), dim), np.float32)
    for i, x in enumerate(subject.x[:4]):
        one = {name: value[i : i + 1] for name, value in condition.items()}
        # A little off the whole numbers, where a table or a rectifier may have a kink.
        slopes = np.abs(np.asarray(slopes_at(x + 0.01, one)))
        largest = np.maximum(largest, slopes)
    return largest


def _moments(observation: Any, params: jax.Array) -> _Moments:
    """Return for each element, over its values, the sum of p and the means of log p and its square.

    Each is [N, *shape].
    """
    points, width = observation.grid(params)  # [V, N, *shape]
    width = jnp.broadcast_to(width, points.shape)

    def add(
        moments: _Moments,
        cell: tuple[jax.Array, jax.Array],
    ) -> tuple[_Moments, None]:
        total, mean, square = moments
        point, size = cell
        log_prob = observation.log_prob(params, point)
        mass = jnp.exp(log_prob) * size
        finite = jnp.where(mass > 0, log_prob, 0)  # 0 log 0 = 0
        return (total + mass, mean + mass * finite, square + mass * finite**2), None

    @jax.jit
    def add_all(cells: tuple[jax.Array, jax.Array]) -> _Moments:
        zeros = jnp.zeros(points.shape[1:])
        moments, _ = jax.lax.scan(add, (zeros, zeros, zeros), cells)
        return moments

    return add_all((points, width))


def _tail(subject: Subject) -> Law:
    """Test the sum over every state of the last elements, given a test example's others."""
    model = subject.model
    order = model.order
    values = model.observation.values
    num = min(len(order), int(math.log(_STATES) / math.log(values) + 1e-9))
    states = np.array(list(itertools.product(range(values), repeat=num)), np.float32)
    # One example [1, *shape] with its last elements in every state, [states, D].
    example = np.asarray(subject.x[:1]).reshape(1, -1)
    x = np.repeat(example, len(states), axis=0)
    x[:, order[-num:]] = states
    one = subject.conditions(1)
    condition = {name: np.repeat(value, len(x), axis=0) for name, value in one.items()}
    params = _conditionals(subject, subject.x[:1], one)
    log_prob = np.asarray(model.observation.log_prob(params, subject.x[:1])).reshape(-1)  # [D]
    head = float(log_prob[order[:-num]].sum())
    completed = jnp.asarray(x.reshape(-1, *model.shape))  # [states, *shape]
    joint = jax.jit(model.log_prob)(subject.variables, completed, **condition)
    joint = np.asarray(joint, np.float64)
    return at_most(
        "the density sums to 1 over the last elements",
        abs(np.exp(joint - head).sum() - 1),
        1e-5 * (1 + abs(head)),  # a difference of float32 sums
        "|sum - 1|",
        f"Over all {len(states)} states of the last {num} elements of a test example.",
    )


def _completion(subject: Subject) -> Law:
    """Test that known elements are kept."""
    model = subject.model
    x = subject.x[:8]
    known = np.zeros(math.prod(model.shape), bool)
    known[model.order[: known.size // 2]] = True
    mask = jnp.asarray(known.reshape(model.shape))
    complete = jax.jit(model.complete)
    done = complete(subject.variables, subject.key, x, mask, **subject.conditions(8))
    return at_most(
        "a completion keeps what is known",
        jnp.abs(jnp.where(mask, done - x, 0)).max(),
        0.0,
        "largest difference",
        "The first half of the order given, of 8 test examples.",
    )


def _sample(subject: Subject, condition: dict[str, Any]) -> np.ndarray:
    """Return draws from the model, [N, *shape]."""
    sample = jax.jit(subject.model.sample, static_argnames="num")
    return np.asarray(sample(subject.variables, subject.key, num=_NUM, **condition))


def _describe(model: Any) -> str:
    """Return the kind of the model's order."""
    ordering = getattr(model, "ordering", None)
    return "raster" if ordering is None else ordering.kind
