"""A convolution of stride 2 and its transpose: each is the other's derivative.

With A(k) the linear map of the strided convolution, y = A(k) x halves the sides of x and
x' = A(k)^T y doubles those of y ("fractionally strided", "deconvolution"). The number <y, A(k) x>
is linear in x, k and y, so that its three gradients

    down(x, k) = A(k) x,    up(y, k) = A(k)^T y,    correlate(x, y) = d<y, A(k) x> / dk

are all that is needed: the derivatives of each are the other two. Derivatives of any order are
right, in reverse mode. The kernel of all is [K, K, C, D] for images x [B, 2H, 2W, C] and y
[B, H, W, D]; padding is 'SAME'. `up` equals flax's ConvTranspose with `transpose_kernel=True`.

What an output sees, along one side, for K = 4 and six pixels (p is padding):

    x       p 0 1 2 3 4 5 p
    y_0    [p 0 1 2]                   down: each y is its patch of x times the kernel
    y_1        [1 2 3 4]               up: each x gets the sum over the patches that it lies in
    y_2            [3 4 5 p]

On a CPU they are products of matrices with the patches of a few images at a time, which then stay
in the cache; elsewhere they are XLA's own convolutions.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.bias import add_bias
from jaxgen.nn.initializer import Initializer
from jaxgen.nn.patches import overlapped, padding, patches
from jaxgen.typing import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_PATCHES = 2**22  # numbers of patches at a time
_Saved = tuple[Array, Array]  # both arguments, for the backward pass


def down(
    x: Float[Array, "b h2 w2 c"],
    kernel: Float[Array, "k k c d"],
) -> Float[Array, "b h w d"]:
    """Return A(k) x; of an odd side the half is rounded up."""
    size = len(kernel)
    # An odd side gets one more pixel, on the side where 'SAME' has it.
    before = (size - 1) // 2 - padding(size)[0]
    extra = (before, 1 - before)
    sides = [extra if side % 2 else (0, 0) for side in x.shape[1:3]]
    ends = ((0, 0), *sides, (0, 0))
    even = jnp.pad(x, ends)
    return _down(even, kernel)


@jax.custom_vjp
def _down(x: Array, kernel: Array) -> Array:
    """Return A(k) x for even sides."""
    if jax.default_backend() == "cpu":
        return down_by_matmul(x, kernel)
    return down_by_lax(x, kernel)


@jax.custom_vjp
def up(
    y: Float[Array, "b h w d"],
    kernel: Float[Array, "k k c d"],
) -> Float[Array, "b h2 w2 c"]:
    """Return A(k)^T y."""
    if jax.default_backend() == "cpu":
        return up_by_matmul(y, kernel)
    return up_by_lax(y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(
    x: Float[Array, "b h2 w2 c"],
    y: Float[Array, "b h w d"],
    size: int,
) -> Float[Array, "k k c d"]:
    """Return the gradient of <y, A(k) x> with respect to a kernel of `size` K."""
    if jax.default_backend() == "cpu":
        return correlate_by_matmul(x, y, size)
    return correlate_by_lax(x, y, size)


# The derivatives. Forward: the value, and what the backward pass needs. Backward: from the
# gradient of the result those of both arguments, which are the other two maps.


def _down_forward(x: Array, kernel: Array) -> tuple[Array, _Saved]:
    return _down(x, kernel), (x, kernel)


def _down_backward(saved: _Saved, y: Array) -> tuple[Array, Array]:
    x, kernel = saved
    return up(y, kernel), correlate(x, y, len(kernel))


def _up_forward(y: Array, kernel: Array) -> tuple[Array, _Saved]:
    return up(y, kernel), (y, kernel)


def _up_backward(saved: _Saved, x: Array) -> tuple[Array, Array]:
    y, kernel = saved
    return _down(x, kernel), correlate(x, y, len(kernel))


def _correlate_forward(x: Array, y: Array, size: int) -> tuple[Array, _Saved]:
    return correlate(x, y, size), (x, y)


def _correlate_backward(
    size: int,
    saved: _Saved,
    kernel: Array,
) -> tuple[Array, Array]:
    del size  # the gradient has the kernel's shape
    x, y = saved
    return up(y, kernel), _down(x, kernel)


_down.defvjp(_down_forward, _down_backward)
up.defvjp(_up_forward, _up_backward)
correlate.defvjp(_correlate_forward, _correlate_backward)


def down_by_lax(x: Array, kernel: Array) -> Array:
    """Compute `down` as XLA's strided convolution."""
    return jax.lax.conv_general_dilated(
        jnp.asarray(x),
        jnp.asarray(kernel),
        window_strides=(2, 2),
        padding="SAME",
        dimension_numbers=_DIMENSIONS,
    )


def up_by_lax(y: Array, kernel: Array) -> Array:
    """Compute `up` as XLA's convolution of the dilated input."""
    return jax.lax.conv_transpose(
        jnp.asarray(y),
        jnp.asarray(kernel),
        strides=(2, 2),
        padding="SAME",
        dimension_numbers=_DIMENSIONS,
        transpose_kernel=True,
    )


