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
(`sampler.py`).

van den Oord et al., 2016, "WaveNet: a generative model for raw audio" (arXiv 1609.03499). Rings: Le
Paine et al., 2016, "Fast WaveNet generation algorithm" (arXiv 1611.09482).

*Differs from the paper:* a context frame is spread over its own samples alone (the kernel of the
transposed convolution is as long as its stride). Between whole codes the first layer interpolates,
so that the Jacobian by which causality is checked exists.
"""

from dataclasses import dataclass
from typing import cast, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Autoregressive, Choose
from jaxgen.autoregressive.wavenet.dilated import DilatedStack, one_hot
from jaxgen.autoregressive.wavenet.sampler import WaveNetSampler
from jaxgen.distributions.observation import Categorical
from jaxgen.errors import ConfigError
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class WaveNet(Autoregressive):
    """A WaveNet over sequences of codes.

    It takes sequences of any length: `dataclasses.replace(model, shape=(longer,))` goes with the
    same variables.

    Attributes:
      shape: (T,), one example.
      network: from codes so far, and conditions, to logits.
    """

    shape: tuple[int, ...]
    network: DilatedStack

    def __post_init__(self) -> None:
        if len(self.shape) != 1:
            raise ConfigError(f"WaveNet is for sequences [T], not {list(self.shape)}")
        if self.context_dim and self.shape[0] % self.network.context_stride:
            raise ConfigError(
                f"context_stride: got {self.network.context_stride}, expected a divisor of the "
                f"{self.shape[0]} samples"
            )

    @property
    def observation(self) -> Categorical:
        """The softmax over the levels."""
        return Categorical(self.network.levels)

    @property
    def num_classes(self) -> int:
        """The number of classes of the label, 0 without."""
        return self.network.num_classes

    @property
    def context_dim(self) -> int:
        """The size of a frame of the context, 0 without."""
        return self.network.context_dim

    @property
    def order(self) -> np.ndarray:
        """The order of time, [T]."""
        return np.arange(self.shape[0])

    @property
    def field(self) -> int:
        """The number of samples back that a conditional reaches: 2 + the sum of the dilations."""
        return 2 + sum(self.network.dilations)

    def dependencies(self) -> np.ndarray:
        """Return which samples are read, [T, T].

        They lie 1 plus any sum of the convolutions' dilations back: everywhere if these double.
        """
        lags = {1}
        for delay in self.network.delays:
            lags |= {lag + delay for lag in lags}
        lag_of_pair = np.subtract.outer(self.order, self.order)
        return np.isin(lag_of_pair, list(lags))

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'wavenet'}."""
        length = self.network.context_stride  # of one frame
        label = jnp.zeros((1, self.num_classes)) if self.num_classes else None
        context = jnp.zeros((1, 1, self.context_dim)) if self.context_dim else None

        def run_all(network: DilatedStack) -> Array:
            given = network.given(label, context, length)
            x = jnp.zeros((length, self.network.levels))
            return network(x, _undelayed, None if given is None else given[0])

        return {"wavenet": kept(self.network, nn.init(run_all, self.network)(key))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("wavenet", ("wavenet",), self.likelihood_loss, tx),)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b t"],
        label: Int[Array, " b"] | None = None,
        context: Float[Array, "b n c"] | None = None,
    ) -> Float[jax.Array, "b t v"]:
        """Return the logits of every p(x_t | x_<t), all at once."""
        given = self._given(variables, x.shape, label, context)
        before = _delayed(one_hot(x, self.network.levels), 1)  # [B, T, V]

        def recall(i: int, h: Array) -> jax.Array:
            h = h.reshape(*x.shape, -1)  # [B T, F] -> [B, T, F]
            return _as_rows(_delayed(h, self.network.delays[i]))

        given_rows = None if given is None else _as_rows(given)
        network = variables["wavenet"]
        logits = cast(jax.Array, self.network.apply(network, _as_rows(before), recall, given_rows))
        return jnp.reshape(logits, (*x.shape, -1))  # [B T, V] -> [B, T, V]

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        label: Int[Array, " b"] | None = None,
        context: Float[Array, "b n c"] | None = None,
    ) -> Float[jax.Array, "b t"]:
        """Return sequences made sample by sample, at O(layers) a sample.

        Each convolution keeps its last inputs in a ring, see `sampler.py`.
        """
        given = self._given(variables, (num, *self.shape), label, context)
        sampler = WaveNetSampler(self.network, variables["wavenet"], choose)
        return sampler.sample(num, self.shape[0], given)

    def _given(
        self,
        variables: Variables,
        shape: tuple[int, ...],
        label: Array | None,
        context: Array | None,
    ) -> Array | None:
        """Return the conditions at every time, [B, T, G]; None for a model without any.

        Raises:
          ConfigError: one is missing, is not wanted, or has another shape.
        """
        num, length = shape
        frames = (num, length // self.network.context_stride, self.context_dim)
        _require_shape("label", label, (num,) if self.num_classes else None)
        _require_shape("context", context, frames if self.context_dim else None)
        classes = None if label is None else jax.nn.one_hot(label, self.num_classes)
        network = variables["wavenet"]
        given = self.network.apply(network, classes, context, length, method="given")
        return cast(Array | None, given)


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
    """Return a WaveNet of `num_blocks` times the dilations 1, 2, 4, ..., 2^(num_layers - 1).

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


def _require_shape(
    name: str,
    given: Array | None,
    expected: tuple[int, ...] | None,
) -> None:
    """Require a condition of that shape, or none."""
    got = None if given is None else tuple(given.shape)
    if got != expected:
        raise ConfigError(
            f"WaveNet, {name}: got {got and list(got)}, "
            f"expected {None if expected is None else list(expected)}"
        )


def _delayed(h: Array, d: int) -> jax.Array:
    """Return h_(t-d) at t, [B, T, F]; zeros before the first."""
    longer = jnp.pad(h, ((0, 0), (d, 0), (0, 0)))
    return longer[:, : h.shape[1]]


def _undelayed(i: int, h: jax.Array) -> jax.Array:
    """Return h itself: for the shapes of the parameters any `recall` will do."""
    del i
    return h


def _as_rows(x: Array) -> jax.Array:
    """Return a row for each time of each example, [B, T, F] -> [B T, F]."""
    num, length, _ = x.shape
    return jnp.reshape(x, (num * length, -1))
