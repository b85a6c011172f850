"""The network of PixelCNN++: two streams of gated residual layers, down to coarser maps and up.

The u-stream sees the rows above a pixel, the ul-stream what is left of it as well; the ul-stream
reads the u-stream and never the other way. At each resolution every map on the way down is added,
through a 1x1 convolution, to the layer that faces it on the way up:

    level 0   x -> down0 -> down1 -+                                +-> up0 -> up1 -> up2
                                   | stride 2                       | mirror of it
    level 1                        +-> down0 -> down1 -> up0 -> up1 -+

    aside     at level 0 up0 has down1, up1 has down0, up2 has x;
              at level 1, the coarsest, up0 has down0, and up1 what has come down

    layer(x, aside) = x + a * sigmoid(b),
    (a, b) = conv(dropout(concat_elu(conv(concat_elu(x)) + W concat_elu(aside)))) + V label

The layers are written once, in terms of an interpreter that convolves. `Maps` interprets them on
whole images; `cache.py` a row or a pixel at a time. What the kernels are is a third matter
(`kernels.py`): trained ones, fresh ones scaled by the data they see, or ones for the field of a
pixel.

Salimans, Karpathy, Chen & Kingma, 2017, "PixelCNN++" (arXiv 1701.05517), sections 2.3 to 2.6.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.pixel_cnn_pp.kernels import (
    FreshKernels,
    KernelsOfOnes,
    Source,
    TrainedKernels,
    Weights,
)
from jaxgen.autoregressive.pixel_cnn_pp.maps import Maps
from jaxgen.errors import ConfigError
from jaxgen.nn import coordinates, shifted
from jaxgen.nn.shifted import concat_elu
from jaxgen.precision import at_least_float32, kept
from jaxgen.typing import Array, Key


@runtime_checkable
class Interpreter(Protocol):
    """The operations of the layers: convolutions of one stream, at one resolution at a time."""

    @property
    def level(self) -> int:
        """The resolution, 0 for the image's."""
        ...

    def conv(
        self,
        name: str,
        x: Array,
        features: int,
        gain: float = 1.0,
    ) -> Array:
        """Return a shifted convolution of x."""
        ...

    def dense(self, name: str, x: Array, features: int) -> Array:
        """Return a 1x1 convolution of x."""
        ...

    def coarser(self, x: Array) -> Array:
        """Return x behind all coarser resolutions."""
        ...

    def beside(self, name: str) -> Array | None:
        """Return the u-stream's result of the same layer; None for the u-stream itself."""
        ...

    def keep(self, name: str, x: Array) -> Array:
        """Return x, a layer's result, and remember it where another stream reads it."""
        ...

    def drop(self, x: Array) -> Array:
        """Return x under dropout."""
        ...

    def label_bias(self, name: str, features: int) -> Array | int:
        """Return the class's shift of a layer, or 0."""
        ...


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

    def __post_init__(self) -> None:
        require_positive(
            features=self.features,
            num_blocks=self.num_blocks,
            num_stages=self.num_stages,
        )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}, expected [0, 1)")

    def init(
        self,
        key: Key,
        x: Float[Array, "b h w c"],
        label: Array | None = None,
    ) -> Weights:
        """Return fresh parameters, with the scales and biases that suit the batch x."""
        dtype = kept(self, jnp.zeros(())).dtype
        full = replace(self, dtype=str(dtype))
        # Twice: without numbers, to learn how many are wanted, and with them.
        counted = FreshKernels(None, dtype)
        jax.eval_shape(lambda: full._run(counted, full.bordered(x), label))
        noise = 0.05 * jax.random.normal(key, (counted.dealt,), dtype)
        fresh = FreshKernels(noise, dtype)
        full._run(fresh, full.bordered(x), label)
        return fresh.made

    def weights(self, params: Weights) -> Weights:
        """Return the kernels that weight normalisation makes of the parameters."""
        weights = {}
        for name, entry in params.items():
            if "scale" in entry:
                weights[name] = dict(shifted.normalized(entry, self.dtype))
            else:
                weights[name] = {"table": entry["table"].astype(self.dtype)}
        return weights

    def apply(
        self,
        params: Weights,
        x: Float[Array, "b h w c"],
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w o"]:
        """Return the outputs of all pixels; without a key nothing is left out."""
        trained = TrainedKernels(self.weights(params))
        outputs = self._run(trained, self.bordered(x), label, dropout_key)
        return at_least_float32(outputs)

    def field(self, height: int, width: int) -> Bool[np.ndarray, "p p"]:
        """Return whether a pixel's output sees a pixel, bool [H W, H W] at [output, input].

        One image for each pixel, 1 there and 0 elsewhere, goes through the layers with kernels of
        ones: what is not zero at the end has been reached.
        """
        num_pixels = height * width
        images = jnp.eye(num_pixels, dtype=jnp.float32).reshape(-1, height, width, 1)
        network = replace(self, outputs=1, features=1, num_classes=0, dtype="float32")

        def run(images: Array) -> Array:
            return network._run(KernelsOfOnes(), images, None)

        with jax.ensure_compile_time_eval():
            reached = jax.jit(run)(images)  # [input, H, W, 1]
        return np.asarray(reached > 0).reshape(num_pixels, -1).T

    def bordered(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c2"]:
        """Return x with a channel of ones that tells the image from the zeros around it.

        With `coordinates` there are two more, the row and the column.
        """
        height, width = x.shape[1:3]
        places = np.ones((height, width, 1), np.float32)
        if self.coordinates:
            places = np.concatenate([places, coordinates(height, width)], axis=-1)
        extra = jnp.broadcast_to(places, (*x.shape[:3], places.shape[-1]))
        return jnp.concatenate([x, extra], axis=-1).astype(self.dtype)

    def layers(
        self,
        run: Interpreter,
        x: Float[Array, "..."],
    ) -> Float[Array, "..."]:
        """Return x behind one stream, from the interpreter's resolution down and up again."""
        maps = [x]
        for i in range(self.num_blocks):
            maps.append(self._layer(run, f"down{i}", maps[-1]))
        is_coarsest = run.level + 1 == self.num_stages
        # The coarsest resolution turns round with its last map, which is then not aside.
        x = maps.pop() if is_coarsest else run.coarser(maps[-1])
        for i, skip in enumerate(reversed(maps)):
            x = self._layer(run, f"up{i}", x, skip)
        return x

    def _layer(
        self,
        run: Interpreter,
        name: str,
        x: Array,
        skip: Array | None = None,
    ) -> Array:
        """Return a gated residual layer's result, see the module."""
        h = run.conv(f"{name}_in", concat_elu(x), self.features)
        aside = [maps for maps in (run.beside(name), skip) if maps is not None]
        if aside:
            both = concat_elu(jnp.concatenate(aside, axis=-1))
            h = h + run.dense(f"{name}_aside", both, self.features)
        h = run.drop(concat_elu(h))
        # With a gain of 0.1 a fresh layer changes little of what passes through.
        h = run.conv(f"{name}_out", h, 2 * self.features, gain=0.1)
        h = h + run.label_bias(name, 2 * self.features)
        a, b = jnp.split(h, 2, axis=-1)
        return run.keep(name, x + a * jax.nn.sigmoid(b))

    def _run(
        self,
        source: Source,
        x: Array,
        label: Array | None,
        dropout_key: Key | None = None,
    ) -> Array:
        """Return the outputs of both streams on whole images [B, H, W, C + places].

        The first layers take the pixel itself out, by a shift of their results:

            u: 2x3, down         ul: 1x3, down   and   2x1, right

              . . .                . . .                 .
              . . .                  o                   . o
                o
        """
        u_key, ul_key = (None, None) if dropout_key is None else jax.random.split(dropout_key)
        u = Maps(self, source, "u", label, u_key)
        first = u.linear("first", (2, 3), x, self.features)
        self.layers(u, shifted.shift(first, axis=1))

        ul = Maps(self, source, "ul", label, ul_key, u_kept=u.kept)
        above = ul.linear("first_above", (1, 3), x, self.features)
        left = ul.linear("first_left", (2, 1), x, self.features)
        start = shifted.shift(above, axis=1) + shifted.shift(left, axis=2)
        out = self.layers(ul, start)
        return ul.dense("out", jax.nn.elu(out), self.outputs)
