"""A convolution of stride 2 and its transpose: each is the other's derivative.

With A(k) the linear map of the strided convolution, y = A(k) x halves the sides of x and
x' = A(k)^T y doubles those of y ("fractionally strided", "deconvolution"). The number <y, A(k) x>
is linear in x, k and y, so that its three gradients

    down(x, k) = A(k) x,    up(y, k) = A(k)^T y,    correlate(x, y) = d<y, A(k) x> / dk

are all that is needed: the derivatives of each are the other two. Derivatives of any order are
right, in reverse mode. The kernel of all is [K, K, C, D] for images x [B, 2H, 2W, C] and y
[B, H, W, D]; padding is 'SAME'. `up` equals flax's ConvTranspose with `transpose_kernel=True`.

On a CPU they are products of matrices with the patches of a few images at a time, which then stay
in the cache; elsewhere they are XLA's own convolutions.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.initializer import Initializer
from jaxgen.typing import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_PATCHES = 2**22  # numbers of patches at a time


def down(x: Float[Array, "b h2 w2 c"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h w d"]:
    """A(k) x; of an odd side the half is rounded up."""
    size = len(kernel)
    before = (size - 1) // 2 - _padding(size)[0]  # where 'SAME' has the one more of an odd side
    sides = [(before, 1 - before) if side % 2 else (0, 0) for side in x.shape[1:3]]
    return _down(jnp.pad(x, ((0, 0), *sides, (0, 0))), kernel)


@jax.custom_vjp
def _down(x, kernel):
    """A(k) x of even sides."""
    if jax.default_backend() == "cpu":
        return down_by_matmul(x, kernel)
    return down_by_lax(x, kernel)


@jax.custom_vjp
def up(y: Float[Array, "b h w d"], kernel: Float[Array, "k k c d"]) -> Float[Array, "b h2 w2 c"]:
    """A(k)^T y."""
    if jax.default_backend() == "cpu":
        return up_by_matmul(y, kernel)
    return up_by_lax(y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(
    x: Float[Array, "b h2 w2 c"], y: Float[Array, "b h w d"], size: int
) -> Float[Array, "k k c d"]:
    """The gradient of <y, A(k) x> with respect to a kernel of `size` K."""
    if jax.default_backend() == "cpu":
        return correlate_by_matmul(x, y, size)
    return correlate_by_lax(x, y, size)


_down.defvjp(
    lambda x, kernel: (_down(x, kernel), (x, kernel)),
    lambda saved, y: (up(y, saved[1]), correlate(saved[0], y, len(saved[1]))),
)
up.defvjp(
    lambda y, kernel: (up(y, kernel), (y, kernel)),
    lambda saved, x: (_down(x, saved[1]), correlate(x, saved[0], len(saved[1]))),
)
correlate.defvjp(
    lambda x, y, size: (correlate(x, y, size), (x, y)),
    lambda size, saved, kernel: (up(saved[1], kernel), _down(saved[0], kernel)),
)


def down_by_lax(x: Array, kernel: Array) -> Array:
    """`down`, as XLA's strided convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS)


def up_by_lax(y: Array, kernel: Array) -> Array:
    """`up`, as XLA's convolution of the dilated input."""
    return jax.lax.conv_transpose(
        y, kernel, (2, 2), "SAME", dimension_numbers=_DIMENSIONS, transpose_kernel=True
    )


def correlate_by_lax(x: Array, y: Array, size: int) -> Array:
    """`correlate`, as XLA's kernel gradient."""
    kernel = jnp.zeros((size, size, x.shape[-1], y.shape[-1]), x.dtype)
    return jax.vjp(lambda kernel: down_by_lax(x, kernel), kernel)[1](y)[0]


def down_by_matmul(x: Array, kernel: Array) -> Array:
    """`down`, as patches times the kernel."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    product = lambda x: patches(x, len(kernel)) @ matrix  # noqa: E731
    return _in_parts(product, x, x.size // 4 * len(kernel) ** 2)


def up_by_matmul(y: Array, kernel: Array) -> Array:
    """`up`, as values times the kernel, added up where patches overlap."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).T
    product = lambda y: overlapped(y @ matrix, len(kernel))  # noqa: E731
    return _in_parts(product, y, y[..., 0].size * len(matrix.T))


