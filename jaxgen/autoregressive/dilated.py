"""A stack of gated, dilated, causal convolutions of two taps: the network of `wavenet.py`.

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

from jaxgen.typing import Array

Recall = Callable[[int, jax.Array], jax.Array]  # (convolution, its input at t) -> that at t - d

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
        """The next h, and the skip; `past` is h of d samples before, `given` the conditions."""
        gates = _dense(self, 2 * self.features, "present")(h)
        gates += _dense(self, 2 * self.features, "past", bias=False)(past)
        if given is not None:
            gates += _dense(self, 2 * self.features, "given", bias=False)(given)
        content, gate = jnp.split(gates, 2, axis=-1)
        z = jnp.tanh(content) * jax.nn.sigmoid(gate)
        skip = _dense(self, self.skip, "skip")(z)
        return (h if self.last else h + _dense(self, self.features, "residual")(z)), skip


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
      dtype: what to compute in; logits are float32.
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

    def setup(self):
        """Makes the convolutions; the residual path of the last layer would lead nowhere."""
        last = len(self.dilations) - 1
        self.input_present = _dense(self, self.features, init=smooth)
        self.input_past = _dense(self, self.features, bias=False, init=smooth)
        self.layers = [
            GatedLayer(self.features, self.skip, i == last, self.dtype) for i in range(last + 1)
        ]
        self.head = _dense(self, self.skip)
        self.logits = _dense(self, self.levels)
        if self.context_dim:
            width, init = self.context_stride * self.context_features, held(self.context_stride)
            self.upsampling = _dense(self, width, init=init)

    def __call__(
        self,
        x: Float[Array, "n v"],
        recall: Recall,
        given: Float[Array, "n g"] | None,
    ) -> Float[Array, "n v"]:
        """Logits of x_t from x_(t-1), one-hot, and from what `recall` gives of earlier inputs."""
        h = self.input_present(x) + recall(0, self.input_past(x))
        total = 0.0
        for i, layer in enumerate(self.layers):
            h, skip = layer(h, recall(i + 1, h), given)
            total += skip
        hidden = self.head(jax.nn.relu(total))
        return self.logits(jax.nn.relu(hidden)).astype(jnp.float32)

    def given(
        self,
        label: Float[Array, "b k"] | None,
        context: Float[Array, "b n c"] | None,
        length: int,
    ) -> Float[Array, "b t g"] | None:
        """The conditions at the rate of the samples; None without any.

        A label holds for all time, and each frame of the context becomes `context_stride` vectors.
        """
        parts = []
        if label is not None:
            parts.append(jnp.repeat(label[:, None], length, axis=1).astype(self.dtype))
        if context is not None:
            frames = self.upsampling(context)
            parts.append(frames.reshape(len(context), length, self.context_features))
        return jnp.concatenate(parts, axis=-1) if parts else None


def smooth(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """A table [V, F] in which codes that are neighbours start alike: random waves over the codes.

    Entries are of size 1, for one row alone is read at a time. Independent rows would not say
    which codes are close: after 100 steps on `tones` (one seed) 3.86 nats a sample against 3.45.
    """
    frequency_key, phase_key = jax.random.split(key)
    frequency = _WAVES * jax.random.normal(frequency_key, shape[1:])
    phase = jax.random.uniform(phase_key, shape[1:], maxval=2 * jnp.pi)
    return jnp.cos(jnp.linspace(-1, 1, shape[0])[:, None] * frequency + phase).astype(dtype)


def held(stride: int) -> Callable[..., jax.Array]:
    """Initial kernels [C, stride F] by which a frame is the same vector at all of its samples.

    What is learned of a frame at one sample then holds at the others from the start.
    """

    def init(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
        kernel = jax.random.normal(key, (shape[0], shape[1] // stride), dtype)
        return jnp.tile(kernel, (1, stride))

    return init


def _dense(module, features, name=None, bias=True, init=nn.linear.default_kernel_init):
    return nn.Dense(features, use_bias=bias, dtype=module.dtype, name=name, kernel_init=init)
