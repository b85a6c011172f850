"""A mixture of several orders (or masks) of one network, whose variables are shared.

    p(x) = 1/n sum_o p_o(x),   log p(x) = logsumexp_o log p_o(x) - log n

Each member p_o is an autoregressive model of its own order. The mixture is of probabilities of
whole examples; averaging the members' logits, or their conditionals, is no distribution: its sum
over all examples is not 1.

Uria, Murray & Larochelle, 2014 (arXiv 1310.1757), section 4, EoNADE; Germain, Gregor, Murray &
Larochelle, 2015 (arXiv 1502.03509), section 4.2, order- and connectivity-agnostic MADE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions import log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class Ensemble:
    """A mixture, with equal weights, of models that differ in their order alone.

    A member has `varies`, the names of the fields in which members may differ, and `structure()`,
    what follows from these as arrays of one shape for all; its methods take such arrays as
    keywords. One compiled graph thus serves all members.

    Attributes:
      members: at least one.
    """

    members: tuple[Any, ...]

    def __post_init__(self):
        if not self.members:
            raise ConfigError("members: got none, expected at least one")
        first = self.members[0]
        for i, member in enumerate(self.members):
            same = {name: getattr(first, name) for name in first.varies}
            if type(member) is not type(first) or replace(member, **same) != first:
                raise ConfigError(
                    f"members[{i}]: got {member}, expected members[0] but for "
                    f"{' and '.join(first.varies)}"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.members[0].shape

    @property
    def observation(self) -> Any:
        """What the members' outputs mean."""
        return self.members[0].observation

    def components(self) -> tuple[Any, ...]:
        """The models that are mixed, each over the same variables."""
        return self.members

    def init(self, key: Key) -> Variables:
        """Fresh variables, those of one member."""
        return self.members[0].init(key)

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player, who owns what a member's owns."""
        (player,) = self.members[0].players(tx)
        return (Player("ensemble", player.owns, self.ensemble_loss, tx),)

    def ensemble_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """The loss of one member, taken in turn by the number of the step.

        Its mean over the members is at least -log p(x) of the mixture (Jensen).
        """
        (player,) = self.members[0].players(optax.identity())
        turn = jnp.asarray(batch["step"]) % len(self.members)
        structure = jax.tree.map(lambda leaf: jnp.asarray(leaf)[turn], self._structures())
        return player.loss(variables, batch, key, **structure)

    def log_prob(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, " b"]:
        """log p(x) of the mixture per example, exact, in nats."""
        return log_mean_exp(self.log_prob_per_member(variables, x))

    def log_prob_per_member(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "n b"]:
        """log p_o(x) of every member."""
        first = self.members[0]
        return jax.lax.map(lambda s: first.log_prob(variables, x, **s), self._structures())

    def sample(self, variables: Variables, key: Key, num: int) -> Float[Array, "b ..."]:
        """`num` draws: of a member for each example, then from that member."""
        member_key, key = jax.random.split(key)
        return self._generate(variables, member_key, chain_rule.drawing(self.observation, key), num)

    def complete(
        self,
        variables: Variables,
        key: Key,
        x: Float[Array, "b ..."],
        mask: Bool[Array, "..."],
    ) -> Float[Array, "b ..."]:
        """Fills in what is unknown, each example in the order of a member drawn for it.

        Members are drawn with equal probability, as a priori, not by how well they explain what is
        known. Arguments as in `chain_rule.complete`.
        """
        member_key, key = jax.random.split(key)
        choose = chain_rule.keeping(chain_rule.drawing(self.observation, key), x, mask)
        return self._generate(variables, member_key, choose, x.shape[0])

    def _generate(self, variables: Variables, key: Key, choose: Choose, num: int) -> Array:
        """Every member that is drawn for some example generates all; each example keeps its own."""
        structures = self._structures()
        which = jax.random.randint(key, (num,), 0, len(self.members))

        def member(x, inputs):
            turn, structure = inputs
            mine = (which == turn).reshape(num, *[1] * len(self.shape))

            def draw():
                return self.members[0].generate(variables, choose, num, **structure)

            return jax.lax.cond(mine.any(), lambda: jnp.where(mine, draw(), x), lambda: x), None

        turns = jnp.arange(len(self.members))
        x, _ = jax.lax.scan(member, jnp.zeros((num, *self.shape)), (turns, structures))
        return x

    def _structures(self) -> Mapping[str, np.ndarray]:
        """The members' structures, stacked along a new first axis."""
        return jax.tree.map(
            lambda *leaves: np.stack(leaves), *[member.structure() for member in self.members]
        )


def several(model: Any, num: int, *, orders: bool = True) -> Ensemble:
    """An ensemble of `num` variants of a model.

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

    def variant(i):
        changes = {"ordering": Ordering("random", i)} if orders and i else {}
        if "seed" in model.varies:
            changes["seed"] = model.seed + i
        return replace(model, **changes)

    return Ensemble(tuple(variant(i) for i in range(num)))