def correlate_by_matmul(x: Array, y: Array, size: int) -> Array:
    """`correlate`, as values times patches, summed over parts of the batch."""
    channels, features = x.shape[-1], y.shape[-1]
    parts = _number_of_parts(len(x), x.size // 4 * size**2)
    split = lambda x: x.reshape(parts, len(x) // parts, *x.shape[1:])  # noqa: E731
    zero = jnp.zeros((features, size * size * channels), jnp.float32)

    def add(total, part):
        x, y = part
        rows = patches(x, size).reshape(-1, size * size * channels)
        product = jnp.dot(y.reshape(-1, features).T, rows, preferred_element_type=jnp.float32)
        return total + product, None

    total, _ = jax.lax.scan(add, zero, (split(x), split(y)))
    return total.T.reshape(size, size, channels, features).astype(x.dtype)


def patches(x: Float[Array, "b h2 w2 c"], size: int) -> Float[Array, "b h w kkc"]:
    """The K x K pixels that each output of `down` sees.

    Two neighbouring pixels of a row, which one patch begins with, lie side by side in memory.
    """
    batch, height, width, channels = x.shape
    sides = (0, 0), _padding(size), _padding(size), (0, 0)
    x = jnp.pad(x, sides)
    x = x.reshape(batch, x.shape[1] // 2, 2, x.shape[2] // 2, 2 * channels)
    seen = []
    for i in range(size):
        for v in range(_reach(size)):
            pair = x[:, i // 2 : (i + height) // 2, i % 2, v : v + width // 2]
            seen.append(pair[..., : (size - 2 * v) * channels])
    return jnp.concatenate(seen, axis=-1)


def overlapped(taps: Float[Array, "b h w kkc"], size: int) -> Float[Array, "b h2 w2 c"]:
    """The transpose of `patches`: each pixel gets the sum of what patches have for it."""
    batch, height, width, numbers = taps.shape
    channels, reach = numbers // size**2, _reach(size)
    taps = taps.reshape(batch, height, width, size, size * channels)
    rows = []
    for parity in (0, 1):
        total = jnp.zeros((batch, height + reach - 1, width + reach - 1, 2 * channels), taps.dtype)
        for u, i in enumerate(range(parity, size, 2)):
            for v in range(reach):
                pair = taps[..., i, 2 * v * channels : 2 * (v + 1) * channels]
                ends = (u, reach - 1 - u), (v, reach - 1 - v), (0, 2 * channels - pair.shape[-1])
                total += jnp.pad(pair, ((0, 0), *ends))
        rows.append(total)
    sides = (2 * (height + reach - 1), 2 * (width + reach - 1))
    x = jnp.stack(rows, axis=2).reshape(batch, *sides, channels)
    before = _padding(size)[0]
    return x[:, before : before + 2 * height, before : before + 2 * width]


def _reach(size):
    """Patches that overlap in a pixel, along one side."""
    return (size + 1) // 2


def _padding(size):
    """'SAME' for stride 2 and even sides, and one more pixel after where K is odd."""
    before = max(size - 2, 0) // 2
    return before, 2 * _reach(size) - 2 - before


def _number_of_parts(batch, numbers):
    """Least divisor of the batch for which a part's patches are few enough."""
    enough = (n for n in range(1, batch) if batch % n == 0 and numbers <= n * _PATCHES)
    return next(enough, max(batch, 1))


def _in_parts(function: Callable[[Array], Array], x: Array, numbers: int) -> Array:
    """`function` of some images after the other, where all patches together are `numbers`."""
    parts = _number_of_parts(len(x), numbers)
    if parts == 1:
        return function(x)
    y = jax.lax.map(function, x.reshape(parts, -1, *x.shape[1:]))
    return y.reshape(-1, *y.shape[2:])


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
