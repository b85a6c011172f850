"""A convolution of stride 2 and its transpose: each is the other's derivative.

With A the linear map of the strided convolution, y = A(k) x halves the sides of x and x' = A(k)^T y
doubles those of y ("fractionally strided", "deconvolution"). The kernel gradient of the transpose
is that of the strided convolution with the roles of input and slope exchanged, which XLA runs some
fifty times faster on a CPU than the one that autodiff finds.

The kernel of both is [K, K, C, D] for images x [B, 2H, 2W, C] and y [B, H, W, D]; padding is
'SAME'. `up` equals flax's ConvTranspose with `transpose_kernel=True`. Derivatives of any order are
right (reverse mode alone for `up`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.initializer import Initializer
from jaxgen.typing import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def down(x: Float[Array, "b h2 w2 c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h w d"]:
    """A(k) x."""
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)


@jax.custom_vjp
def up(y: Float[Array, "b h w d"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h2 w2 c"]:
    """A(k)^T y."""
    return jax.lax.conv_transpose(
        y, kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS, transpose_kernel=True
    )


def _up_forward(y, kernel):
    return up(y, kernel), (y, kernel)


def _up_backward(saved, slope):
    """<slope, A(k)^T y> = <A(k) slope, y>: linear in y, and in k as the strided map of `slope`."""
    y, kernel = saved
    smaller, transpose = jax.vjp(lambda kernel: down(slope, kernel), kernel)
    return smaller, transpose(y)[0]


up.defvjp(_up_forward, _up_backward)


class Down(nn.Module):
    """[B, 2H, 2W, C] -> [B, H, W, features].

    Attributes:
      features: D.
      kernel_size: K.
      use_bias: add a bias for each feature.
      initializer: of the kernel.
      dtype: what to compute in.
    """

    features: int
    kernel_size: int = 4
    use_bias: bool = True
    initializer: Initializer = Initializer()
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b h2 w2 c"]) -> Float[Array, "b h w d"]:
        """A strided convolution."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.initializer, shape)
        y = down(x.astype(self.dtype), kernel.astype(self.dtype))
        return _with_bias(self, y)


class Up(nn.Module):
    """[B, H, W, D] -> [B, 2H, 2W, features]; attributes as in `Down`."""

    features: int
    kernel_size: int = 4
    use_bias: bool = True
    initializer: Initializer = Initializer()
    dtype: str = "float32"

    @nn.compact
    def __call__(self, y: Float[Array, "b h w d"]) -> Float[Array, "b h2 w2 c"]:
        """A transposed convolution."""
        shape = (self.kernel_size, self.kernel_size, self.features, y.shape[-1])
        kernel = self.param("kernel", self.initializer, shape)
        x = up(y.astype(self.dtype), kernel.astype(self.dtype))
        return _with_bias(self, x)


def _with_bias(module, x):
    if not module.use_bias:
        return x
    bias = module.param("bias", nn.initializers.zeros, (module.features,))
    return x + jnp.asarray(bias, x.dtype)
