"""The network of PixelCNN++: two streams of gated residual layers, down to coarser maps and up.

The u-stream sees the rows above a pixel, the ul-stream what is left of it as well; the ul-stream
reads the u-stream and never the other way. At each resolution every map on the way down is added,
through a 1x1 convolution, to the layer that faces it on the way up.

    layer(x, aside) = x + a * sigmoid(b),
    (a, b) = conv(dropout(concat_elu(conv(concat_elu(x)) + W concat_elu(aside)))) + V label

The layers are written once, in terms of an interpreter that convolves. `Maps` interprets them on
whole images; `pixel_cnn_pp_cache` a row or a pixel at a time. What the kernels are is a third
matter: trained ones, fresh ones scaled by the data they see, or ones for the field of a pixel.

Salimans, Karpathy, Chen & Kingma, 2017, "PixelCNN++" (arXiv 1701.05517), sections 2.3 to 2.6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.nn import coordinates, require_positive, shifted
from jaxgen.nn.shifted import concat_elu
from jaxgen.train import Key
from jaxgen.typing import Array

Stream = Literal["u", "ul"]
KERNELS = {"u": (2, 3), "ul": (2, 2)}
Weights = dict[str, dict[str, jax.Array]]


@dataclass(frozen=True)
class ShiftedResNet:
    """Images [B, H, W, C] -> [B, H, W, outputs]; an output sees the pixels before its own.

    Attributes:
      outputs: numbers for each pixel.
      features: channels of every map.
      num_blocks: layers of each stream at each resolution, on the way down and on the way up.
      num_stages: resolutions, each half the one before.
      dropout: part of the maps between a layer's two convolutions that is left out in training.
      num_classes: classes that shift every layer; 0 for none.
      coordinates: give the first layer the row and the column of each pixel.
      dtype: what to compute in.
    """

    outputs: int
    features: int = 160
    num_blocks: int = 5
    num_stages: int = 3
    dropout: float = 0.5
    num_classes: int = 0
    coordinates: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        require_positive(
            features=self.features, num_blocks=self.num_blocks, num_stages=self.num_stages
        )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}, expected [0, 1)")

    def init(self, key: Key, x: Float[Array, "b h w c"], label: Array | None = None) -> Weights:
        """Fresh parameters, with the scales and biases that suit the batch x."""
        whole, counted = replace(self, dtype="float32"), Fresh(None)
        jax.eval_shape(lambda: whole._run(counted, whole.bordered(x), label))
        fresh = Fresh(0.05 * jax.random.normal(key, (counted.dealt,)))
        whole._run(fresh, whole.bordered(x), label)
        return fresh.made

    def weights(self, params: Weights) -> Weights:
        """The kernels that weight normalisation makes of the parameters."""
        return {
            name: shifted.normalized(entry, self.dtype)
            if "scale" in entry
            else {"table": entry["table"].astype(self.dtype)}
            for name, entry in params.items()
        }

    def apply(
        self,
        params: Weights,
        x: Float[Array, "b h w c"],
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w o"]:
        """The outputs of all pixels; without a key nothing is left out."""
        trained = Trained(self.weights(params))
        return self._run(trained, self.bordered(x), label, dropout_key).astype(jnp.float32)

    def field(self, height: int, width: int) -> np.ndarray:
        """Whether a pixel's output sees a pixel, bool [H W, H W] at [output, input].

        One image for each pixel, 1 there and 0 elsewhere, goes through the layers with kernels of
        ones: what is not zero at the end has been reached.
        """
        pixels = jnp.eye(height * width).reshape(-1, height, width, 1)
        one = replace(self, outputs=1, features=1, num_classes=0, dtype="float32")
        with jax.ensure_compile_time_eval():
            reached = jax.jit(lambda x: one._run(Ones(), x, None))(pixels)
        return np.asarray(reached > 0).reshape(height * width, -1).T

    def bordered(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c2"]:
        """Adds the channel of ones that tells the image from the zeros around it."""
        height, width = x.shape[1:3]
        places = np.ones((height, width, 1), np.float32)
        if self.coordinates:
            places = np.concatenate([places, coordinates(height, width)], axis=-1)
        places = jnp.broadcast_to(places, (*x.shape[:3], places.shape[-1]))
        return jnp.concatenate([x, places], axis=-1).astype(self.dtype)

    def layers(self, run: Any, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """One stream from the interpreter's resolution down to the coarsest and up again."""
        maps = [x]
        for i in range(self.num_blocks):
            maps.append(self._layer(run, f"down{i}", maps[-1]))
        x = maps.pop() if run.level + 1 == self.num_stages else run.coarser(maps[-1])
        for i, skip in enumerate(reversed(maps)):
            x = self._layer(run, f"up{i}", x, skip)
        return x

    def _layer(self, run, name, x, skip=None):
        h = run.conv(f"{name}_in", concat_elu(x), self.features)
        aside = [a for a in (run.beside(name), skip) if a is not None]
        if aside:
            aside = concat_elu(jnp.concatenate(aside, axis=-1))
            h = h + run.dense(f"{name}_aside", aside, self.features)
        h = run.conv(f"{name}_out", run.drop(concat_elu(h)), 2 * self.features, gain=0.1)
        a, b = jnp.split(h + run.label_bias(name, 2 * self.features), 2, axis=-1)
        return run.keep(name, x + a * jax.nn.sigmoid(b))

    def _run(self, source, x, label, dropout_key=None):
        """Whole images, both streams."""
        keys = (None, None) if dropout_key is None else jax.random.split(dropout_key)
        u = Maps(self, source, "u", label, keys[0])
        first = u.linear("first", (2, 3), x, self.features)
        self.layers(u, shifted.shift(first, axis=1))
        ul = Maps(self, source, "ul", label, keys[1], u_kept=u.kept)
        above = ul.linear("first_above", (1, 3), x, self.features)
        left = ul.linear("first_left", (2, 1), x, self.features)
        out = self.layers(ul, shifted.shift(above, axis=1) + shifted.shift(left, axis=2))
        return ul.dense("out", jax.nn.elu(out), self.outputs)


