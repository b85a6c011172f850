"""Laws of Boltzmann machines, at the parameters of the run: energy, conditionals and path.

The energy is written down again here, in float64, from the machine's weights and biases alone:

    E(x, y) = e(x) - c . y - (x / s^2) W y;

that the free energy and both conditionals belong to it is what makes a Gibbs sweep leave
p(x) = exp(-F(x)) / Z as it is, and exp(-F) what annealed importance sampling ends at.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_most
from jaxgen.distributions.observation import Bernoulli
from jaxgen.energy import bipartite
from jaxgen.typing import Variables

_NUM = 32
_DRAWS = 4000
_SIGMAS = 6.0  # of the largest of some thousand units
ROUNDING = 1e-5  # relative to the terms of a sum in float32
_STATES = 10  # units of a side, of which the transitions are written out
_SUMMED = 14  # units of a side whose states are summed over, both ways


class States:
    """A machine's parameters in float64, and states of it."""

    def __init__(
        self,
        subject: Subject,
    ):
        model = subject.model
        self.units = model.observation
        self.machine = jax.jit(model.joint)(subject.variables)
        self.weight, self.left, self.right = (np.asarray(part, np.float64) for part in self.machine)
        chain_key, left_key, right_key = jax.random.split(subject.key, 3)
        start = model.fresh_chains(chain_key, _NUM)
        swept = jax.jit(model.swept, static_argnames="sweeps")
        self.x = swept(subject.variables, left_key, start, sweeps=3)
        self.y = jax.jit(model.right_draws)(subject.variables, right_key, self.x)
        self.variance = bipartite.variance(self.units)

    @property
    def is_binary(self) -> bool:
        """True where the left units are."""
        return isinstance(self.units, Bernoulli)

    def energy(self, x: Any, y: Any) -> np.ndarray:
        """Return E(x, y), [B]."""
        x = np.asarray(x, np.float64)
        y = np.asarray(y, np.float64)
        pairs = ((x / self.variance) @ self.weight * y).sum(axis=1)
        biases = y @ self.right
        if self.is_binary:
            return -(x @ self.left) - biases - pairs
        squares = np.square(x - self.left).sum(axis=1)
        return squares / (2 * self.variance) - biases - pairs

    def scale(self) -> float:
        """Return the size of an energy's terms, of which float32 keeps seven digits."""
        parts = [np.abs(part).sum() for part in (self.weight, self.left, self.right)]
        return 1 + float(sum(parts)) * max(1.0, float(np.abs(self.x).max()) / self.variance)


