"""The U-Net that guesses the noise in an image.

Residual blocks at falling sides, as many at rising ones, and a shortcut from each block of the way
down to that of the same side on the way up, which lets fine detail pass by the narrow middle. Every
block is told the time; pixels of small maps look at each other by self-attention.

    x -> F - F ---------------------------------- F - F -> noise
              | half                             | double
              2F - 2F -------------------- 2F - 2F
                    |                      |
                    +------- middle -------+

Ho, Jain & Abbeel, 2020 (arXiv 2006.11239), appendix B, and its code: group normalisation and swish
before each convolution, the last convolution of a block, of an attention and of the whole zero at
the beginning. Ronneberger et al., 2015, "U-Net" (arXiv 1505.04597).

*Differs from the paper:* no dropout; fewer maps and blocks, as the caller says. Queries and keys
have no bias: a bias of keys changes nothing.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.diffusion.ddpm.networks import TimeEmbedding
from jaxgen.nn import Down
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, told the time: [B, H, W, C] -> [B, H, W, features].

    Attributes:
      features: maps of the result.
      groups: of the normalisation.
      dtype: what to compute in.
    """

    features: int
    groups: int
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        told: Float[Array, "b e"],
    ) -> Float[Array, "b h w f"]:
        """Apply the block."""
        h = nn.Conv(self.features, (3, 3), dtype=self.dtype)(self._activated(x))
        of_time = nn.Dense(self.features, dtype=self.dtype)(told)
        h = h + of_time[:, None, None]  # [B, 1, 1, F]
        last = nn.Conv(
            self.features,
            (3, 3),
            dtype=self.dtype,
            kernel_init=nn.initializers.zeros,
        )
        h = last(self._activated(h))
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, dtype=self.dtype)(x)
        return x + h

    def _activated(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Apply the normalisation and swish."""
        return jax.nn.silu(nn.GroupNorm(self.groups, dtype=self.dtype)(x))


class SelfAttention(nn.Module):
    """A look of each pixel at all others, beside a shortcut: [B, H, W, C] -> the same.

    Attributes:
      groups: of the normalisation.
      dtype: what to compute in.
    """

    groups: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Apply one head of attention."""
        batch, height, width, features = x.shape
        h = nn.GroupNorm(self.groups, dtype=self.dtype)(x)
        pixels = h.reshape(batch, height * width, features)  # [B, H, W, C] -> [B, P, C]
        query = nn.Dense(features, use_bias=False, dtype=self.dtype)(pixels)
        key = nn.Dense(features, use_bias=False, dtype=self.dtype)(pixels)
        value = nn.Dense(features, dtype=self.dtype)(pixels)
        scores = jnp.einsum("bpc,bqc->bpq", query, key) / features**0.5
        weights = jax.nn.softmax(at_least_float32(scores)).astype(value.dtype)
        seen = jnp.einsum("bpq,bqc->bpc", weights, value)
        last = nn.Dense(features, dtype=self.dtype, kernel_init=nn.initializers.zeros)
        return x + last(seen).reshape(x.shape)  # [B, P, C] -> [B, H, W, C]


class UNet(nn.Module):
    """The whole network: (x_t [B, H, W, C], time [B] in 0 .. 1000) -> noise [B, H, W, C].

    Attributes:
      features: F, maps at the full side; divisible by `groups`.
      multipliers: of F at each side; every further one halves the sides.
      blocks: residual blocks at each side on the way down; one more on the way up.
      attention: sides of maps whose pixels look at each other; those of the middle always do.
      groups: of the normalisation.
      waves: of the embedding of the time.
      dtype: what to compute in.
    """

    features: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    groups: int = 8
    waves: int = 64
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        time: Float[Array, " b"],
    ) -> Float[Array, "b h w c"]:
        """Return the noise that images seem to have."""
        told = TimeEmbedding(4 * self.features, self.waves, self.dtype)(time)
        h = nn.Conv(self.features, (3, 3), dtype=self.dtype)(x)
        widths = [self.features * multiplier for multiplier in self.multipliers]
        shortcuts = [h]
        for stage, width in enumerate(widths):
            if stage:
                h = Down(width, kernel_size=3, dtype=self.dtype)(h)
                shortcuts.append(h)
            for _ in range(self.blocks):
                h = self._block(h, told, width)
                shortcuts.append(h)
        h = ResidualBlock(widths[-1], self.groups, self.dtype)(h, told)
        h = SelfAttention(self.groups, self.dtype)(h)
        h = ResidualBlock(widths[-1], self.groups, self.dtype)(h, told)
        for stage, width in reversed(list(enumerate(widths))):
            for _ in range(self.blocks + 1):
                h = jnp.concatenate([h, shortcuts.pop()], axis=-1)
                h = self._block(h, told, width)
            if stage:
                h = nn.Conv(width, (3, 3), dtype=self.dtype)(doubled(h))
        h = jax.nn.silu(nn.GroupNorm(self.groups, dtype=self.dtype)(h))
        zeros = nn.initializers.zeros
        last = nn.Conv(x.shape[-1], (3, 3), dtype=self.dtype, kernel_init=zeros)
        return at_least_float32(last(h))

    def _block(
        self,
        h: Float[Array, "b h w c"],
        told: Float[Array, "b e"],
        width: int,
    ) -> Float[Array, "b h w f"]:
        """Apply a residual block, and attention where the side has it."""
        h = ResidualBlock(width, self.groups, self.dtype)(h, told)
        if h.shape[1] in self.attention:
            h = SelfAttention(self.groups, self.dtype)(h)
        return h


def doubled(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Return images of twice the side, each pixel four times."""
    batch, height, width, features = x.shape
    wide = jnp.broadcast_to(
        x[:, :, None, :, None],  # [B, H, 1, W, 1, C]
        (batch, height, 2, width, 2, features),
    )
    return wide.reshape(batch, 2 * height, 2 * width, features)
