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
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.arguments import require_positive, require_within
from jaxgen.errors import ConfigError
from jaxgen.gan.base import Prior
from jaxgen.gan.gan import GAN
from jaxgen.nn import (
    Discriminator,
    Down,
    Initializer,
    MinibatchDiscrimination,
    Norm,
    Up,
    normalize,
)
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array, Key

WEIGHTS = Initializer("normal", 0.02)


class DCGANGenerator(nn.Module):
    """A chain of fractionally strided convolutions, z [B, Z] -> x [B, H, W, C] in [-1, 1].

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
        """The bounds of samples, those of tanh."""
        return (-1.0, 1.0)

    @nn.compact
    def __call__(self, z: Float[Array, "b z"], *, train: bool) -> Float[Array, "b h w c"]:
        """Return images, one for each row of z."""
        height, width, channels = self.shape
        widths = [self.features * 2**i for i in range(self.stages)]
        small = (height >> self.stages, width >> self.stages, widths[-1])
        size = math.prod(small)
        x = nn.Dense(size, use_bias=False, kernel_init=WEIGHTS, dtype=self.dtype)(z)
        x = x.reshape(-1, *small)  # [B, s * s * 2^(n-1) F] -> [B, s, s, 2^(n-1) F]
        x = jax.nn.relu(self.normalized(x, train))
        for features in reversed(widths[:-1]):
            x = self.doubled(x, features, use_bias=False)  # each side twice as long
            x = jax.nn.relu(self.normalized(x, train))
        x = self.doubled(x, channels, use_bias=True)
        return jnp.tanh(at_least_float32(x))

    def doubled(
        self, x: Float[Array, "b h w c"], features: int, *, use_bias: bool
    ) -> Float[Array, "b h2 w2 f"]:
        """Apply a fractionally strided convolution, which doubles the sides."""
        return Up(features, self.kernel_size, use_bias, WEIGHTS, self.dtype)(x)

    def normalized(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w c"]:
        """Apply the paper's batch normalisation, or another."""
        if self.norm == "batch":
            return batch_norm(x, train)
        return normalize(x, self.norm, train=train, num_reference=self.num_reference)


class DCGANTrunk(nn.Module):
    """A chain of strided convolutions, x [B, H, W, C] -> features [B, F'], flat.

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
        """Return the features of each image."""
        for stage in range(self.stages):
            features = self.features * 2**stage
            normalized = self.normalized and stage > 0
            use_bias = not normalized
            x = Down(features, self.kernel_size, use_bias, WEIGHTS, self.dtype)(x)
            if normalized:
                x = batch_norm(x, train)
            x = jax.nn.leaky_relu(x, 0.2)
        x = x.reshape(x.shape[0], -1)  # [B, s, s, 2^(n-1) F] -> [B, F']
        x = at_least_float32(x)
        if self.minibatch:
            return MinibatchDiscrimination(self.minibatch)(x)
        return x


def batch_norm(x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w c"]:
    """Apply batch normalisation as the paper's code does, inside a compact module.

    It keeps 0.9 of its running statistics a step.
    """
    layer = nn.BatchNorm(use_running_average=not train, momentum=0.9, scale_init=_gain)
    return layer(x).astype(x.dtype)


def _gain(key: Key, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Draw a gain of batch normalisation, N(1, 0.02^2)."""
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def build(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 100,
    features: int = 64,
    smallest: int = 4,
    kernel_size: int = 5,
    dtype: str = "float32",
    cost: str = "non_saturating",
    smoothing: float = 0.0,
    prior: Prior = "uniform",
    r1: float = 0.0,
    discriminator_moves: int = 1,
    share_samples: bool = False,
) -> GAN:
    """Build a DCGAN.

    Args:
      shape: (H, W, C), sides that halve down to about `smallest`: 64, 32, 28 or 8 with 4 or 2.
      latent_dim: Z.
      features: F, maps next to the image, in both networks.
      smallest: least side of the smallest maps.
      kernel_size: of the convolutions.
      dtype: what the networks compute in.
      cost: as in `GAN`, and so are the following.
      smoothing: of the real targets.
      prior: of z.
      r1: gamma.
      discriminator_moves: for each of the generator.
      share_samples: both players see the same noise.

    Raises:
      ConfigError: the sides cannot be halved even once, or no image.
    """
    stages = halvings(shape, smallest)
    height, width, channels = shape
    require_positive(features=features)
    require_within(1, 2 * max(height, width), kernel_size=kernel_size)  # a larger one sees no more
    generator = DCGANGenerator((height, width, channels), features, stages, kernel_size, dtype)
    trunk = DCGANTrunk(features, stages, kernel_size, dtype=dtype)
    return GAN(
        shape=shape,
        latent_dim=latent_dim,
        generator=generator,
        discriminator=Discriminator(trunk, initializer=WEIGHTS),
        cost=cost,
        smoothing=smoothing,
        prior=prior,
        r1=r1,
        discriminator_moves=discriminator_moves,
        share_samples=share_samples,
    )


def halvings(shape: tuple[int, ...], smallest: int) -> int:
    """Count how often both sides can be halved without falling below `smallest`.

    Raises:
      ConfigError: not even once, or no image.
    """
    if len(shape) != 3:
        raise ConfigError(f"a DCGAN is for images [H, W, C], not {list(shape)}")
    require_positive(shape=shape, smallest=smallest)
    height, width, _ = shape
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= smallest:
        height //= 2
        width //= 2
        count += 1
    if not count:
        raise ConfigError(
            f"sides of {shape[0]} and {shape[1]} cannot be halved to {smallest} or more: "
            "give even sides, or a lesser `smallest`"
        )
    return count
