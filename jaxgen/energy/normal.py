"""Gaussians as parts of noise-contrastive estimation: one up to its constant, one that is noise.

    E(x) = |A (x - m)|^2 / 2,    log Z = (D / 2) log 2 pi - log |det A|;
    log p_n(x) = sum_i log N(x_i; m_i, s_i^2).

The first experiment of Gutmann & Hyvarinen, 2010: log Z is known, and so is what is to be learnt.
"""

import math
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.distributions.functions import LOG_2PI, normal_log_prob
from jaxgen.distributions.observation import Gaussian
from jaxgen.energy.base import INITIAL_STD, flat
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


@final
@dataclass(frozen=True)
class QuadraticEnergy:
    """An unnormalised Gaussian of any covariance, (A^T A)^-1.

    Attributes:
      shape: of one example; D elements.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        require_positive(shape=self.shape)

    @property
    def observation(self) -> Gaussian:
        """The values of an element: real numbers."""
        return Gaussian()

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'energy'}: A [D, D] near I, m [D] near 0."""
        dim = math.prod(self.shape)
        root_key, mean_key = jax.random.split(key)
        noise = INITIAL_STD * jax.random.normal(root_key, (dim, dim))
        mean = INITIAL_STD * jax.random.normal(mean_key, (dim,))
        return {"energy": {"params": {"root": jnp.eye(dim) + noise, "mean": mean}}}

    def energy(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return |A (x - m)|^2 / 2."""
        params = variables["energy"]["params"]
        centred = flat(x) - params["mean"][None]
        whitened = centred @ params["root"].T
        return 0.5 * jnp.square(whitened).sum(axis=-1)

    @property
    def is_tractable(self) -> bool:
        """True: log Z has a closed form."""
        return True

    def log_partition(self, variables: Variables) -> Float[jax.Array, ""]:
        """Return log Z, exact."""
        root = variables["energy"]["params"]["root"]
        log_det = jnp.linalg.slogdet(root).logabsdet
        return jnp.asarray(0.5 * len(root) * LOG_2PI - log_det)


@final
@dataclass(frozen=True)
class DiagonalNormal:
    """A Gaussian of independent elements, fitted by maximum likelihood.

    Attributes:
      shape: of one example.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        require_positive(shape=self.shape)

    @property
    def observation(self) -> Gaussian:
        """The values of an element: real numbers."""
        return Gaussian()

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'noise'}: means and log standard deviations near 0, flat."""
        dim = math.prod(self.shape)
        mean, log_std = INITIAL_STD * jax.random.normal(key, (2, dim))
        return {"noise": {"params": {"mean": mean, "log_std": log_std}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("noise", ("noise",), self.likelihood_loss, tx),)

    def likelihood_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -log p(x) in nats, mean over the batch."""
        del key  # nothing is random here
        return -self.log_prob(variables, batch["image"]).mean(), ({}, {})

    def log_prob(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return log p(x) per example, exact, in nats."""
        params = variables["noise"]["params"]
        log_density = normal_log_prob(flat(x), params["mean"][None], params["log_std"][None])
        return jnp.asarray(log_density.sum(axis=-1))

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return `num` draws, [num, *shape]."""
        params = variables["noise"]["params"]
        mean = params["mean"][None]
        noise = jax.random.normal(key, (num, mean.shape[1]), mean.dtype)
        drawn = mean + jnp.exp(params["log_std"])[None] * noise
        return drawn.reshape(num, *self.shape)
