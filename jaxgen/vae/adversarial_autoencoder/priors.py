"""Priors of codes: all that an adversarial autoencoder asks of one is draws.

    NormalPrior      N(0, s^2 I)
    RingPrior        M Gaussians in the plane, long towards the centre and narrow across, turned by
                     2 pi k / M
    SwissRollPrior   a curve, r = 3 sqrt(u) at the angle 4 pi sqrt(u), u uniform on [0, 1]; it has
                     no density

A mode is a part that one class may be told to fill: one of the Gaussians, one of M pieces of the
curve, on which u is between k / M and (k + 1) / M. Two priors know their density; the training
never asks for it.

Makhzani et al., 2016, "Adversarial autoencoders" (arXiv 1511.05644), section 2.3 and figures 2, 4.

*Differs from the paper:* it prints no constants of the two priors in the plane; these are those of
re-implementations.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxgen.arguments import COUNT, LARGE, SMALL, require_positive, require_within
from jaxgen.distributions import LOG_2PI, normal_log_prob
from jaxgen.typing import Array, Key

_TURNS = 4 * math.pi  # of the swiss roll, in radians
_REACH = 3.0  # its radius
_POINTS = 50  # of each piece of it, where the nearest is looked for
_WIDTH = 0.1  # within which a point is said to lie on the curve


class CodePrior(ABC):
    """A prior of codes; subclasses are frozen dataclasses, final."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Z."""

    @property
    @abstractmethod
    def num_modes(self) -> int:
        """M, the number of its modes, equally probable."""

    @abstractmethod
    def draw(self, key: Key, mode: Int[Array, " b"]) -> Float[jax.Array, "b z"]:
        """Return a draw of each of the modes that are named."""

    @abstractmethod
    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return the log-probability of each mode at a code."""

    def sample(self, key: Key, num: int) -> Float[jax.Array, "b z"]:
        """Return `num` draws of the whole prior."""
        mode_key, key = jax.random.split(key)
        mode = jax.random.randint(mode_key, (num,), 0, self.num_modes)
        return self.draw(key, mode)


@final
@dataclass(frozen=True)
class NormalPrior(CodePrior):
    """The Gaussian N(0, std^2 I), of one mode.

    Attributes:
      latent_dim: Z.
      std: in every dimension.
    """

    latent_dim: int
    std: float = 1.0

    def __post_init__(self) -> None:
        require_positive(latent_dim=self.latent_dim)
        require_within(SMALL, LARGE, std=self.std)

    @property
    def dim(self) -> int:
        """Z."""
        return self.latent_dim

    @property
    def num_modes(self) -> int:
        """One."""
        return 1

    def draw(self, key: Key, mode: Int[Array, " b"]) -> Float[jax.Array, "b z"]:
        """Return a draw for each row."""
        return self.std * jax.random.normal(key, (len(mode), self.latent_dim))

    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return log 1."""
        return jnp.zeros((len(z), 1), z.dtype)

    def log_prob(self, z: Float[Array, "... z"]) -> Float[jax.Array, "..."]:
        """Return log p(z) in nats."""
        log_std = jnp.full_like(z, math.log(self.std))
        log_density = normal_log_prob(z, jnp.zeros_like(z), log_std)
        return jnp.asarray(log_density.sum(axis=-1))


