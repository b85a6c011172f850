"""Encoders x -> (mean, log std) of q(z | x) and decoders z -> parameters of p(x | z)."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn import MLP, Downsample, Upsample
from jaxgen.typing import Array


class MLPEncoder(nn.Module):
    """[B, *shape] -> two heads of [B, latent_dim]; attributes as in `MLP`."""

    hidden: tuple[int, ...]
    latent_dim: int
    activation: str = "tanh"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."]) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """The mean and log standard deviation of q(z | x)."""
        x = x.reshape(x.shape[0], -1)
        outputs = MLP(self.hidden, 2 * self.latent_dim, self.activation, self.dtype)(x)
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return mean, log_std


class MLPDecoder(nn.Module):
    """[..., Z] -> [..., *shape, P].

    Attributes:
      hidden: widths of the hidden layers.
      shape: of one example.
      num_params: P, the parameters per element.
      shared_scale: the last parameter is one learned number rather than an output of the network.
      activation: as in `MLP`.
      dtype: as in `MLP`.
    """

    hidden: tuple[int, ...]
    shape: tuple[int, ...]
    num_params: int = 1
    shared_scale: bool = False
    activation: str = "tanh"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """The parameters of p(x | z)."""
        heads = self.num_params - self.shared_scale
        size = math.prod(self.shape)
        params = MLP(self.hidden, size * heads, self.activation, self.dtype)(z)
        params = params.reshape(*z.shape[:-1], *self.shape, heads)
        if not self.shared_scale:
            return params
        scale = self.param("log_scale", nn.initializers.zeros, ())
        return jnp.concatenate([params, jnp.full_like(params[..., :1], scale)], axis=-1)


class ConvEncoder(nn.Module):
    """[B, H, W, C] -> two heads of [B, latent_dim]: strided convolutions, then a linear map.

    Attributes:
      widths: channels after each halving of the sides.
      latent_dim: Z.
      activation: as in `MLP`.
      dtype: as in `MLP`.
    """

    widths: tuple[int, ...]
    latent_dim: int
    activation: str = "elu"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"]
    ) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """The mean and log standard deviation of q(z | x)."""
        x = Downsample(self.widths, self.activation, self.dtype)(x)
        outputs = MLP((), 2 * self.latent_dim, dtype=self.dtype)(x.reshape(x.shape[0], -1))
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return mean, log_std


class ConvDecoder(nn.Module):
    """[..., Z] -> [..., H, W, C, P]: an MLP to a small image, then sub-pixel convolutions.

    Sides that are no multiple of 2^n are made larger and cropped at the end.

    Attributes:
      widths: channels before each doubling of the sides, the first at the smallest side.
      shape: (H, W, C).
      num_params: P, the parameters per element.
      hidden: width of the MLP.
      activation: as in `MLP`.
      dtype: as in `MLP`.
    """

    widths: tuple[int, ...]
    shape: tuple[int, int, int]
    num_params: int = 1
    hidden: int = 256
    activation: str = "elu"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """The parameters of p(x | z)."""
        height, width, channels = self.shape
        factor = 2 ** len(self.widths)
        small = (-(-height // factor), -(-width // factor), self.widths[0])
        flat = z.reshape(-1, z.shape[-1])
        x = MLP((self.hidden,), math.prod(small), self.activation, self.dtype)(flat)
        x = Upsample(self.widths, self.activation, self.dtype)(x.reshape(-1, *small))
        x = nn.Conv(channels * self.num_params, (3, 3), dtype=self.dtype)(x)
        x = x[:, :height, :width].astype(jnp.float32)
        return x.reshape(*z.shape[:-1], *self.shape, self.num_params)
