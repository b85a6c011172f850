"""Boltzmann machines: what follows from the energy of a bipartite one alone.

    p(x) = exp(-F(x)) / Z,    grad log p(x) = -grad F(x) + E_p[grad F],

the first term towards the data, the second, the negative phase, away from what the machine itself
would draw. A chain of Gibbs sweeps draws from p in the end. log Z is a sum over the states of the
smaller side; where that is too much it is estimated along a path from independent units
(`jaxgen/evaluation/annealed.py`).

A concrete machine is final and brings its parameters (`joint`), its players and their losses. Its
left side begins with the units that are seen; a deep machine has hidden ones behind them.

*Differs from the papers:* the visible biases begin at 0 and not at the logits of the data's means.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float

from jaxgen.distributions.observation import Bernoulli
from jaxgen.distributions.path import Path
from jaxgen.energy.bipartite import (
    EXACT,
    Bipartite,
    Units,
    draw_left,
    draw_right,
    free_energy,
    gibbs,
    is_summable,
    log_partition,
    log_partition_of_base,
    tempered,
    transposed,
)
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables

INITIAL_STD = 0.01  # of weights

Keep = Callable[[jax.Array], jax.Array]  # left units [B, L] -> the same, some of them held


class BoltzmannMachine(ABC):
    """A bipartite Boltzmann machine, abstract. Subclasses are frozen dataclasses, and final."""

    if TYPE_CHECKING:  # at run time fields of the dataclass, or properties

        @property
        def shape(self) -> tuple[int, ...]:
            """The shape of one example."""
            ...

        @property
        def observation(self) -> Units:
            """The kind of the visible units."""
            ...

        @property
        def sweeps(self) -> int:
            """The Gibbs sweeps of a fresh chain before it is a sample."""
            ...

    @property
    @abstractmethod
    def sides(self) -> tuple[int, int]:
        """The numbers of left and of right units."""

    @abstractmethod
    def init(self, key: Key) -> Variables:
        """Return fresh variables, {network: Linen variables}."""

    @abstractmethod
    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""

    @abstractmethod
    def joint(self, variables: Variables) -> Bipartite:
        """Return the parameters as those of one bipartite machine."""

    @property
    def dim(self) -> int:
        """The number of visible units."""
        return math.prod(self.shape)

    @property
    def is_tractable(self) -> bool:
        """True where log Z can be summed over the states of one side."""
        return is_summable(*self.sides, self.observation)

    def log_partition(self, variables: Variables) -> Float[jax.Array, ""]:
        """Return log Z, exact.

        Raises:
          ConfigError: both sides have too many states to sum over.
        """
        if not self.is_tractable:
            left, right = self.sides
            raise ConfigError(
                f"log Z of {left} and {right} units: one side must be binary and have at most "
                f"{EXACT}\nTry: jaxgen.evaluation.annealed.log_partition, which estimates it"
            )
        return log_partition(self.joint(variables), self.observation)

    def annealing(
        self,
        variables: Variables,
        base: Float[Array, " d"] | None = None,
    ) -> Path:
        """Return the path from independent units to this machine.

        Salakhutdinov & Murray, 2008, "On the quantitative analysis of deep belief networks", and
        Salakhutdinov & Hinton, 2009. States are the left units, or the right ones where the left
        side has hidden ones: then what is seen is summed out.

        Args:
          variables: of the model.
          base: biases of the visible units at the beginning, flat; 0 by default. The path is short
            if they are those of independent pixels (`annealed.base_rates`).
        """
        units = self.observation
        machine = self.joint(variables)
        num_left, num_right = self.sides
        first = jnp.zeros(num_left, machine.left.dtype)
        if base is not None:
            first = first.at[: self.dim].set(jnp.asarray(base, first.dtype))
        flipped = num_left > self.dim

        def at(beta: Array) -> Bipartite:
            found = tempered(machine, first, beta)
            return transposed(found) if flipped else found

        def start(
            key: Key,
            num: int,
        ) -> jax.Array:
            beginning = at(jnp.zeros((), first.dtype))
            nothing = jnp.zeros((num, len(beginning.right)), first.dtype)
            return draw_left(beginning, units, key, nothing)

        def log_density(
            x: jax.Array,
            beta: Array,
        ) -> jax.Array:
            return -free_energy(at(beta), units, x)

        def move(
            key: Key,
            x: jax.Array,
            beta: Array,
        ) -> jax.Array:
            return gibbs(at(beta), units, key, x)

        log_base = log_partition_of_base(first, units, num_right)
        return Path(log_base, start, log_density, move)

    def fresh_chains(
        self,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b l"]:
        """Return left units of `num` chains that know nothing of the machine: noise."""
        params = jnp.zeros((num, self.sides[0], 1))
        return jnp.asarray(self.observation.sample(params, key))

    def swept(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b l"],
        sweeps: int,
        keep: Keep | None = None,
    ) -> Float[jax.Array, "b l"]:
        """Return left units after so many Gibbs sweeps.

        Args:
          variables: of the model.
          key: of the draws.
          x: left units.
          sweeps: how many.
          keep: applied to them after each sweep, to hold some.
        """
        machine = self.joint(variables)

        def sweep(
            x: jax.Array,
            key: Key,
        ) -> tuple[jax.Array, None]:
            x = gibbs(machine, self.observation, key, x)
            return (keep(x) if keep else x), None

        begun = jnp.asarray(x, machine.left.dtype)
        swept, _ = jax.lax.scan(sweep, begun, jax.random.split(key, sweeps))
        return swept

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[Array, "b ..."]:
        """Return the ends of `num` fresh chains, [num, *shape]: draws from p(x) if they mix."""
        start_key, key = jax.random.split(key)
        start = self.fresh_chains(start_key, num)
        x = self.swept(variables, key, start, self.sweeps)
        return self.seen(x)

    def complete(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
        mask: Bool[Array, "..."],
    ) -> Float[jax.Array, "b ..."]:
        """Fill in what is unknown by Gibbs sweeps with the known elements held.

        Args:
          variables: of the model.
          key: of the draws.
          x: [B, *shape]; its values where `mask` is False do not matter.
          mask: [*shape] or [B, *shape], True where x is known; the result is equal to x there.
        """
        start_key, key = jax.random.split(key)
        start = self.fresh_chains(start_key, x.shape[0])
        known = jnp.broadcast_to(mask, x.shape).reshape(x.shape[0], -1)  # [B, D]
        given = jnp.asarray(x, start.dtype).reshape(x.shape[0], -1)

        def keep(left: jax.Array) -> jax.Array:
            seen = jnp.where(known, given, left[:, : self.dim])
            return left.at[:, : self.dim].set(seen)

        return self.seen(self.swept(variables, key, keep(start), self.sweeps, keep))

    def seen(self, left: Float[Array, "b l"]) -> Float[jax.Array, "b ..."]:
        """Return the visible ones of left units, [B, *shape]."""
        return jnp.asarray(left[:, : self.dim]).reshape(-1, *self.shape)

    def right_draws(
        self,
        variables: Variables,
        key: Key,
        left: Float[Array, "b l"],
    ) -> Float[jax.Array, "b r"]:
        """Return draws of the right units given the left ones."""
        return draw_right(self.joint(variables), self.observation, key, left)


def flat(x: Float[Array, "b ..."]) -> Float[jax.Array, "b d"]:
    """Return examples as rows."""
    return jnp.asarray(x).reshape(x.shape[0], -1)


def require_binary(
    units: Units,
    what: str,
) -> None:
    """Raise ConfigError unless the units are binary."""
    if not isinstance(units, Bernoulli):
        raise ConfigError(f"observation: got {type(units).__name__}, but {what} has binary units")
