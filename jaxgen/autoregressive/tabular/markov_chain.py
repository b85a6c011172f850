"""Markov chains AR(N): a table for each element, with a row for each window before it.

The logits of an AR(2) over four binary elements, a row for each prefix (window) that may precede:

    element    rows      given
    x_1        0         nothing
    x_2        1 .. 2    x_1 = 0, 1
    x_3        3 .. 6    x_1 x_2 = 00, 01, 10, 11
    x_4        7 .. 10   x_2 x_3 = 00, 01, 10, 11      (3 .. 6 once more in a stationary chain)
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.autoregressive.tabular.table import (
    INITIAL_STD,
    interpolation,
    observation_of,
    parameters_from,
    read_table,
    require_size,
    table_variables,
)
from jaxgen.distributions.observation import Bernoulli, Categorical
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class MarkovChain(Ordered):
    """AR(N) over elements with `levels` values; window 0 makes the elements independent.

    Attributes:
      shape: of one example; n elements.
      window: N, how many elements an element depends on.
      levels: m, values of an element.
      stationary: one table for all positions from the N-th on, rather than one each.
      ordering: which elements come before.
    """

    shape: tuple[int, ...]
    window: int
    levels: int = 2
    stationary: bool = False
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        last = math.prod(self.shape) - 1
        if not 0 <= self.window <= last:
            raise ConfigError(f"window: got {self.window}, expected 0 .. {last}")
        require_size(self.num_parameters)

    @property
    def observation(self) -> Bernoulli | Categorical:
        """The distribution of an element."""
        return observation_of(self.levels)

    @property
    def num_parameters(self) -> int:
        """The number of free parameters: rows of the table times m - 1."""
        last = self.first_row(math.prod(self.shape) - 1)
        num_rows = int(last + self.levels**self.window)
        return num_rows * (self.levels - 1)

    def dependencies(self) -> np.ndarray:
        """Return the `window` elements before, bool [n, n] at flat [i, j]."""
        rank = np.argsort(self.order)
        distance = rank[:, None] - rank[None, :]
        return earlier(self.order) & (distance <= self.window)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'table'}: logits [rows, m - 1] of 1 .. m - 1 against 0."""
        num_rows = self.num_parameters // (self.levels - 1)
        logits = INITIAL_STD * jax.random.normal(key, (num_rows, self.levels - 1))
        return table_variables(logits)

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("tabular", ("table",), self.likelihood_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "b ... p"]:
        """Return the parameters of every p(x_i | the `window` elements before)."""
        logits = variables["table"]["params"]["logits"]  # [rows, m - 1]
        weights = interpolation(self.in_drawing_order(x).T, self.levels)  # [B, n, m]
        first_rows = [self.first_row(t) for t in range(self.window + 1)]
        params = []
        # The first N elements have shorter prefixes.
        for t, (start, stop) in enumerate(pairwise(first_rows)):
            read = read_table(logits[start:stop], weights[:, :t])  # [B, m - 1]
            params.append(read[:, None])
        # The others have a table each, [n - N, m^N, m - 1], or all the same one, [1, m^N, m - 1].
        num_contexts = self.levels**self.window
        tables = logits[first_rows[-1] :].reshape(-1, num_contexts, self.levels - 1)
        positions = np.arange(self.window, weights.shape[1])
        windows = positions[:, None] + np.arange(-self.window, 0)  # [n - N, N]
        params.append(read_table(tables, weights[:, windows]))  # [B, n - N, m - 1]
        in_raster_order = jnp.concatenate(params, axis=1)[:, np.argsort(self.order)]
        return parameters_from(in_raster_order, self.levels).reshape(*x.shape, -1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element; the last N are kept as one number: O(1) an element.

        The number has the values of the window as its digits, in base m. For N = 2 and m = 2, after
        0, 1 it is 01 = 1; another 1 makes it 011, cut to its last two digits, 11 = 3.
        """
        logits = variables["table"]["params"]["logits"]  # [rows, m - 1]
        num_contexts = self.levels**self.window

        def draw_element(
            context: jax.Array, position: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            site, first_row = position
            params = parameters_from(logits[first_row + context], self.levels)  # [N, P]
            value = choose(site, params)  # [N]
            context = (context * self.levels + value.astype(jnp.int32)) % num_contexts
            return context, value

        sites = jnp.asarray(self.order)
        first_rows = jnp.asarray(self.first_row(np.arange(sites.size)))
        start = jnp.zeros(num, jnp.int32)
        _, drawn = jax.lax.scan(draw_element, start, (sites, first_rows))
        return self.in_raster_order(drawn)

    def first_row(self, t: Any) -> Any:
        """Return the first row of the table of the t-th position, or of each of several."""
        # 1 + m + ... + m^(min(t, N) - 1) rows for shorter prefixes
        num_short = np.minimum(t, self.window)
        rows_before = (self.levels**num_short - 1) // (self.levels - 1)
        if self.stationary:
            return rows_before
        # and m^N for each whole window before
        num_whole = np.maximum(t - self.window, 0)
        return rows_before + num_whole * self.levels**self.window


def independent(
    shape: tuple[int, ...],
    *,
    levels: int = 2,
) -> MarkovChain:
    """Return a model of independent elements, with n (m - 1) parameters."""
    return MarkovChain(shape, 0, levels)
