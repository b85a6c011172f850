"""A stack of gated, dilated, causal convolutions of two taps: the network of a WaveNet.

Everything in a layer but the delay is 1x1, so that one description serves both uses: all times at
once, a row for each time of each example, where `recall` shifts, and one time, a row for each
example, where it reads what was remembered. Rows and not [B, T, F], for which XLA on CPU takes half
as long again.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.precision import at_least_float32
from jaxgen.typing import Array, Key

Recall = Callable[[int, jax.Array], jax.Array]  # (convolution, its input at t) -> that at t - d
Initializer = Callable[..., Any]  # (key, shape, dtype) -> a parameter

_WAVES = 3.0  # standard deviation of the frequencies, in radians over half the codes


class GatedLayer(nn.Module):
    """One layer, row by row.

    Attributes:
      features: of the residual path.
      skip: features of the output.
      last: the residual path ends here.
      dtype: what to compute in.
    """

    features: int
    skip: int
    last: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        h: Float[Array, "n f"],
        past: Float[Array, "n f"],
        given: Float[Array, "n g"] | None,
    ) -> tuple[Float[Array, "n f"], Float[Array, "n s"]]:
        """Return the next h, and the skip.

        Args:
          h: at t.
          past: h of d samples before.
          given: the conditions; None without any.
        """
        # The two halves of the gates share a product: W_f and W_g, side by side.
        both = 2 * self.features
        gates = _dense(self, both, "present")(h)
        gates += _dense(self, both, "past", bias=False)(past)
        if given is not None:
            gates += _dense(self, both, "given", bias=False)(given)
        content, opening = jnp.split(gates, 2, axis=-1)
        z = jnp.tanh(content) * jax.nn.sigmoid(opening)
        skip = _dense(self, self.skip, "skip")(z)
        if self.last:
            return h, skip
        return h + _dense(self, self.features, "residual")(z), skip


class DilatedStack(nn.Module):
    """The network: from codes so far to the logits of the next.

    Attributes:
      levels: of the codes, V.
      dilations: of the gated layers; before them lies the input convolution, of dilation 1.
      features: of the residual path.
      skip: features of the sum from which the logits are made.
      num_classes: of the label, 0 without.
      context_dim: of a frame of the context, 0 without.
      context_stride: samples a frame.
      context_features: of the context at the rate of the samples.
      dtype: what to compute in; logits are at least float32.
    """

    levels: int
    dilations: tuple[int, ...]
    features: int
    skip: int
    num_classes: int = 0
    context_dim: int = 0
    context_stride: int = 1
    context_features: int = 16
    dtype: str = "float32"

    @property
    def delays(self) -> tuple[int, ...]:
        """The delays of all convolutions, that of the input convolution first."""
        return (1, *self.dilations)

    def setup(self) -> None:
        """Make the convolutions; the residual path of the last layer would lead nowhere."""
        last = len(self.dilations) - 1
        self.input_present = _dense(self, self.features, init=smooth)
        self.input_past = _dense(self, self.features, bias=False, init=smooth)
        layers = []
        for i in range(last + 1):
            layers.append(GatedLayer(self.features, self.skip, i == last, self.dtype))
        self.layers = layers
        self.head = _dense(self, self.skip)
        self.logits = _dense(self, self.levels)
        if self.context_dim:
            # A transposed convolution as long as its stride is a product.
            width = self.context_stride * self.context_features
            self.upsampling = _dense(self, width, init=held(self.context_stride))

    def __call__(
        self,
        x: Float[Array, "n v"],
        recall: Recall,
        given: Float[Array, "n g"] | None,
    ) -> Float[Array, "n v"]:
        """Return the logits of x_t.

        Args:
          x: x_(t-1), one-hot.
          recall: gives each convolution's input of d samples before.
          given: the conditions at t; None without any.
        """
        # The input convolution, of dilation 1, remembers the product of its past tap.
        h = self.input_present(x) + recall(0, self.input_past(x))
        total: Any = 0.0
        for i, layer in enumerate(self.layers):
            h, skip = layer(h, recall(i + 1, h), given)
            total += skip
        hidden = self.head(jax.nn.relu(total))
        return at_least_float32(self.logits(jax.nn.relu(hidden)))

    def given(
        self,
        label: Float[Array, "b k"] | None,
        context: Float[Array, "b n c"] | None,
        length: int,
    ) -> Float[Array, "b t g"] | None:
        """Return the conditions at the rate of the samples; None without any.

        A label holds for all time, and each frame of the context becomes `context_stride` vectors.
        """
        parts = []
        if label is not None:
            labels = jnp.repeat(label[:, None], length, axis=1)  # [B, T, K]
            parts.append(labels.astype(self.dtype))
        if context is not None:
            frames = self.upsampling(context)  # [B, N, stride F]
            # [B, N, stride F] -> [B, N stride, F]: one frame's vectors follow each other in time.
            parts.append(frames.reshape(len(context), length, self.context_features))
        return jnp.concatenate(parts, axis=-1) if parts else None


def one_hot(x: Float[Array, "..."], levels: int) -> Float[jax.Array, "... v"]:
    """Return codes one-hot, [...] -> [..., V].

    Between two whole levels it is part of both, so that it has a slope.
    """
    codes = jax.lax.broadcast_to_rank(jnp.arange(levels), x.ndim + 1)  # [1, ..., V]
    distance = jnp.abs(x[..., None] - codes)
    return jax.nn.relu(1 - distance)


def smooth(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Return a table [V, F] in which codes that are neighbours start alike.

    It is of random waves over the codes. Entries are of size 1, for one row alone is read at a
    time. Independent rows would not say which codes are close: after 100 steps on `tones` (one
    seed) 3.86 nats a sample against 3.45.
    """
    levels, *features = shape
    frequency_key, phase_key = jax.random.split(key)
    frequency = _WAVES * jax.random.normal(frequency_key, features)
    phase = jax.random.uniform(phase_key, features, maxval=2 * jnp.pi)
    codes = jnp.linspace(-1, 1, levels)[:, None]  # [V, 1]
    return jnp.cos(codes * frequency[None] + phase[None]).astype(dtype)


def held(stride: int) -> Initializer:
    """Return an initialiser of kernels [C, stride F] by which a frame is one vector for all time.

    What is learned of a frame at one of its samples then holds at the others from the start.
    """

    def init(
        key: Key,
        shape: tuple[int, ...],
        dtype: Any = jnp.float32,
    ) -> jax.Array:
        inputs, outputs = shape
        kernel = jax.random.normal(key, (inputs, outputs // stride), dtype)
        return jnp.tile(kernel, (1, stride))

    return init


def _dense(
    module: GatedLayer | DilatedStack,
    features: int,
    name: str | None = None,
    bias: bool = True,
    init: Initializer = nn.linear.default_kernel_init,
) -> nn.Dense:
    """Return a dense layer of the module, in its dtype."""
    return nn.Dense(features, use_bias=bias, dtype=module.dtype, name=name, kernel_init=init)
