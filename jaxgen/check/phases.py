"""Laws of learning in Boltzmann machines: the gradient is that of two phases.

    grad loss = E_data[grad F] - E_negative[grad F],

each a mean of statistics that are written down here, in float64.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.boltzmann import ROUNDING, States, logistic
from jaxgen.check.law import Law, Subject, at_most
from jaxgen.check.objectives import loss_of
from jaxgen.energy import bipartite
from jaxgen.state import owned_params
from jaxgen.typing import Variables

_SUMMED = 12  # hidden units whose states are summed over


def phases(subject: Subject) -> list[Law]:
    """Test that the gradient of the loss is the positive phase minus the negative one."""
    model = subject.model
    x = subject.x.reshape(len(subject.x), -1)
    players = subject.experiment.players()
    if model.learning == "exact":
        return []  # the loss is held against the claim
    (player,) = players
    (network,) = player.owns
    owned = owned_params(subject.variables, player)

    def of_params(params: Any) -> jax.Array:
        variables = {**subject.variables, network: {"params": params}}
        return loss_of(player, players, variables, subject.batch, subject.key)[0]

    slopes = jax.jit(jax.grad(of_params))(owned[network])
    drawn = jax.jit(model.negative)(subject.variables, subject.key, x)
    found = States(subject)
    positive = _statistics(found, x)
    negative = _statistics(found, drawn)
    expected = {name: negative[name] - positive[name] for name in positive}
    scale = max(np.abs(value).max() for value in positive.values())
    largest = max(np.abs(np.asarray(slopes[name]) - expected[name]).max() for name in expected)
    return [
        at_most(
            "the gradient is E_negative[dE] - E_data[dE]",
            largest / max(scale, 1.0),
            10 * ROUNDING,
            "relative difference",
            f"Statistics of {len(x)} examples and {len(drawn)} draws, against the gradient of the "
            "loss.",
        )
    ]


def _statistics(found: States, x: Any) -> dict[str, np.ndarray]:
    """Return the mean of minus dF by each parameter over states x [N, D]."""
    x = np.asarray(x, np.float64)
    scaled = x / found.variance
    p = logistic(scaled @ found.weight + found.right)
    of_left = x if found.is_binary else (x - found.left) / found.variance
    return {
        "weight": scaled.T @ p / len(x),
        "visible": of_left.mean(axis=0),
        "hidden": p.mean(axis=0),
    }


def layers(subject: Subject) -> list[Law]:
    """Test the gradient of a deep machine, and that updates of its means never lower the bound."""
    return [_gradient_of_layers(subject), _rising(subject)]


def _gradient_of_layers(subject: Subject) -> Law:
    """Test every weight: means of the data's pairs against those of the chains."""
    model = subject.model
    x = subject.x.reshape(len(subject.x), -1)
    players = subject.experiment.players()
    (player,) = players
    owned = owned_params(subject.variables, player)

    def of_params(params: Any) -> jax.Array:
        own = {name: {"params": value} for name, value in params.items()}
        variables = {**subject.variables, **own}
        return loss_of(player, players, variables, subject.batch, subject.key)[0]

    slopes = jax.jit(jax.grad(of_params))(owned)
    means = jax.jit(model.means)(subject.variables, x)
    chains = jax.jit(model.negative)(subject.variables, subject.key)
    positive = [np.asarray(part, np.float64) for part in (x, *means)]
    negative = _chain_layers(States(subject), model.sizes, np.asarray(chains, np.float64))
    largest = 0.0
    for number in range(1, len(model.sizes)):
        pairs = [_pairs(part[number - 1], part[number]) for part in (positive, negative)]
        found = np.asarray(slopes[f"layer_{number}"]["weight"])
        largest = max(largest, np.abs(found - (pairs[1] - pairs[0])).max())
    return at_most(
        "the gradient is E_chains[dE] - E_data[dE] at the mean field",
        largest,
        10 * ROUNDING,
        "largest difference",
        f"All weights of {len(model.hidden)} layers; {len(x)} examples and {len(chains)} chains.",
    )


def _chain_layers(
    found: States,
    sizes: tuple[int, ...],
    left: np.ndarray,
) -> list[np.ndarray]:
    """Return all layers of chains: the left ones as they are, the means of the right ones."""
    right = logistic(left @ found.weight + found.right)
    sides = []
    for side, first in ((left, 0), (right, 1)):
        ends = np.cumsum(sizes[first::2])
        sides.append(np.split(side, ends[:-1], axis=1))
    return [sides[number % 2][number // 2] for number in range(len(sizes))]


def _pairs(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return the means of products of units of two layers."""
    return below.T @ above / len(below)


def _rising(subject: Subject) -> Law:
    """Test the bound over the updates of the mean field."""
    model = subject.model
    x = subject.x.reshape(len(subject.x), -1)

    @jax.jit
    def bounds(variables: Variables) -> jax.Array:
        halves = tuple(jnp.full((len(x), size), 0.5) for size in model.hidden)

        def update(means: Any, _: None) -> tuple[Any, jax.Array]:
            found = model.bound_at(variables, x, means)
            return model.updated(variables, x, means), found

        return jax.lax.scan(update, halves, None, length=model.mean_field + 1)[1]

    found = np.asarray(bounds(subject.variables), np.float64)
    return at_most(
        "updates of the means never lower the bound",
        -np.diff(found, axis=0).min(),
        ROUNDING * (1 + np.abs(found).max()),
        "nats",
        f"Over {len(found) - 1} updates from halves, of {len(x)} examples.",
    )


def below_the_density(subject: Subject) -> list[Law]:
    """Test, where the hidden units are few, that the bound is below log p(x) of every example."""
    model = subject.model
    num = sum(model.hidden)
    if num > _SUMMED:
        return []
    x = subject.x.reshape(len(subject.x), -1)

    @jax.jit
    def both(variables: Variables) -> tuple[jax.Array, jax.Array]:
        hidden = bipartite.states(num)
        ends = np.cumsum(model.hidden)[:-1]

        def minus_energy(h: jax.Array) -> jax.Array:
            rows = jnp.broadcast_to(h, (len(x), num))
            units = tuple(jnp.split(rows, ends, axis=1))
            return -model.layered_energy(variables, x, units)

        exact = jax.nn.logsumexp(jax.lax.map(minus_energy, hidden), axis=0)
        return exact, model.mean_field_bound(variables, subject.x)

    exact, bound = (np.asarray(part, np.float64) for part in both(subject.variables))
    return [
        at_most(
            "the mean-field bound is below log p(x)",
            (bound - exact).max(),
            ROUNDING * (1 + np.abs(exact).max()),
            "nats",
            f"{len(x)} examples, summed over 2^{num} states of the hidden units; log Z is in both.",
        )
    ]
