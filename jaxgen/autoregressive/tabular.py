"""Tables: independent elements, Markov chains AR(N), and the full joint distribution.

The chain rule without any assumption needs a table with a row for every prefix, 2^n - 1 numbers
for n binary elements. Assuming that an element depends on the N before it leaves

    p(x) = prod_t p(x_t | x_{t-N}, ..., x_{t-1}),      (n - N + 1) 2^N - 1 numbers:

n for N = 0 (independent elements), 2n - 1 for AR(1), again 2^n - 1 for N = n - 1. One table for all
positions, a stationary chain, needs 2^N - 1 + 2^N. With m values the counts are those of `rows`
times m - 1. Maximum likelihood has a closed form: conditional frequencies (`fit`).

Between whole numbers, where no data lie, a table is read by linear interpolation, so that it has a
Jacobian like every other model.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Num

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.errors import ConfigError
from jaxgen.observation import Bernoulli, Categorical
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array

LARGEST_TABLE = 2**24  # numbers in a table: 64 MB
_LARGEST_LOGIT = 30.0  # exp(-30) is 1e-13: a count of zero


@dataclass(frozen=True)
class MarkovChain:
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

    tabular_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        if not 0 <= self.window < math.prod(self.shape):
            last = math.prod(self.shape) - 1
            raise ConfigError(f"window: got {self.window}, expected 0 .. {last}")
        _require_size(self.num_parameters)

    @property
    def observation(self) -> Bernoulli | Categorical:
        """What the parameters of an element mean."""
        return Bernoulli() if self.levels == 2 else Categorical(self.levels)

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [n]."""
        return self.ordering.permutation(self.shape)

    @property
    def num_parameters(self) -> int:
        """Free parameters: rows of the table times m - 1."""
        last = self._first_row(math.prod(self.shape) - 1)
        return int(last + self.levels**self.window) * (self.levels - 1)

    def dependencies(self) -> np.ndarray:
        """The `window` elements before, [n, n]."""
        rank = np.argsort(self.order)
        return earlier(self.order) & (rank[:, None] - rank[None, :] <= self.window)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'table'}: logits [rows, m - 1] of the values 1 .. m - 1 against 0."""
        shape = (self.num_parameters // (self.levels - 1), self.levels - 1)
        return {"table": {"params": {"logits": 0.01 * jax.random.normal(key, shape)}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("tabular", ("table",), self.tabular_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "b ... p"]:
        """Parameters of every p(x_i | the `window` elements before)."""
        logits, order, window = variables["table"]["params"]["logits"], self.order, self.window
        weights = _interpolation(x.reshape(x.shape[0], -1)[:, order], self.levels)
        first = [self._first_row(t) for t in range(window + 1)]
        params = [
            _read(logits[start:stop], weights[:, :t])[:, None]
            for t, (start, stop) in enumerate(pairwise(first))
        ]
        windows = np.arange(window, len(order))[:, None] + np.arange(-window, 0)
        tables = logits[first[-1] :].reshape(-1, self.levels**window, self.levels - 1)
        params.append(_read(tables, weights[:, windows]))
        params = jnp.concatenate(params, axis=1)[:, np.argsort(order)]
        return _parameters(params, self.levels).reshape(*x.shape, -1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b ..."]:
        """Element by element; the last N are kept as one number: O(1) an element."""
        logits, order = variables["table"]["params"]["logits"], self.order
        first_rows = self._first_row(np.arange(len(order)))

        def draw(context, position):
            site, first_row = position
            params = _parameters(logits[first_row + context], self.levels)
            value = choose(site, params)
            context = (context * self.levels + value.astype(jnp.int32)) % self.levels**self.window
            return context, value

        positions = (jnp.asarray(order), jnp.asarray(first_rows))
        _, values = jax.lax.scan(draw, jnp.zeros(num, jnp.int32), positions)
        return values.T[:, np.argsort(order)].reshape(num, *self.shape)

    def _first_row(self, t):
        """The first row of the table of the t-th position."""
        short = (self.levels ** np.minimum(t, self.window) - 1) // (self.levels - 1)
        later = 0 if self.stationary else np.maximum(t - self.window, 0) * self.levels**self.window
        return short + later


@dataclass(frozen=True)
class JointTable:
    """The full joint distribution: a softmax over all m^n states, the first logit pinned at 0.

    Attributes:
      shape: of one example; n elements.
      levels: m, values of an element.
      ordering: in which elements are drawn; the distribution does not depend on it.
    """

    shape: tuple[int, ...]
    levels: int = 2
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)

    tabular_loss = chain_rule.negative_log_prob
    sample, complete = chain_rule.sample, chain_rule.complete
    observation, order = MarkovChain.observation, MarkovChain.order
    players = MarkovChain.players

    def __post_init__(self):
        _require_size(self.num_parameters)

    @property
    def num_parameters(self) -> int:
        """Free parameters: m^n - 1."""
        return self.levels ** math.prod(self.shape) - 1

    def dependencies(self) -> np.ndarray:
        """Every earlier element, [n, n]."""
        return earlier(self.order)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'table'}: logits [m^n - 1] of all states but the first."""
        logits = 0.01 * jax.random.normal(key, (self.num_parameters,))
        return {"table": {"params": {"logits": logits}}}

    def log_prob(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """log p(x) per example, in nats: the state's entry of the table."""
        values = x.reshape(x.shape[0], -1)[:, self.order].astype(jnp.int32)
        state = values @ jnp.asarray(self.levels ** np.arange(values.shape[1])[::-1])
        return jax.nn.log_softmax(self._logits(variables))[state]

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "b ... p"]:
        """Parameters of every p(x_i | x_<i), from the marginals of all prefixes."""
        order = self.order
        weights = _interpolation(x.reshape(x.shape[0], -1)[:, order], self.levels)
        tables = self._prefix_tables(variables)
        params = [_read(table, weights[:, :t]) for t, table in enumerate(tables)]
        stacked = jnp.stack(params, axis=1)[:, np.argsort(order)]
        return _parameters(stacked, self.levels).reshape(*x.shape, -1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b ..."]:
        """Element by element; the prefix is kept as one number: O(1) an element."""
        prefix, values = jnp.zeros(num, jnp.int32), []
        for site, table in zip(self.order, self._prefix_tables(variables), strict=True):
            values.append(choose(jnp.asarray(site), _parameters(table[prefix], self.levels)))
            prefix = prefix * self.levels + values[-1].astype(jnp.int32)
        return jnp.stack(values, axis=1)[:, np.argsort(self.order)].reshape(num, *self.shape)

    def _logits(self, variables):
        logits = variables["table"]["params"]["logits"]
        return jnp.concatenate([jnp.zeros(1, logits.dtype), logits])

    def _prefix_tables(self, variables):
        """For each t the logits [m^t, m - 1] of the values of the t-th element, by prefix."""
        mass, tables = self._logits(variables), []
        for _ in range(math.prod(self.shape)):
            by_value = mass.reshape(-1, self.levels)
            tables.append(by_value[:, 1:] - by_value[:, :1])
            mass = jax.nn.logsumexp(by_value, axis=1)
        return tables[::-1]


def independent(shape: tuple[int, ...], *, levels: int = 2) -> MarkovChain:
    """Independent elements: n (m - 1) parameters."""
    return MarkovChain(shape, 0, levels)


def fit(
    model: MarkovChain | JointTable, x: Num[Array, "n ..."], smoothing: float = 0.0
) -> Variables:
    """The maximum-likelihood table in closed form: frequencies.

    Args:
      model: of the family.
      x: [N, *shape], whole levels.
      smoothing: Laplace's alpha, added to every count. Without it a value that never occurs after
        a prefix gets probability 1e-13, and a prefix that never occurs the uniform distribution.
    """
    values = np.asarray(x).reshape(len(x), -1)[:, model.order].astype(np.int64)
    if isinstance(model, JointTable):
        state = values @ model.levels ** np.arange(values.shape[1])[::-1]
        counts = np.bincount(state, minlength=model.num_parameters + 1) + smoothing
        return _variables(_log_ratio(counts[1:], counts[:1]))
    num_rows = model.num_parameters // (model.levels - 1)
    counts, context = np.zeros((num_rows, model.levels)), np.zeros(len(values), np.int64)
    for t, value in enumerate(values.T):
        np.add.at(counts, (model._first_row(t) + context, value), 1)
        context = (context * model.levels + value) % model.levels**model.window
    counts += smoothing
    return _variables(_log_ratio(counts[:, 1:], counts[:, :1]))


def _variables(logits):
    return {"table": {"params": {"logits": jnp.asarray(logits, jnp.result_type(float))}}}


def _log_ratio(counts, reference):
    """log(counts / reference) within the largest logit; 0 where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(np.log(counts) - np.log(reference), nan=0.0)
    return np.clip(ratio, -_LARGEST_LOGIT, _LARGEST_LOGIT)


def _interpolation(x, levels):
    """Weights [B, n, m] of the levels: one-hot at whole numbers, linear between them."""
    return jax.nn.relu(1 - jnp.abs(x[..., None] - jnp.arange(levels)))


def _read(table, weights):
    """Rows of tables [..., m^t, q] for prefixes given by weights [B, ..., t, m]: [B, ..., q]."""
    batch = weights.shape[:-2]
    rows = jnp.broadcast_to(table, (*batch, *table.shape[-2:]))
    for s in range(weights.shape[-2]):
        rows = rows.reshape(*batch, weights.shape[-1], -1, table.shape[-1])
        rows = jnp.einsum("...m,...mrq->...rq", weights[..., s, :], rows)
    return rows.reshape(*batch, table.shape[-1])


def _parameters(logits, levels):
    """The observation's parameters from logits against the value 0."""
    if levels == 2:
        return logits
    return jnp.concatenate([jnp.zeros_like(logits[..., :1]), logits], axis=-1)


def _require_size(num):
    if num > LARGEST_TABLE:
        raise ConfigError(f"table of {num} numbers: expected at most {LARGEST_TABLE}")
