"""Two tiny models that no earlier one resembles: they prove that the core carries such systems.

Growing       two stages of two resolutions, the second takes over the first
TwoDomains    three players over four networks and a pool of images; two unpaired fields
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from jaxgen.nn import MLP
from jaxgen.step import Player


def _initialised(networks, key):
    """Fresh variables of {name: (network, width of its input)}."""
    keys = jax.random.split(key, len(networks))
    pairs = zip(keys, networks.items(), strict=True)
    return {
        name: network.init(key, jnp.zeros((1, width))) for key, (name, (network, width)) in pairs
    }


def _flat(x):
    return x.reshape(len(x), -1)


@dataclass(frozen=True)
class Growing:
    """A least-squares generator of pictures: a trunk, and a head for each resolution.

    The first stage makes the field 'low'; the second makes 'image' and fades its head in. The
    networks of a stage that is over are frozen.
    """

    shape: tuple[int, ...] = (4, 4, 1)
    target: str = "low"
    fade: int = 4
    latent_dim: int = 2
    trunk: MLP = MLP((5,), 5)  # noqa: RUF009 (frozen)

    @property
    def frozen(self):
        """The networks that no player moves."""
        return ("low",) if self.target == "image" else ()

    def _heads(self):
        low = math.prod(self.shape) // (4 if self.target == "image" else 1)
        heads = {"low": MLP((), low)}
        return heads | ({"high": MLP((), math.prod(self.shape))} if self.frozen else {})

    def init(self, key):
        """Fresh variables {'high' (second stage), 'low', 'trunk'}."""
        networks = {name: (head, 5) for name, head in self._heads().items()}
        return _initialised({**networks, "trunk": (self.trunk, self.latent_dim)}, key)

    def players(self, tx):
        """One player."""
        newest = "high" if self.frozen else "low"
        return (Player("generator", ("trunk", newest), self.generator_loss, tx),)

    def generator_loss(self, variables, batch, key):
        """The squared distance of samples to examples: as good a game as any to grow by."""
        x = batch[self.target]
        z = self.latents(key, len(x))
        alpha = jnp.minimum(1.0, batch["step"] / self.fade)
        made = self._make(variables, z, alpha)
        return jnp.square(made - x).mean(), ({"alpha": alpha}, {})

    def latents(self, key, num):
        """Draws of the prior, [num, Z]."""
        return jax.random.normal(key, (num, self.latent_dim))

    def decode(self, variables, z):
        """Pictures at this stage's resolution, [B, *shape]."""
        return self._make(variables, z, 1.0)

    def sample(self, variables, key, num):
        """Decodes draws of the prior."""
        return self.decode(variables, self.latents(key, num))

    def _make(self, variables, z, alpha):
        h = self.trunk.apply(variables["trunk"], z)
        made = {
            name: jax.nn.sigmoid(head.apply(variables[name], h))
            for name, head in self._heads().items()
        }
        height, width, channels = self.shape
        if "high" not in made:
            return made["low"].reshape(-1, *self.shape)
        # [B, H/2, W/2, C] -> [B, H, W, C], each pixel twice along both sides
        low = made["low"].reshape(-1, height // 2, width // 2, channels)
        doubled = low.repeat(2, axis=1).repeat(2, axis=2)
        return alpha * made["high"].reshape(-1, *self.shape) + (1 - alpha) * doubled


@dataclass(frozen=True)
class TwoDomains:
    """A cycle of two translators against two critics, one of which sees a pool of older fakes."""

    shape: tuple[int, ...] = (3,)
    pool: int = 4
    target: ClassVar[str] = "other"
    given: ClassVar[tuple[str, ...]] = ("image",)
    translator: MLP = MLP((4,), 3)  # noqa: RUF009 (frozen)
    critic: MLP = MLP((4,), 1)  # noqa: RUF009 (frozen)

    def init(self, key):
        """Fresh variables of four networks and the pool, which has no parameters."""
        dim = math.prod(self.shape)
        networks = {
            "critic_a": (self.critic, dim),
            "critic_b": (self.critic, dim),
            "to_a": (self.translator, dim),
            "to_b": (self.translator, dim),
        }
        pool = {"images": jnp.zeros((self.pool, dim))}
        return {**_initialised(networks, key), "pool": {"state": pool}}

    def players(self, translators, critic_a, critic_b):
        """Both translators as one player, then each critic."""
        return (
            Player("translators", ("to_a", "to_b"), self.translators_loss, translators),
            Player("critic_a", ("critic_a",), self.critic_a_loss, critic_a),
            Player("critic_b", ("critic_b",), self.critic_b_loss, critic_b),
        )

    def translators_loss(self, variables, batch, key):
        """Least squares against both critics, and there and back again."""
        a, b = _flat(batch["image"]), _flat(batch["other"])
        fake_a = self._translated(variables, "to_a", b)
        fake_b = self._translated(variables, "to_b", a)
        fooled_a = jnp.square(self._verdict(variables, "critic_a", fake_a) - 1).mean()
        fooled_b = jnp.square(self._verdict(variables, "critic_b", fake_b) - 1).mean()
        back_a = jnp.abs(self._translated(variables, "to_a", fake_b) - a).mean()
        back_b = jnp.abs(self._translated(variables, "to_b", fake_a) - b).mean()
        cycle = back_a + back_b
        return fooled_a + fooled_b + 10 * cycle, ({"cycle": cycle}, {})

    def critic_a_loss(self, variables, batch, key):
        """Tells a from translations of b."""
        fakes = self._translated(variables, "to_a", _flat(batch["other"]))
        return self._critic_loss(variables, "critic_a", _flat(batch["image"]), fakes), ({}, {})

    def critic_b_loss(self, variables, batch, key):
        """Tells b from the pool, into which the newest translations go first."""
        fakes = self._translated(variables, "to_b", _flat(batch["image"]))
        pool = variables["pool"]["state"]["images"]
        pool = jnp.concatenate([fakes, pool])[: self.pool]
        pool = jax.lax.stop_gradient(pool)
        loss = self._critic_loss(variables, "critic_b", _flat(batch["other"]), pool)
        return loss, ({}, {"pool": {"state": {"images": pool}}})

    def sample(self, variables, key, num, *, image):
        """Translations of `image` [num, *shape] into the other domain; nothing is drawn."""
        del key
        fakes = self._translated(variables, "to_b", _flat(jnp.asarray(image)))
        return fakes.reshape(num, *self.shape)

    def _critic_loss(self, variables, name, real, fakes):
        of_real = jnp.square(self._verdict(variables, name, real) - 1).mean()
        return of_real + jnp.square(self._verdict(variables, name, fakes)).mean()

    def _translated(self, variables, name, x):
        return self.translator.apply(variables[name], x)

    def _verdict(self, variables, name, x):
        return self.critic.apply(variables[name], x)[:, 0]
