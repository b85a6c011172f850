"""Coupling layers: one half of the elements is moved by functions of the other half.

With b a mask of 0 and 1 that alternates from layer to layer, and networks s and t of any shape,

    affine      y = b x + (1 - b) (x exp(s(b x)) + t(b x)),    log |det| = sum (1 - b) s(b x),
                x = b y + (1 - b) (y - t(b y)) exp(-s(b y));
    additive    y = x + (1 - b) t(b x),                        log |det| = 0.

The inverse costs as much as the function, and no network is inverted: b x = b y. A layer has a
block of zeros in its Jacobian, two layers of opposite masks leave one of its blocks diagonal, and
three make it dense.

Layers of a stack are alike but for their parameters, so they run under one `lax.scan`: what is
compiled does not grow with their number.

Dinh et al., 2015, "NICE", section 3.2 (arXiv 1410.8516); Dinh et al., 2017, "Density estimation
using Real NVP", sections 3.2 to 3.4 (arXiv 1605.08803).
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.flow.bijection import Bijection, Params
from jaxgen.precision import kept
from jaxgen.typing import Array, Key

Moved = tuple[jax.Array, jax.Array]  # of one layer: y [B, D] and log |det dy/dx| [B]


class Couplings(Bijection):
    """A stack of coupling layers of alternating masks, abstract. Subclasses are final."""

    network: nn.Module
    dim: int
    num: int

    @abstractmethod
    def moved(
        self,
        params: Params,
        mask: Float[Array, " d"],
        x: Float[Array, "b d"],
    ) -> Moved:
        """Apply one layer: y and log |det dy/dx|."""

    @abstractmethod
    def restored(
        self,
        params: Params,
        mask: Float[Array, " d"],
        y: Float[Array, "b d"],
    ) -> jax.Array:
        """Apply the inverse of one layer: x."""

    def masks(self, dtype: jnp.dtype) -> Float[jax.Array, "k d"]:
        """Return the masks b, 1 where a layer leaves an element as it is."""
        layer = jnp.arange(self.num)[:, None]
        element = jnp.arange(self.dim)[None]
        is_kept = (layer + element) % 2 == 0
        return is_kept.astype(dtype)

    def init(self, key: Key) -> Params:
        """Return fresh parameters, those of all layers stacked: each leaf is [K, ...]."""
        blank = jnp.zeros((1, self.dim))

        def network(key: Key) -> Params:
            params: Params = self.network.init(key, blank)["params"]
            return params

        networks = jax.vmap(network)(jax.random.split(key, self.num))
        made: Params = kept(self.network, {"network": networks, **self.beside()})
        return made

    def beside(self) -> dict[str, jax.Array]:
        """Return what a layer has besides its network, [K, ...] each; nothing by default."""
        return {}

    def forward(
        self,
        params: Params,
        x: Float[Array, "b d"],
    ) -> tuple[Float[jax.Array, "b d"], Float[jax.Array, " b"]]:
        """Apply all layers."""

        def layer(
            carry: Moved,
            own: tuple[Params, jax.Array],
        ) -> tuple[Moved, None]:
            x, log_det = carry
            own_params, mask = own
            y, added = self.moved(own_params, mask, x)
            return (y, log_det + added), None

        start = _computed(params, x)
        nothing = jnp.zeros(len(start), start.dtype)
        layers = (params, self.masks(start.dtype))
        (y, log_det), _ = jax.lax.scan(layer, (start, nothing), layers)
        return y, log_det

    def inverse(
        self,
        params: Params,
        y: Float[Array, "b d"],
    ) -> Float[jax.Array, "b d"]:
        """Apply the inverses of all layers, the last layer's first."""

        def layer(
            y: jax.Array,
            own: tuple[Params, jax.Array],
        ) -> tuple[jax.Array, None]:
            own_params, mask = own
            return self.restored(own_params, mask, y), None

        start = _computed(params, y)
        layers = (params, self.masks(start.dtype))
        x, _ = jax.lax.scan(layer, start, layers, reverse=True)
        return x


def _computed(params: Params, x: Array) -> jax.Array:
    """Return x in the precision of what a layer returns: a scan's carry may not change its own."""
    dtype = jnp.result_type(x, *jax.tree.leaves(params))
    return jnp.asarray(x, dtype)


@final
@dataclass(frozen=True)
class AffineCouplings(Couplings):
    """A stack of affine couplings; s is a learnt scale times a tanh, so that exp(s) is tame.

    Attributes:
      network: masked elements [B, D] -> [B, 2 D], s before its tanh and t.
      dim: D.
      num: K, the number of layers.
    """

    network: nn.Module
    dim: int
    num: int

    def beside(self) -> dict[str, jax.Array]:
        """Return the scales of s, [K, D], 1 at first."""
        return {"scale": jnp.ones((self.num, self.dim))}

    def terms(
        self,
        params: Params,
        mask: Float[Array, " d"],
        x: Float[Array, "b d"],
    ) -> tuple[jax.Array, jax.Array]:
        """Return s and t of a layer, [B, D] each, 0 where the mask is 1."""
        kept_half = x * jnp.asarray(mask)[None]
        outputs = self.network.apply({"params": params["network"]}, kept_half)
        raw, shift = jnp.split(jnp.asarray(outputs), 2, axis=-1)
        moves = 1 - jnp.asarray(mask)[None]
        log_scale = moves * params["scale"][None] * jnp.tanh(raw)
        return log_scale, moves * shift

    def moved(
        self,
        params: Params,
        mask: Float[Array, " d"],
        x: Float[Array, "b d"],
    ) -> Moved:
        """Return x exp(s) + t, and the sum of s."""
        log_scale, shift = self.terms(params, mask, x)
        y = jnp.asarray(x) * jnp.exp(log_scale) + shift
        return y, log_scale.sum(axis=-1)

    def restored(
        self,
        params: Params,
        mask: Float[Array, " d"],
        y: Float[Array, "b d"],
    ) -> jax.Array:
        """Return (y - t) exp(-s), s and t of the half that is the same in x and y."""
        log_scale, shift = self.terms(params, mask, y)
        return (jnp.asarray(y) - shift) * jnp.exp(-log_scale)


@final
@dataclass(frozen=True)
class AdditiveCouplings(Couplings):
    """A stack of additive couplings, which keep volumes.

    Attributes:
      network: masked elements [B, D] -> t [B, D].
      dim: D.
      num: K, the number of layers.
    """

    network: nn.Module
    dim: int
    num: int

    def shift(
        self,
        params: Params,
        mask: Float[Array, " d"],
        x: Float[Array, "b d"],
    ) -> jax.Array:
        """Return t of a layer, [B, D], 0 where the mask is 1."""
        kept_half = x * jnp.asarray(mask)[None]
        outputs = self.network.apply({"params": params["network"]}, kept_half)
        return (1 - jnp.asarray(mask)[None]) * jnp.asarray(outputs)

    def moved(
        self,
        params: Params,
        mask: Float[Array, " d"],
        x: Float[Array, "b d"],
    ) -> Moved:
        """Return x + t, and 0."""
        y = jnp.asarray(x + self.shift(params, mask, x))
        return y, jnp.zeros(len(y), y.dtype)

    def restored(
        self,
        params: Params,
        mask: Float[Array, " d"],
        y: Float[Array, "b d"],
    ) -> jax.Array:
        """Return y - t, t of the half that is the same in x and y."""
        return jnp.asarray(y - self.shift(params, mask, y))