@final
@dataclass(frozen=True)
class RingPrior(CodePrior):
    """A ring of Gaussians in the plane, petals of a flower.

    Attributes:
      modes: M.
      radius: of the circle of their means.
      along: their standard deviation towards the centre.
      across: that along the circle.
    """

    modes: int = 10
    radius: float = 1.4
    along: float = 0.5
    across: float = 0.1

    def __post_init__(self) -> None:
        require_within(1, COUNT, modes=self.modes)
        require_within(SMALL, LARGE, along=self.along, across=self.across)
        require_within(0, LARGE, radius=self.radius)

    @property
    def dim(self) -> int:
        """Two."""
        return 2

    @property
    def num_modes(self) -> int:
        """M."""
        return self.modes

    @property
    def axes(self) -> np.ndarray:
        """The directions of the means, and those across: [M, 2, 2]."""
        angle = 2 * math.pi * np.arange(self.modes) / self.modes
        cosine = np.cos(angle)
        sine = np.sin(angle)
        outwards = np.stack([cosine, sine], axis=1)
        sideways = np.stack([-sine, cosine], axis=1)
        return np.stack([outwards, sideways], axis=1)

    @property
    def scales(self) -> np.ndarray:
        """The standard deviations in the directions of `axes`, [2]."""
        return np.asarray([self.along, self.across])

    def draw(self, key: Key, mode: Int[Array, " b"]) -> Float[jax.Array, "b z"]:
        """Return a draw of the Gaussian that each row names."""
        noise = jax.random.normal(key, (len(mode), 2))
        place = noise * jnp.asarray(self.scales, noise.dtype)[None]
        place = place.at[:, 0].add(self.radius)
        axes = jnp.asarray(self.axes, noise.dtype)[mode]  # [B, 2, 2]
        return jnp.einsum("ba,bad->bd", place, axes)

    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return the log of each Gaussian's share of the density."""
        return jax.nn.log_softmax(self._log_joint(z))

    def log_prob(self, z: Float[Array, "... z"]) -> Float[jax.Array, "..."]:
        """Return log p(z) in nats."""
        return jax.nn.logsumexp(self._log_joint(z), axis=-1)

    def _log_joint(self, z: Float[Array, "... z"]) -> Float[jax.Array, "... m"]:
        """Return log p(z, k) of each of the Gaussians k."""
        axes = jnp.asarray(self.axes, z.dtype)
        centre = jnp.asarray([self.radius, 0.0], z.dtype)
        log_std = jnp.asarray(np.log(self.scales), z.dtype)
        place = jnp.einsum("...d,mad->...ma", z, axes)
        centred = place - jnp.broadcast_to(centre, place.shape)
        whitened = centred * jnp.broadcast_to(jnp.exp(-log_std), place.shape)
        log_density = -0.5 * jnp.square(whitened).sum(axis=-1) - log_std.sum() - LOG_2PI
        return jnp.asarray(log_density - math.log(self.modes))


@final
@dataclass(frozen=True)
class SwissRollPrior(CodePrior):
    """A swiss roll: a spiral in the plane, in pieces of equal probability.

    Attributes:
      pieces: M.
    """

    pieces: int = 10

    def __post_init__(self) -> None:
        require_within(1, COUNT, pieces=self.pieces)

    @property
    def dim(self) -> int:
        """Two."""
        return 2

    @property
    def num_modes(self) -> int:
        """M."""
        return self.pieces

    def draw(self, key: Key, mode: Int[Array, " b"]) -> Float[jax.Array, "b z"]:
        """Return a point of the piece that each row names."""
        within = jax.random.uniform(key, mode.shape)
        return spiral((mode + within) / self.pieces)

    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return the log of each piece's share, by the distance of a code to it.

        It is that of a curve of the width 0.1 with as much weight on each piece: an approximation,
        for a curve has no density.
        """
        within = (np.arange(_POINTS) + 0.5) / _POINTS
        u = (np.arange(self.pieces)[:, None] + within[None]) / self.pieces  # [M, P]
        curve = spiral(jnp.asarray(u, z.dtype))  # [M, P, 2]
        # [B, 1, 1, 2] - [1, M, P, 2] -> [B, M, P, 2]
        difference = z[:, None, None, :] - curve[None]
        squared = jnp.square(difference).sum(axis=-1).min(axis=-1)
        return jax.nn.log_softmax(-squared / (2 * _WIDTH**2))


def spiral(u: Float[Array, "..."]) -> Float[jax.Array, "... 2"]:
    """Return the points of the swiss roll at u in [0, 1]."""
    root = jnp.sqrt(u)
    angle = _TURNS * root
    direction = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return _REACH * root[..., None] * direction
