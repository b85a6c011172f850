"""DCGAN: the convolutional architecture that made adversarial training stable.

Its rules: strided convolutions in D and fractionally strided ones in G, no pooling; batch
normalisation in both, but not on G's output and D's input; no hidden dense layers; ReLU in G, tanh
at its end; LeakyReLU of slope 0.2 in D. Images lie in [-1, 1] (`--data.transform symmetric`).

    G: z -> dense -> s x s x 2^(n-1) F -> ... -> F -> H x W x C,   each step doubles the sides
    D: the mirror image, and a linear map to one logit

Radford, Metz & Chintala, 2015, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (arXiv 1511.06434), section 3; from its code: weights N(0, 0.02),
gains of batch normalisation N(1, 0.02), no biases beside batch normalisation, kernels of 5, Adam of
2e-4 with beta_1 = 0.5. D's passes over real and fake have batch statistics of their own.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.gan.gan import GAN
from jaxgen.gan.networks import Discriminator
from jaxgen.nn import (
    Down,
    Initializer,
    MinibatchDiscrimination,
    Norm,
    Up,
    normalize,
    require_positive,
)
from jaxgen.ranges import require_within
from jaxgen.typing import Array

WEIGHTS = Initializer("normal", 0.02)


class DCGANGenerator(nn.Module):
    """z [B, Z] -> x [B, H, W, C] in [-1, 1].

    Attributes:
      shape: (H, W, C).
      features: F, maps before the last layer.
      stages: n, doublings of the sides.
      kernel_size: of the convolutions.
      dtype: what to compute in.
      norm: before each activation.
      num_reference: rows of the reference batch in front of z, for virtual and reference norms.
    """

    shape: tuple[int, int, int]
    features: int = 64
    stages: int = 4
    kernel_size: int = 5
    dtype: str = "float32"
    norm: Norm = "batch"
    num_reference: int = 0

    @property
    def range(self) -> tuple[float, float]:
        """Of tanh."""
        return (-1.0, 1.0)

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], *, train: bool) -> Float[Array, "b h w c"]:
        """Images."""
        height, width, channels = self.shape
        widths = [self.features * 2**i for i in range(self.stages)]
        small = (height >> self.stages, width >> self.stages, widths[-1])
        x = nn.Dense(math.prod(small), use_bias=False, kernel_init=WEIGHTS, dtype=self.dtype)(z)
        x = jax.nn.relu(self.normalized(x.reshape(-1, *small), train))
        for features in widths[-2::-1] if self.stages > 1 else ():
            x = self.doubled(x, features, use_bias=False)
            x = jax.nn.relu(self.normalized(x, train))
        return jnp.tanh(self.doubled(x, channels, use_bias=True).astype(jnp.float32))

    def doubled(self, x: Array, features: int, *, use_bias: bool) -> Array:
        """A fractionally strided convolution."""
        return Up(features, self.kernel_size, use_bias, WEIGHTS, self.dtype)(x)

    def normalized(self, x: Array, train: bool) -> Array:
        """By the paper's batch normalisation, or another."""
        if self.norm == "batch":
            return batch_norm(x, train)
        return normalize(x, self.norm, train=train, num_reference=self.num_reference)


class DCGANTrunk(nn.Module):
    """x [B, H, W, C] -> features [B, F'], flat.

    Attributes:
      features: F, maps of the first layer; each further one has twice as many.
      stages: n, halvings of the sides.
      kernel_size: of the convolutions.
      normalized: batch normalisation in all layers but the first.
      dtype: what to compute in.
      minibatch: kernels of minibatch discrimination after the last layer; 0: none.
    """

    features: int = 64
    stages: int = 4
    kernel_size: int = 5
    normalized: bool = True
    dtype: str = "float32"
    minibatch: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b f"]:
        """Features."""
        for i in range(self.stages):
            normalized = self.normalized and i > 0
            layer = Down(
                self.features * 2**i, self.kernel_size, not normalized, WEIGHTS, self.dtype
            )
            x = layer(x)
            x = jax.nn.leaky_relu(batch_norm(x, train) if normalized else x, 0.2)
        x = x.reshape(x.shape[0], -1).astype(jnp.float32)
        return MinibatchDiscrimination(self.minibatch)(x) if self.minibatch else x


def batch_norm(x: Float[Array, "b h w c"], train: bool) -> Array:
    """Keeps 0.9 of its running statistics a step, as the paper's code does."""
    gain = lambda key, shape, dtype: 1 + 0.02 * jax.random.normal(key, shape, dtype)  # noqa: E731
    layer = nn.BatchNorm(use_running_average=not train, momentum=0.9, scale_init=gain)
    return layer(x).astype(x.dtype)


def build(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 100,
    features: int = 64,
    smallest: int = 4,
    kernel_size: int = 5,
    dtype: str = "float32",
    **settings: Any,
) -> GAN:
    """A DCGAN.

    Args:
      shape: (H, W, C), sides that halve down to about `smallest`: 64, 32, 28 or 8 with 4 or 2.
      latent_dim: Z.
      features: F, maps next to the image, in both networks.
      smallest: least side of the smallest maps.
      kernel_size: of the convolutions.
      dtype: what the networks compute in.
      **settings: of `GAN`: cost, smoothing, prior, r1, discriminator_moves, share_samples.

    Raises:
      ConfigError: the sides cannot be halved even once, or no image.
    """
    stages = halvings(shape, smallest)
    require_positive(features=features)
    require_within(1, 2 * max(shape[:2]), kernel_size=kernel_size)  # a larger one sees no more
    generator = DCGANGenerator(shape, features, stages, kernel_size, dtype)
    trunk = DCGANTrunk(features, stages, kernel_size, dtype=dtype)
    discriminator = Discriminator(trunk, initializer=WEIGHTS)
    return GAN(shape, latent_dim, generator, discriminator, **{"prior": "uniform", **settings})


def halvings(shape: tuple[int, ...], smallest: int) -> int:
    """How often both sides can be halved without falling below `smallest`."""
    if len(shape) != 3:
        raise ConfigError(f"a DCGAN is for images [H, W, C], not {list(shape)}")
    require_positive(shape=shape, smallest=smallest)
    count, (height, width, _) = 0, shape
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= smallest:
        count, height, width = count + 1, height // 2, width // 2
    if not count:
        raise ConfigError(
            f"sides of {shape[0]} and {shape[1]} cannot be halved to {smallest} or more: "
            "give even sides, or a lesser `smallest`"
        )
    return count
