"""Flows: an exact density by a change of variables.

A bijection z = f(x) turns a density of z, whose elements are independent, into one of x:

    log p(x) = sum_i log p(z_i) + log |det df/dx|,    z = f(x).

The second term is how much f stretches space at x. f is a composition of functions that are easy to
invert and whose log-determinants cost no more than they do, and is learnt by maximum likelihood. A
sample is x = f^-1(z) with z drawn from the prior: one pass, all elements at once. z has as many
elements as x, and is its code.

The density is one of real numbers. Whole numbers must be dequantised (`--data.transform
dequantise`), or a flow that squeezes space at the levels has any likelihood it likes.

Deco & Brauer, 1995, "Nonlinear higher-order statistical decorrelation by volume-conserving neural
architectures"; Dinh et al., 2015, "NICE" (arXiv 1410.8516), section 2.

A concrete flow is final and brings its bijections.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.flow.bijection import Bijection, forward_all, init_all, inverse_all
from jaxgen.flow.prior import prior
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


class Flow(ABC):
    """A flow, abstract. Subclasses are frozen dataclasses, and final."""

    values: ClassVar[int | None] = None  # an element is a real number

    if TYPE_CHECKING:  # at run time fields of the dataclass

        @property
        def shape(self) -> tuple[int, ...]:
            """The shape of one example."""
            ...

        @property
        def prior(self) -> str:
            """The distribution of an element of z."""
            ...

    @abstractmethod
    def bijections(self) -> Mapping[str, Bijection]:
        """Return the parts of f by name, in the order in which x meets them."""

    @property
    def dim(self) -> int:
        """D, the number of elements of x, and of z."""
        return math.prod(self.shape)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'flow'}, the parameters of each part by its name."""
        return {"flow": {"params": init_all(self.bijections(), key)}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("flow", ("flow",), self.flow_loss, tx),)

    def flow_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -log p(x) in nats, mean over the batch."""
        del key  # nothing is random here
        return -self.log_prob(variables, batch["image"]).mean(), ({}, {})

    def forward(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
        """Return z = f(x) and log |det df/dx|."""
        rows = jnp.asarray(x).reshape(x.shape[0], self.dim)
        return forward_all(self.bijections(), variables["flow"]["params"], rows)

    def inverse(
        self,
        variables: Variables,
        z: Float[Array, "b d"],
    ) -> Float[jax.Array, "b ..."]:
        """Return x = f^-1(z), [B, *shape]."""
        rows = inverse_all(self.bijections(), variables["flow"]["params"], z)
        return rows.reshape(z.shape[0], *self.shape)

    def log_prob(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return log p(x) per example, exact, in nats."""
        z, log_det = self.forward(variables, x)
        return self.latent_log_prob(z) + log_det

    def latent_log_prob(self, z: Float[Array, "... d"]) -> Float[jax.Array, "..."]:
        """Return the log density of the prior, in nats."""
        return prior(self.prior).log_prob(z).sum(axis=-1)

    def latents(self, key: Key, num: int) -> Float[jax.Array, "b d"]:
        """Return `num` draws from the prior."""
        return prior(self.prior).sample(key, (num, self.dim))

    def encode(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, "b d"]:
        """Return the code z = f(x)."""
        z, _ = self.forward(variables, x)
        return z

    def decode(
        self,
        variables: Variables,
        z: Float[Array, "... d"],
    ) -> Float[jax.Array, "..."]:
        """Return the examples of codes, [..., *shape]."""
        rows = self.inverse(variables, z.reshape(-1, self.dim))
        return rows.reshape(*z.shape[:-1], *self.shape)

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return `num` draws from p(x), [num, *shape]."""
        return self.inverse(variables, self.latents(key, num))
