"""Encoders x -> (mean, log std) of q(z | x) and decoders z -> parameters of p(x | z).

A log-scale is exponentiated. Where it is a map of features without bounds (of the data themselves,
or behind an ELU) a random kernel would make it as large as the data are, and the first loss up to
infinity; there its kernel begins at zero, and the scale at 1, near the prior.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer
from jaxtyping import Float

from jaxgen.nn import MLP, Downsample, Upsample
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array

_BOUNDED = ("tanh", "sigmoid")  # activations


class MLPEncoder(nn.Module):
    """An MLP [B, *shape] -> two heads of [B, latent_dim]; attributes as in `MLP`."""

    hidden: tuple[int, ...]
    latent_dim: int
    activation: str = "tanh"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."]) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """Return the mean and the log standard deviation of q(z | x)."""
        x = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        size = 2 * self.latent_dim
        scales = _halves(size)
        kernel_init = head_init(scales, self.hidden, self.activation)
        outputs = MLP(self.hidden, size, self.activation, self.dtype, kernel_init)(x)
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return mean, log_std


class MLPDecoder(nn.Module):
    """An MLP [..., Z] -> [..., *shape, P].

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
        """Return the parameters of p(x | z)."""
        heads = self.num_params - self.shared_scale
        size = math.prod(self.shape)
        scales = _scales(size, heads)
        kernel_init = head_init(scales, self.hidden, self.activation)
        network = MLP(self.hidden, size * heads, self.activation, self.dtype, kernel_init)
        params = network(z)
        # [..., D * heads] -> [..., *shape, heads]
        params = params.reshape(*z.shape[:-1], *self.shape, heads)
        if not self.shared_scale:
            return params
        scale = self.param("log_scale", nn.initializers.zeros, ())
        shared = jnp.full_like(params[..., :1], scale)
        return jnp.concatenate([params, shared], axis=-1)


class ConvEncoder(nn.Module):
    """Strided convolutions, then a linear map: [B, H, W, C] -> two heads of [B, latent_dim].

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
        self,
        x: Float[Array, "b h w c"],
    ) -> tuple[Float[Array, "b z"], Float[Array, "b z"]]:
        """Return the mean and the log standard deviation of q(z | x)."""
        x = Downsample(self.widths, self.activation, self.dtype)(x)
        x = x.reshape(x.shape[0], -1)  # [B, H / 2^n, W / 2^n, C'] -> [B, F]
        size = 2 * self.latent_dim
        scales = _halves(size)
        kernel_init = head_init(scales, self.widths, self.activation)
        outputs = MLP((), size, dtype=self.dtype, kernel_init=kernel_init)(x)
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return mean, log_std


class ConvDecoder(nn.Module):
    """An MLP to a small image, then sub-pixel convolutions: [..., Z] -> [..., H, W, C, P].

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
        """Return the parameters of p(x | z)."""
        height, width, channels = self.shape
        factor = 2 ** len(self.widths)
        rows = -(-height // factor)  # rounded up
        columns = -(-width // factor)
        small = (rows, columns, self.widths[0])

        flat = z.reshape(-1, z.shape[-1])  # [..., Z] -> [N, Z]
        x = MLP((self.hidden,), math.prod(small), self.activation, self.dtype)(flat)
        x = x.reshape(-1, *small)  # [N, rows * columns * C'] -> [N, rows, columns, C']
        x = Upsample(self.widths, self.activation, self.dtype)(x)
        outputs = channels * self.num_params
        scales = _scales(channels, self.num_params)
        kernel_init = head_init(scales, self.widths, self.activation)
        x = nn.Conv(outputs, (3, 3), dtype=self.dtype, kernel_init=kernel_init)(x)

        x = at_least_float32(x[:, :height, :width])
        # [N, H, W, C * P] -> [..., H, W, C, P]
        return x.reshape(*z.shape[:-1], *self.shape, self.num_params)


def head_init(
    scales: np.ndarray,
    hidden: tuple[int, ...],
    activation: str,
) -> Initializer:
    """Return the initialiser of a last layer, lecun_normal but for the kernels of log-scales.

    Args:
      scales: [outputs] bool, True where an output is a log-scale.
      hidden: widths of the layers before; () if the layer sees the network's input itself.
      activation: of the layers before.
    """
    usual = nn.initializers.lecun_normal()
    if hidden and activation in _BOUNDED:
        return usual

    def init(
        key: jax.Array,
        shape: tuple[int, ...],
        dtype: Any = jnp.float32,
    ) -> jax.Array:
        kernel = usual(key, shape, dtype)  # [..., outputs]
        of_scale = jax.lax.broadcast_to_rank(scales, kernel.ndim)
        return jnp.where(of_scale, 0, kernel)

    return init


def _halves(size: int) -> np.ndarray:
    """Return where log-scales are among an encoder's outputs: the second half, [size]."""
    return np.arange(size) >= size // 2


def _scales(num_elements: int, num_params: int) -> np.ndarray:
    """Return where log-scales are among a decoder's outputs, [num_elements * num_params].

    Two parameters of an element are a mean and a log-scale, or two logits, of which one is free.
    """
    of_element = np.zeros(num_params, bool)
    if num_params == 2:
        of_element[1] = True
    return np.tile(of_element, num_elements)
