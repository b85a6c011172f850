"""Bipartite Boltzmann machines as functions of their parameters.

Units are on two sides, and no two of one side are joined. With left units x and right units y in
{0, 1} the energy, and what is left of it when the right side is summed out, the free energy, are

    E(x, y) = e(x) - c . y - (x / s^2) W y,    F(x) = e(x) - sum_j softplus(c + (x / s^2) W)_j,

    binary x:    e(x) = -b . x, s = 1;    real x:    e(x) = |x - b|^2 / (2 s^2),

so that p(y_j = 1 | x) = sigmoid((c + (x / s^2) W)_j), and p(x | y) has the parameter b + W y, a
logit or a mean. A restricted Boltzmann machine sees its left side; a deep one with layers v, h1,
h2, h3, ... has v, h2, ... on the left and h1, h3, ... on the right.

Smolensky, 1986, "Information processing in dynamical systems"; Welling, Rosen-Zvi & Hinton, 2004,
"Exponential family harmoniums", for real units.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.distributions.functions import LOG_2PI
from jaxgen.distributions.observation import Bernoulli, Gaussian
from jaxgen.typing import Array, Key

EXACT = 20  # units of one side whose states are summed over
_CHUNK = 12  # units whose states are held at once

Units = Bernoulli | Gaussian  # the left side; Gaussian with a fixed standard deviation


class Bipartite(NamedTuple):
    """The parameters of a machine.

    Attributes:
      weight: W [L, R].
      left: b [L].
      right: c [R].
    """

    weight: Array
    left: Array
    right: Array


def variance(units: Units) -> float:
    """Return s^2 of the left units, 1 of binary ones."""
    return 1.0 if isinstance(units, Bernoulli) else float(units.std or 1.0) ** 2


def right_logits(
    machine: Bipartite,
    units: Units,
    x: Float[Array, "b l"],
) -> Float[jax.Array, "b r"]:
    """Return the logits of p(y_j = 1 | x)."""
    scaled = x / variance(units)
    return jnp.asarray(scaled @ machine.weight + machine.right[None])


def left_params(
    machine: Bipartite,
    y: Float[Array, "b r"],
) -> Float[jax.Array, "b l"]:
    """Return b + W y, the logits or the means of p(x | y)."""
    return jnp.asarray(y @ machine.weight.T + machine.left[None])


def left_energy(
    machine: Bipartite,
    units: Units,
    x: Float[Array, "b l"],
) -> Float[jax.Array, " b"]:
    """Return e(x), the energy of the left units alone."""
    if isinstance(units, Bernoulli):
        return -jnp.asarray(x @ machine.left)
    squares = jnp.square(x - machine.left[None])
    return squares.sum(axis=-1) / (2 * variance(units))


def joint_energy(
    machine: Bipartite,
    units: Units,
    x: Float[Array, "b l"],
    y: Float[Array, "b r"],
) -> Float[jax.Array, " b"]:
    """Return E(x, y); it is linear in y, which may be a mean."""
    of_right = (y * right_logits(machine, units, x)).sum(axis=-1)
    return left_energy(machine, units, x) - of_right


def free_energy(
    machine: Bipartite,
    units: Units,
    x: Float[Array, "b l"],
) -> Float[jax.Array, " b"]:
    """Return F(x) = -log sum_y exp(-E(x, y)): log p(x) = -F(x) - log Z."""
    summed_out = jax.nn.softplus(right_logits(machine, units, x)).sum(axis=-1)
    return left_energy(machine, units, x) - summed_out


def draw_right(
    machine: Bipartite,
    units: Units,
    key: Key,
    x: Float[Array, "b l"],
) -> Float[jax.Array, "b r"]:
    """Draw y from p(y | x)."""
    logits = right_logits(machine, units, x)
    return Bernoulli().sample(logits[..., None], key)


def draw_left(
    machine: Bipartite,
    units: Units,
    key: Key,
    y: Float[Array, "b r"],
) -> Float[jax.Array, "b l"]:
    """Draw x from p(x | y)."""
    params = left_params(machine, y)
    return jnp.asarray(units.sample(params[..., None], key))


def gibbs(
    machine: Bipartite,
    units: Units,
    key: Key,
    x: Float[Array, "b l"],
) -> Float[jax.Array, "b l"]:
    """Make one sweep: y from p(y | x), then x from p(x | y). It leaves p(x) as it is."""
    right_key, left_key = jax.random.split(key)
    y = draw_right(machine, units, right_key, x)
    return draw_left(machine, units, left_key, y)


def states(
    num: int,
    first: jax.Array | int = 0,
    count: int | None = None,
) -> Float[jax.Array, "s n"]:
    """Return all states of `num` binary units, or `count` of them from number `first` on."""
    index = first + jnp.arange(2**num if count is None else count)
    bits = (index[:, None] >> jnp.arange(num)[None]) & 1
    return bits.astype(jnp.result_type(float))


def is_summable(
    num_left: int,
    num_right: int,
    units: Units,
) -> bool:
    """Return whether one side has few enough states to sum over."""
    left = num_left <= EXACT and isinstance(units, Bernoulli)
    return left or num_right <= EXACT


def log_partition(
    machine: Bipartite,
    units: Units,
) -> Float[jax.Array, ""]:
    """Return log Z exactly, summed over the states of the smaller binary side."""
    num_left, num_right = machine.weight.shape
    if num_left < num_right and isinstance(units, Bernoulli):
        return log_partition_by_left(machine, units)
    return log_partition_by_right(machine, units)


def log_partition_by_left(
    machine: Bipartite,
    units: Units,
) -> Float[jax.Array, ""]:
    """Return log Z = log sum_x exp(-F(x)) of binary units, 2^L terms."""

    def terms(x: jax.Array) -> jax.Array:
        return -free_energy(machine, units, x.astype(machine.left.dtype))

    return _log_sum_over_states(terms, len(machine.left))


def log_partition_by_right(
    machine: Bipartite,
    units: Units,
) -> Float[jax.Array, ""]:
    """Return log Z = log sum_y exp(c . y) Z(y), Z(y) the sum or integral over x; 2^R terms."""

    def terms(y: jax.Array) -> jax.Array:
        y = y.astype(machine.right.dtype)
        return jnp.asarray(y @ machine.right) + _log_of_left_sum(machine, units, y)

    return _log_sum_over_states(terms, len(machine.right))


def _log_of_left_sum(
    machine: Bipartite,
    units: Units,
    y: Float[Array, "b r"],
) -> Float[jax.Array, " b"]:
    """Return the log of the sum over x of exp(-e(x) + (x / s^2) W y)."""
    params = left_params(machine, y)
    if isinstance(units, Bernoulli):
        return jax.nn.softplus(params).sum(axis=-1)
    # A Gaussian integral: -|x - b|^2 + 2 x . W y = -|x - b - W y|^2 + |b + W y|^2 - |b|^2
    squares = jnp.square(params) - jnp.square(machine.left)[None]
    normaliser = 0.5 * (LOG_2PI + math.log(variance(units)))
    return (squares / (2 * variance(units)) + normaliser).sum(axis=-1)


def _log_sum_over_states(
    terms: Callable[[jax.Array], jax.Array],
    num: int,
) -> jax.Array:
    """Return log sum exp of `terms` over all states of `num` units, few at a time."""
    low = min(num, _CHUNK)

    @jax.checkpoint
    def of_chunk(number: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(terms(states(num, number * 2**low, 2**low)))

    numbers = jnp.arange(2 ** (num - low))
    return jnp.asarray(jax.nn.logsumexp(jax.lax.map(of_chunk, numbers)))


def tempered(
    machine: Bipartite,
    base: Float[Array, " l"],
    beta: Float[Array, ""] | float,
) -> Bipartite:
    """Return the machine between independent left units (beta = 0, bias `base`) and itself (1).

    The bias of the right units is scaled too: at 0 they are fair coins.
    """
    left = (1 - beta) * base + beta * machine.left
    return Bipartite(beta * machine.weight, left, beta * machine.right)


def log_partition_of_base(
    base: Float[Array, " l"],
    units: Units,
    num_right: int,
) -> Float[jax.Array, ""]:
    """Return log Z at beta = 0: of independent left units and `num_right` fair coins."""
    coins = num_right * math.log(2)
    if isinstance(units, Bernoulli):
        return jax.nn.softplus(base).sum() + coins
    return jnp.asarray(len(base) * 0.5 * (LOG_2PI + math.log(variance(units))) + coins, base.dtype)


def transposed(machine: Bipartite) -> Bipartite:
    """Return the machine with its sides exchanged, of binary units."""
    return Bipartite(machine.weight.T, machine.right, machine.left)