class Source(Protocol):
    """Where kernels come from."""

    def linear(
        self,
        name: str,
        shape: tuple[int, ...],
        respond: Callable[[jax.Array], jax.Array],
        gain: float,
    ) -> jax.Array:
        """respond(kernel) + bias for the kernel of that name, [*shape]."""

    def table(self, name: str, shape: tuple[int, ...]) -> jax.Array:
        """A row for each class."""


@dataclass(frozen=True)
class Trained:
    """Kernels and biases by name."""

    weights: Weights

    def linear(self, name, shape, respond, gain):
        """With the kernel of that name."""
        del shape, gain
        return respond(self.weights[name]["kernel"]) + self.weights[name]["bias"]

    def table(self, name, shape):
        """The table of that name."""
        del shape
        return self.weights[name]["table"]


@dataclass
class Fresh:
    """Makes parameters as they are asked for, scaled by the outputs they give.

    The noise is drawn at once and dealt out: a draw for each kernel takes as long to compile as the
    network.
    """

    noise: jax.Array | None  # None to count how much is wanted
    made: Weights = field(default_factory=dict)
    dealt: int = 0

    def linear(self, name, shape, respond, gain):
        """With a new kernel, kept under that name."""
        self.made[name], outputs = shifted.data_dependent(self._deal(shape), respond, gain)
        return outputs

    def table(self, name, shape):
        """A new table, kept under that name."""
        self.made[name] = {"table": self._deal(shape)}
        return self.made[name]["table"]

    def _deal(self, shape):
        start, self.dealt = self.dealt, self.dealt + math.prod(shape)
        if self.noise is None:
            return jnp.zeros(shape)
        return self.noise[start : self.dealt].reshape(shape)


@dataclass(frozen=True)
class Ones:
    """Kernels of ones, results 0 or 1: maps stay >= 0, and are > 0 where something is reached.

    concat_elu keeps that: its two halves sum to x + exp(-x) - 1, which is > 0 for x > 0.
    """

    def linear(self, name, shape, respond, gain):
        """Whether anything arrives."""
        del name, gain
        return (respond(jnp.ones(shape)) > 1e-3).astype(jnp.float32)


@dataclass
class Maps:
    """Interprets the layers of one stream on whole maps, [B, H, W, C]."""

    network: ShiftedResNet
    source: Any
    stream: Stream
    label: jax.Array | None = None
    dropout_key: Key | None = None
    level: int = 0
    kept: dict[str, jax.Array] = field(default_factory=dict)
    u_kept: dict[str, jax.Array] = field(default_factory=dict)
    masks: dict[int, Any] = field(default_factory=dict)

    def linear(self, name, size, x, features, gain=1.0, stride=1):
        """A shifted convolution of that kernel size."""

        def respond(kernel):
            return shifted.shifted_conv(x, kernel, stride=stride)

        shape = (*size, x.shape[-1], features)
        return self.source.linear(self._full(name), shape, respond, gain)

    def conv(self, name, x, features, gain=1.0, stride=1):
        """A shifted convolution of the stream's kernel size."""
        return self.linear(name, KERNELS[self.stream], x, features, gain, stride)

    def dense(self, name, x, features):
        """A 1x1 convolution."""
        shape = (x.shape[-1], features)
        return self.source.linear(self._full(name), shape, lambda kernel: x @ kernel, 1.0)

    def coarser(self, x):
        """The layers of all coarser resolutions, between a strided convolution and its mirror."""
        down = self.conv("down", x, x.shape[-1], stride=2)
        y = self.network.layers(replace(self, level=self.level + 1), down)
        shape = (*KERNELS[self.stream], y.shape[-1], x.shape[-1])

        def respond(kernel):
            return shifted.shifted_upsample(y, kernel)[:, : x.shape[1], : x.shape[2]]

        return self.source.linear(self._full("up"), shape, respond, 1.0)

    def beside(self, name):
        """The u-stream's map of the same layer; None for the u-stream itself."""
        return self.u_kept.get(f"{self.level}_{name}")

    def keep(self, name, x):
        """Remembers a layer's result for the other stream."""
        self.kept[f"{self.level}_{name}"] = x
        return x

    def drop(self, x):
        """Dropout; the masks of a resolution are drawn at once, one for each layer."""
        if self.dropout_key is None or self.network.dropout == 0:
            return x
        kept = 1 - self.network.dropout
        if self.level not in self.masks:
            key = jax.random.fold_in(self.dropout_key, self.level)
            num = 2 * self.network.num_blocks + 1
            self.masks[self.level] = iter(jax.random.bernoulli(key, kept, (num, *x.shape)))
        return jnp.where(next(self.masks[self.level]), x / kept, 0)

    def label_bias(self, name, features):
        """The class's shift of a layer, [B, 1, 1, features], or 0."""
        num = self.network.num_classes
        if not num:
            return 0
        table = self.source.table(self._full(f"{name}_label"), (num, features))
        return table[self.label][:, None, None]

    def _full(self, name):
        return f"{self.stream}{self.level}_{name}"