def conditionals(subject: Subject) -> list[Law]:
    """Test that the free energy and both conditionals belong to one energy."""
    found = States(subject)
    bound = ROUNDING * found.scale()

    @jax.jit
    def of_model(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = bipartite.right_logits(found.machine, found.units, x)
        given_left = Bernoulli().log_prob(logits[..., None], y).sum(axis=-1)
        return bipartite.free_energy(found.machine, found.units, x), given_left

    free, of_right = np.asarray(of_model(found.x, found.y), np.float64)
    summed_out = np.abs(free - of_right - found.energy(found.x, found.y))
    return [
        at_most(
            "F(x) = E(x, y) + log p(y | x)",
            summed_out.max(),
            bound,
            "nats",
            f"Whatever y: over {_NUM} states of the machine, the energy made of its weights.",
        ),
        at_most(
            "log p(x | y) - log p(x' | y) = E(x', y) - E(x, y)",
            _left_differences(found),
            bound,
            "nats",
            "For other left units beside the same right ones.",
        ),
    ]


def _left_differences(found: States) -> float:
    """Return the largest error of differences of log p(x | y) between two x and the same y."""
    others = np.roll(np.asarray(found.x), 1, axis=0)
    params = bipartite.left_params(found.machine, found.y)[..., None]

    @jax.jit
    def of_left(x: jax.Array) -> jax.Array:
        return found.units.log_prob(params, x).sum(axis=-1)

    difference = np.asarray(of_left(found.x), np.float64) - np.asarray(of_left(others), np.float64)
    expected = found.energy(others, found.y) - found.energy(found.x, found.y)
    return float(np.abs(difference - expected).max())


def draws(subject: Subject) -> list[Law]:
    """Test that draws of either side have the means that its conditional gives."""
    found = States(subject)
    left_key, right_key = jax.random.split(subject.key)
    x = jnp.repeat(found.x[:1], _DRAWS, axis=0)
    y = jnp.repeat(found.y[:1], _DRAWS, axis=0)
    drawn_right = jax.jit(bipartite.draw_right, static_argnums=1)(
        found.machine, found.units, right_key, x
    )
    drawn_left = jax.jit(bipartite.draw_left, static_argnums=1)(
        found.machine, found.units, left_key, y
    )
    logits = np.asarray(found.x[0], np.float64) / found.variance @ found.weight + found.right
    params = found.weight @ np.asarray(found.y[0], np.float64) + found.left
    of_right = _z_scores(drawn_right, logistic(logits), None)
    if found.is_binary:
        of_left = _z_scores(drawn_left, logistic(params), None)
    else:
        of_left = _z_scores(drawn_left, params, found.variance)
    return [
        at_most(
            f"draws have the means of p({name})",
            np.abs(scores).max(),
            _SIGMAS,
            "standard errors",
            f"{_DRAWS} draws of {len(scores)} units at one state of the other side.",
        )
        for name, scores in (("y | x", of_right), ("x | y", of_left))
    ]


def logistic(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-l))."""
    return 1 / (1 + np.exp(-logits))


def _z_scores(drawn: Any, mean: np.ndarray, variance: float | None) -> np.ndarray:
    """Return the errors of the means of draws [N, U], in standard errors; binary by default."""
    spread = mean * (1 - mean) if variance is None else np.full_like(mean, variance)
    error = np.asarray(drawn, np.float64).mean(axis=0) - mean
    # Of a unit that is hardly ever drawn the count is Poisson: few draws are no many sigmas.
    return error / np.sqrt(np.maximum(spread, 10 / _DRAWS) / _DRAWS)


def invariance(subject: Subject) -> list[Law]:
    """Test, on a machine small enough, that a Gibbs sweep leaves p(x) as it is."""
    found = States(subject)
    num_left, num_right = found.weight.shape
    if not found.is_binary or max(num_left, num_right) > _STATES:
        return []

    @jax.jit
    def of_model() -> tuple[jax.Array, jax.Array, jax.Array]:
        x = bipartite.states(num_left)
        y = bipartite.states(num_right)
        free = bipartite.free_energy(found.machine, found.units, x)
        of_right = _log_probs(bipartite.right_logits(found.machine, found.units, x), y)
        of_left = _log_probs(bipartite.left_params(found.machine, y), x)
        return jax.nn.softmax(-free), jnp.exp(of_right), jnp.exp(of_left)

    p, up, down = (np.asarray(part, np.float64) for part in of_model())
    after = p @ up @ down
    return [
        at_most(
            "a Gibbs sweep leaves p(x) as it is",
            np.abs(after - p).max(),
            ROUNDING,
            "largest difference",
            f"Over all {len(p)} states of the left side, through all {up.shape[1]} of the right.",
        )
    ]


def _log_probs(logits: jax.Array, values: jax.Array) -> jax.Array:
    """Return log p of each state [V, U] under each row of logits [B, U], [B, V]."""
    return logits @ values.T - jax.nn.softplus(logits).sum(axis=-1)[:, None]


def partition(subject: Subject) -> list[Law]:
    """Test, on a machine small enough, that log Z is the same summed over either side."""
    found = States(subject)
    sizes = found.weight.shape
    if not found.is_binary or max(sizes) > _SUMMED:
        return []
    both = jax.jit(
        lambda machine: (
            bipartite.log_partition_by_left(machine, found.units),
            bipartite.log_partition_by_right(machine, found.units),
        )
    )
    by_left, by_right = both(found.machine)
    return [
        at_most(
            "log Z over x = log Z over y",
            abs(float(by_left) - float(by_right)),
            ROUNDING * found.scale(),
            "nats",
            f"2^{sizes[0]} states of the left side, 2^{sizes[1]} of the right.",
        )
    ]


def path(subject: Subject) -> list[Law]:
    """Test both ends of the path that log Z is estimated on."""
    model = subject.model
    base = np.linspace(-1.0, 1.0, model.dim).astype(np.float32)

    @jax.jit
    def ends(variables: Variables) -> tuple[jax.Array, ...]:
        way = model.annealing(variables, base)
        x = way.start(subject.key, _NUM)
        zero = jnp.zeros((), x.dtype)
        return x, way.log_density(x, zero) - way.log_base, way.log_density(x, zero + 1)

    x, first, last = ends(subject.variables)
    found = States(subject)
    flipped = model.sides[0] > model.dim
    if flipped:
        independent = np.full(_NUM, -model.sides[1] * np.log(2))
        machine = bipartite.transposed(found.machine)
    else:
        independent = np.asarray(model.observation.log_prob(base[None, :, None], x).sum(axis=-1))
        machine = found.machine
    target = -bipartite.free_energy(machine, model.observation, x)
    bound = ROUNDING * found.scale()
    return [
        at_most(
            "the path begins at independent units",
            np.abs(np.asarray(first) - independent).max(),
            bound,
            "nats",
            "At beta = 0 log f - log Z is the log-probability of independent units.",
        ),
        at_most(
            "the path ends at the machine",
            np.abs(np.asarray(last) - np.asarray(target)).max(),
            bound,
            "nats",
            "At beta = 1 log f is minus the free energy.",
        ),
    ]


LAWS = (conditionals, draws, invariance, partition, path)
