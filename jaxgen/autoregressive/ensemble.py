"""A mixture of several orders (or masks) of one network, whose variables are shared.

    p(x) = 1/n sum_o p_o(x),   log p(x) = logsumexp_o log p_o(x) - log n

Each member p_o is an autoregressive model of its own order. The mixture is of probabilities of
whole examples; averaging the members' logits, or their conditionals, is no distribution: its sum
over all examples is not 1.

The sampler draws a member for each example, and then an example of every member that was drawn for
some, of which each example keeps its own. Of four examples and three members:

    member of example:      2  0  2  0
    after member 0:         -  x  -  x        those of member 0 are final
    member 1:                                 drawn for nobody: skipped
    after member 2:         x  x  x  x

Uria, Murray & Larochelle, 2014 (arXiv 1310.1757), section 4, EoNADE; Germain, Gregor, Murray &
Larochelle, 2015 (arXiv 1502.03509), section 4.2, order- and connectivity-agnostic MADE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from jaxgen.autoregressive.base import Choose, drawing, keeping
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions import log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@runtime_checkable
class Member(Protocol):
    """A model that an ensemble can be made of: a frozen dataclass with orders or masks to vary."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    varies: ClassVar[tuple[str, ...]]  # names of the fields in which members may differ

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        ...

    @property
    def observation(self) -> Any:
        """The distribution of an element."""
        ...

    def structure(self) -> Mapping[str, np.ndarray]:
        """Return what follows from the fields that vary, as arrays of one shape for all members.

        The methods below take such arrays, so that one compiled graph serves all members.
        """
        ...

    def init(self, key: Key) -> Variables:
        """Return fresh variables."""
        ...

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        ...

    def member_loss(
        self, variables: Variables, batch: Batch, key: Key, **structure: Array
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the training loss of the member with that structure, []."""
        ...

    def log_prob(
        self,
        variables: Variables,
        x: Array,
        **structure: Array | None,
    ) -> jax.Array:
        """Return log p_o(x) per example of the member with that structure, [B]."""
        ...

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        *args: Any,
        **structure: Any,
    ) -> jax.Array:
        """Return examples of the member with that structure, [num, *shape]."""
        ...


@final
@dataclass(frozen=True)
class Ensemble:
    """A mixture, with equal weights, of models that differ in their order alone.

    Attributes:
      members: at least one; see `Member`.
    """

    members: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ConfigError("members: got none, expected at least one")
        first = self._first
        for i, member in enumerate(self.members):
            same = {name: getattr(first, name) for name in first.varies}
            if type(member) is not type(first) or replace(member, **same) != first:
                raise ConfigError(
                    f"members[{i}]: got {member}, expected members[0] but for "
                    f"{' and '.join(first.varies)}"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self._first.shape

    @property
    def observation(self) -> Any:
        """The distribution of an element."""
        return self._first.observation

    def components(self) -> tuple[Any, ...]:
        """Return the models that are mixed, each over the same variables."""
        return self.members

    def init(self, key: Key) -> Variables:
        """Return fresh variables, those of one member."""
        return self._first.init(key)

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns what a member's owns."""
        (player,) = self._first.players(tx)
        return (Player("ensemble", player.owns, self.ensemble_loss, tx),)

    def ensemble_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the loss of one member, taken in turn by the number of the step.

        Its mean over the members is at least -log p(x) of the mixture (Jensen).
        """
        turn = jnp.asarray(batch["step"]) % len(self.members)
        # One graph for all members: what tells them apart is an array, picked by a traced number.
        structure = {}
        for name, rows in self._structures().items():
            structure[name] = jnp.asarray(rows)[turn]
        return self._first.member_loss(variables, batch, key, **structure)

    def log_prob(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return log p(x) of the mixture per example, exact, in nats."""
        return jnp.asarray(log_mean_exp(self.log_prob_per_member(variables, x)))

    def log_prob_per_member(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "n b"]:
        """Return log p_o(x) of every member, in nats."""

        def log_prob_of(structure: Mapping[str, Array]) -> jax.Array:
            return self._first.log_prob(variables, x, **structure)

        return jax.lax.map(log_prob_of, self._structures())

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return `num` draws: of a member for each example, then from that member."""
        member_key, key = jax.random.split(key)
        return self._generate(variables, member_key, drawing(self.observation, key), num)

    def complete(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
        mask: Bool[Array, "..."],
    ) -> Float[jax.Array, "b ..."]:
        """Fill in what is unknown, each example in the order of a member drawn for it.

        Members are drawn with equal probability, as a priori, not by how well they explain what is
        known. Arguments as in `Autoregressive.complete`.
        """
        member_key, key = jax.random.split(key)
        choose = keeping(drawing(self.observation, key), x, mask)
        return self._generate(variables, member_key, choose, x.shape[0])

    def _generate(
        self, variables: Variables, key: Key, choose: Choose, num: int
    ) -> Float[jax.Array, "b ..."]:
        """Draw a member for each example, and the example from that (see this file's docstring)."""
        member_of = jax.random.randint(key, (num,), 0, len(self.members))
        one_for_each_axis = [1] * len(self.shape)

        def pass_member(
            x: jax.Array,
            inputs: tuple[jax.Array, Mapping[str, Array]],
        ) -> tuple[jax.Array, None]:
            member, structure = inputs
            mine = (member_of == member).reshape(num, *one_for_each_axis)  # [N, 1, ...]

            def draw_mine() -> jax.Array:
                drawn = self._first.generate(variables, choose, num, **structure)
                return jnp.where(mine, drawn, x)

            def keep_all() -> jax.Array:
                return x

            # A draw of a site depends on the key and the site alone: no member draws for another.
            return jax.lax.cond(mine.any(), draw_mine, keep_all), None

        start = jnp.zeros((num, *self.shape))
        members = jnp.arange(len(self.members))
        x, _ = jax.lax.scan(pass_member, start, (members, self._structures()))
        return x

    @property
    def _first(self) -> Member:
        """The member whose methods serve all, each with its own structure."""
        return self.members[0]

    def _structures(self) -> dict[str, np.ndarray]:
        """Return the members' structures, stacked along a new first axis."""
        structures = [member.structure() for member in self.members]
        stacked = {}
        for name in structures[0]:
            stacked[name] = np.stack([structure[name] for structure in structures])
        return stacked


def several(
    model: Any,
    num: int,
    *,
    orders: bool = True,
) -> Ensemble:
    """Return an ensemble of `num` variants of a model.

    Args:
      model: an `OrderlessNADE` or a `MADE`.
      num: how many.
      orders: give each a random order of its own; the first keeps the model's. Otherwise they
        differ in their `seed` alone, that is in the connections between hidden units.
    """
    if num < 1:
        raise ConfigError(f"num: got {num}, expected >= 1")
    if not orders and "seed" not in model.varies:
        raise ConfigError(f"orders: got False, but {type(model).__name__} varies in nothing else")

    def variant(i: int) -> Any:
        changes: dict[str, Any] = {}
        if orders and i > 0:
            changes["ordering"] = Ordering("random", i)
        if "seed" in model.varies:
            changes["seed"] = model.seed + i
        return replace(model, **changes)

    return Ensemble(tuple(variant(i) for i in range(num)))
