"""The full joint distribution: one table with a number for every state.

The conditionals are ratios of sums of it: of three binary elements

    p(x_1 = 1) = sum of 1__ / sum of ___,   p(x_2 = 1 | x_1 = 0) = sum of 01_ / sum of 0__,   ...
"""

import math
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.autoregressive.tabular.table import (
    INITIAL_STD,
    interpolation,
    observation_of,
    parameters_from,
    place_values,
    read_table,
    require_size,
    table_variables,
)
from jaxgen.distributions.observation import Bernoulli, Categorical
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class JointTable(Ordered):
    """The full joint distribution: a softmax over all m^n states, the first logit pinned at 0.

    Attributes:
      shape: of one example; n elements.
      levels: m, values of an element.
      ordering: in which elements are drawn; the distribution does not depend on it.
    """

    shape: tuple[int, ...]
    levels: int = 2
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        require_size(self.num_parameters)

    @property
    def observation(self) -> Bernoulli | Categorical:
        """The distribution of an element."""
        return observation_of(self.levels)

    @property
    def num_parameters(self) -> int:
        """The number of free parameters: m^n - 1."""
        return self.levels ** math.prod(self.shape) - 1

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'table'}: logits [m^n - 1] of all states but the first."""
        logits = INITIAL_STD * jax.random.normal(key, (self.num_parameters,))
        return table_variables(logits)

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("tabular", ("table",), self.likelihood_loss, tx),)

    def log_prob(  # type: ignore[override]  # a table is given nothing
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, " b"]:
        """Return log p(x) per example, in nats: the state's entry of the table."""
        values = self.in_drawing_order(x).T.astype(jnp.int32)  # [B, n]
        # A state is the number whose digits are its values.
        digits = jnp.asarray(place_values(self.levels, values.shape[1]))  # [n]
        state = values @ digits  # [B]
        return jax.nn.log_softmax(self._logits(variables))[state]

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "b ... p"]:
        """Return the parameters of every p(x_i | x_<i), from the marginals of all prefixes."""
        weights = interpolation(self.in_drawing_order(x).T, self.levels)  # [B, n, m]
        tables = self._prefix_tables(variables)
        # The t-th element has the t before it as its prefix: [B, m - 1] each.
        params = [read_table(table, weights[:, :t]) for t, table in enumerate(tables)]
        in_raster_order = jnp.stack(params, axis=1)[:, np.argsort(self.order)]  # [B, n, m - 1]
        return parameters_from(in_raster_order, self.levels).reshape(*x.shape, -1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element; the prefix is kept as one number: O(1) an element."""
        prefix = jnp.zeros(num, jnp.int32)
        drawn = []
        for site, table in zip(self.order, self._prefix_tables(variables), strict=True):
            params = parameters_from(table[prefix], self.levels)  # [N, P]
            value = choose(jnp.asarray(site), params)  # [N]
            prefix = prefix * self.levels + value.astype(jnp.int32)
            drawn.append(value)
        return self.in_raster_order(jnp.stack(drawn))

    def _logits(self, variables: Variables) -> jax.Array:
        """Return the logits of all states, [m^n]."""
        logits = variables["table"]["params"]["logits"]
        return jnp.concatenate([jnp.zeros(1, logits.dtype), logits])

    def _prefix_tables(self, variables: Variables) -> list[jax.Array]:
        """Return for each t the logits [m^t, m - 1] of the t-th element, by prefix."""
        # mass [m^(t+1)]: the log-mass of every prefix of t + 1 elements, from t = n - 1 down
        mass = self._logits(variables)
        tables = []
        for _ in range(math.prod(self.shape)):
            by_value = mass.reshape(-1, self.levels)  # [m^t, m]: the last element apart
            tables.append(by_value[:, 1:] - by_value[:, :1])
            mass = jax.nn.logsumexp(by_value, axis=1)  # summed over it
        return tables[::-1]
