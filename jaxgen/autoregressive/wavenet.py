"""WaveNet: sound sample by sample, through causal convolutions with holes.

    p(x | h) = prod_t p(x_t | x_<t, h),        x_t in 0 .. 255, a mu-law code

A convolution of two taps, h_t and h_(t - d), doubles its reach when the next one's dilation d is
twice as large: L layers see 2^L samples back. Each layer is a gate with a residual,

    z = tanh(W_f * h + V_f y) . sigmoid(W_g * h + V_g y)      h <- h + W_r z,      skip = W_s z

and the logits are ReLU, 1x1, ReLU, 1x1 of the sum of all skips. What it is conditioned on, y, is a
class for all time (who speaks, which instrument) and a context at a coarse rate (which letter,
which note), brought to the rate of the samples by a learned transposed convolution.

The input of the first convolution is x_(t-1), the one shift of the model; samples before the first
are no code at all, zero in every layer. To sample, each layer keeps its last d inputs in a ring:
it reads the oldest and writes over it, so that a sample costs O(L) rather than O(2^L).

van den Oord et al., 2016, "WaveNet: a generative model for raw audio" (arXiv 1609.03499). Rings: Le
Paine et al., 2016, "Fast WaveNet generation algorithm" (arXiv 1611.09482).

*Differs from the paper:* a context frame is spread over its own samples alone (the kernel of the
transposed convolution is as long as its stride). Between whole codes the first layer interpolates,
so that the Jacobian by which causality is checked exists.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.dilated import DilatedStack
from jaxgen.errors import ConfigError
from jaxgen.nn import require_positive
from jaxgen.observation import Categorical
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class WaveNet:
    """A WaveNet over sequences of codes.

    It takes sequences of any length: `dataclasses.replace(model, shape=(longer,))` goes with the
    same variables.

    Attributes:
      shape: (T,), one example.
      network: from codes so far, and conditions, to logits.
    """

    shape: tuple[int, ...]
    network: DilatedStack

    wavenet_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        if len(self.shape) != 1:
            raise ConfigError(f"WaveNet is for sequences [T], not {list(self.shape)}")
        if self.context_dim and self.shape[0] % self.network.context_stride:
            raise ConfigError(
                f"context_stride: got {self.network.context_stride}, expected a divisor of the "
                f"{self.shape[0]} samples"
            )

    @property
    def observation(self) -> Categorical:
        """A softmax over the levels."""
        return Categorical(self.network.levels)

    @property
    def num_classes(self) -> int:
        """Of the label, 0 without."""
        return self.network.num_classes

    @property
    def context_dim(self) -> int:
        """Of a frame of the context, 0 without."""
        return self.network.context_dim

    @property
    def order(self) -> np.ndarray:
        """Time, [T]."""
        return np.arange(self.shape[0])

    @property
    def field(self) -> int:
        """How many samples before it a conditional reaches: 2 + the sum of the dilations."""
        return 2 + sum(self.network.dilations)

    def dependencies(self) -> np.ndarray:
        """Lags of 1 plus any sum of the convolutions' dilations, [T, T]; dense if they double."""
        lags = {1}
        for delay in self._delays:
            lags |= {lag + delay for lag in lags}
        return np.isin(np.subtract.outer(self.order, self.order), list(lags))

    def init(self, key: Key) -> Variables:
        """Fresh variables {'wavenet'}."""
        length = self.network.context_stride
        label = jnp.zeros((1, self.num_classes)) if self.num_classes else None
        context = jnp.zeros((1, 1, self.context_dim)) if self.context_dim else None

        def everything(network):
            given = network.given(label, context, length)
            x = jnp.zeros((length, self.network.levels))
            return network(x, lambda i, h: h, None if given is None else given[0])

        return {"wavenet": nn.init(everything, self.network)(key)}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("wavenet", ("wavenet",), self.wavenet_loss, tx),)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b t"],
        label: Int[Array, " b"] | None = None,
        context: Float[Array, "b n c"] | None = None,
    ) -> Float[Array, "b t v"]:
        """Logits of every p(x_t | x_<t), all at once."""
        given = self._given(variables, x.shape, label, context)
        rows = (x.size, -1)
        logits = self.network.apply(
            variables["wavenet"],
            _delayed(_one_hot(x, self.network.levels), 1).reshape(rows),
            lambda i, h: _delayed(h.reshape(*x.shape, -1), self._delays[i]).reshape(rows),
            None if given is None else given.reshape(rows),
        )
        return logits.reshape(*x.shape, -1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        label: Int[Array, " b"] | None = None,
        context: Float[Array, "b n c"] | None = None,
    ) -> Float[Array, "b t"]:
        """Sample by sample, on rings of each convolution's last inputs: O(layers) a sample."""
        given = self._given(variables, (num, *self.shape), label, context)
        network, delays = self.network, self._delays

        def draw(carry, at):
            (x, rings), (t, given) = carry, at
            rings = list(rings)

            def recall(i, h):
                place, ring = t % delays[i], rings[i]
                rings[i] = jax.lax.dynamic_update_index_in_dim(ring, h, place, 0)
                return jax.lax.dynamic_index_in_dim(ring, place, 0, keepdims=False)

            value = choose(t, network.apply(variables["wavenet"], x, recall, given))
            return (_one_hot(value, network.levels), tuple(rings)), value

        silence = jnp.zeros((num, network.levels))
        rings = tuple(jnp.zeros((d, num, network.features), network.dtype) for d in delays)
        times = (jnp.arange(self.shape[0]), None if given is None else given.swapaxes(0, 1))
        _, values = jax.lax.scan(draw, (silence, rings), times)
        return values.T

    @property
    def _delays(self):
        """Of every convolution, the first one's included."""
        return (1, *self.network.dilations)

    def _given(self, variables, shape, label, context):
        """The conditions at every time, [B, T, G]; None for a model without any."""
        frames = (shape[0], shape[1] // self.network.context_stride, self.context_dim)
        for name, dim, given, expected in (
            ("label", self.num_classes, label, shape[:1]),
            ("context", self.context_dim, context, frames),
        ):
            got = None if given is None else given.shape
            if got != (expected if dim else None):
                raise ConfigError(
                    f"WaveNet, {name}: got {got and list(got)}, "
                    f"expected {list(expected) if dim else None}"
                )
        if label is not None:
            label = jax.nn.one_hot(label, self.num_classes)
        network = variables["wavenet"]
        return self.network.apply(network, label, context, shape[1], method="given")


def build(
    shape: tuple[int, ...],
    *,
    levels: int = 256,
    num_layers: int = 8,
    num_blocks: int = 2,
    features: int = 32,
    skip: int = 64,
    num_classes: int = 0,
    context_dim: int = 0,
    context_stride: int = 1,
    context_features: int = 16,
    dtype: str = "float32",
) -> WaveNet:
    """A WaveNet of `num_blocks` times the dilations 1, 2, 4, ..., 2^(num_layers - 1).

    Args:
      shape: (T,), of one example.
      levels: of a code.
      num_layers: in a block.
      num_blocks: blocks, one after the other.
      features: of the residual path.
      skip: features of the sum from which the logits are made.
      num_classes: of the label, 0 without one.
      context_dim: of a frame of the context, 0 without one.
      context_stride: samples a frame of the context.
      context_features: of the context at the rate of the samples.
      dtype: what the network computes in.
    """
    require_positive(num_layers=num_layers, num_blocks=num_blocks, features=features, skip=skip)
    require_positive(context_stride=context_stride, context_features=context_features)
    dilations = tuple(2**i for i in range(num_layers)) * num_blocks
    network = DilatedStack(
        levels,
        dilations,
        features,
        skip,
        num_classes,
        context_dim,
        context_stride,
        context_features,
        dtype,
    )
    return WaveNet(shape, network)


def _one_hot(x, levels):
    """[...] -> [..., V]; between two whole levels part of both, so that it has a slope."""
    return jax.nn.relu(1 - jnp.abs(x[..., None] - jnp.arange(levels)))


def _delayed(h, d):
    """h_(t-d) at t, [B, T, F]; zeros before the first."""
    return jnp.pad(h, ((0, 0), (d, 0), (0, 0)))[:, : h.shape[1]]