def correlate_by_lax(
    x: Array,
    y: Array,
    size: int,
) -> Array:
    """Compute `correlate` as XLA's kernel gradient."""
    shape = (size, size, x.shape[-1], y.shape[-1])
    zero = jnp.zeros(shape, x.dtype)
    _, pull = jax.vjp(lambda kernel: down_by_lax(x, kernel), zero)
    (gradient,) = pull(y)
    return gradient


def down_by_matmul(x: Array, kernel: Array) -> Array:
    """Compute `down` as patches times the kernel."""
    size = len(kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1])  # [K, K, C, D] -> [K*K*C, D]

    def product(images: Array) -> Array:
        return patches(images, size) @ matrix  # [B, H, W, K*K*C] -> [B, H, W, D]

    per_tap = x.size // 4  # B*H*W*C numbers
    return _in_parts(product, x, per_tap * size**2)


def up_by_matmul(y: Array, kernel: Array) -> Array:
    """Compute `up` as values times the kernel, added up where patches overlap."""
    size = len(kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1]).T  # [K, K, C, D] -> [D, K*K*C]

    def product(values: Array) -> Array:
        taps = values @ matrix  # [B, H, W, D] -> [B, H, W, K*K*C]
        return overlapped(taps, size)

    num_pixels = y[..., 0].size
    return _in_parts(product, y, num_pixels * matrix.shape[1])


def correlate_by_matmul(
    x: Array,
    y: Array,
    size: int,
) -> Array:
    """Compute `correlate` as values times patches, summed over parts of the batch."""
    channels = x.shape[-1]
    features = y.shape[-1]
    taps = size * size * channels
    parts = _number_of_parts(len(x), x.size // 4 * size**2)
    precise = jnp.promote_types(x.dtype, jnp.float32)
    zero = jnp.zeros((features, taps), precise)

    def add(total: jax.Array, part: tuple[Array, Array]) -> tuple[jax.Array, None]:
        images, values = part
        seen = patches(images, size)
        rows = seen.reshape(-1, taps)  # [B, H, W, K*K*C] -> [B*H*W, K*K*C]
        columns = values.reshape(-1, features).T  # [B, H, W, D] -> [D, B*H*W]
        # bfloat16 is added up in float32.
        product = jnp.dot(columns, rows, preferred_element_type=precise)
        return total + product, None

    batches = (_split(x, parts), _split(y, parts))
    total, _ = jax.lax.scan(add, zero, batches)
    # [D, K*K*C] -> [K, K, C, D]
    gradient = total.T.reshape(size, size, channels, features)
    return gradient.astype(x.dtype)


def _split(x: Array, parts: int) -> Array:
    """Cut a batch into equal parts, [B, ...] -> [parts, B / parts, ...]."""
    return x.reshape(parts, len(x) // parts, *x.shape[1:])


def _number_of_parts(batch: int, numbers: int) -> int:
    """Return the least divisor of the batch for which a part's patches are few enough."""
    divisors = (n for n in range(1, batch) if batch % n == 0)
    enough = (n for n in divisors if numbers <= n * _PATCHES)
    return next(enough, max(batch, 1))


def _in_parts(function: Callable[[Array], Array], x: Array, numbers: int) -> Array:
    """Apply `function` to some images after the other; all patches together are `numbers`."""
    parts = _number_of_parts(len(x), numbers)
    if parts == 1:
        return function(x)
    y = jax.lax.map(function, _split(x, parts))
    return y.reshape(-1, *y.shape[2:])  # [parts, B / parts, ...] -> [B, ...]


class Down(nn.Module):
    """A strided convolution, [B, 2H, 2W, C] -> [B, H, W, features].

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
        """Halve the sides."""
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.initializer, shape)
        y = down(x.astype(self.dtype), kernel.astype(self.dtype))
        return _with_bias(self, y)


class Up(nn.Module):
    """A transposed convolution, [B, H, W, D] -> [B, 2H, 2W, features]; attributes as in `Down`."""

    features: int
    kernel_size: int = 4
    use_bias: bool = True
    initializer: Initializer = Initializer()
    dtype: str = "float32"

    @nn.compact
    def __call__(self, y: Float[Array, "b h w d"]) -> Float[Array, "b h2 w2 c"]:
        """Double the sides."""
        # Outputs before inputs: it is the kernel of the convolution that this one transposes.
        size = self.kernel_size
        shape = (size, size, self.features, y.shape[-1])
        kernel = self.param("kernel", self.initializer, shape)
        x = up(y.astype(self.dtype), kernel.astype(self.dtype))
        return _with_bias(self, x)


def _with_bias(module: Down | Up, x: Array) -> Array:
    """Add the layer's bias, if it has one."""
    if not module.use_bias:
        return x
    bias = module.param("bias", nn.initializers.zeros, (module.features,))
    return add_bias(x, jnp.asarray(bias, x.dtype))
