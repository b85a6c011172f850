"""The layers of PixelCNN++ on whole images: an interpreter of `ShiftedResNet.layers`."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

import jax
import jax.numpy as jnp

from jaxgen.autoregressive.pixel_cnn_pp.kernels import Source
from jaxgen.nn import shifted
from jaxgen.typing import Array, Key

Stream = Literal["u", "ul"]
KERNELS: dict[Stream, tuple[int, int]] = {"u": (2, 3), "ul": (2, 2)}


@final
@dataclass
class Maps:
    """Interprets the layers of one stream on whole maps, [B, H, W, C].

    Attributes:
      network: whose layers these are.
      source: of the kernels.
      stream: 'u' or 'ul'.
      label: [B], where there are classes.
      dropout_key: of the maps that are left out; None to keep all.
      level: the resolution, 0 for the image's.
      kept: the results of this stream's layers, shared by all resolutions.
      u_kept: those of the u-stream, for the ul-stream.
      masks: for each resolution the masks of dropout that are still to be used.
    """

    network: Any  # a ShiftedResNet; its module imports this one
    source: Source
    stream: Stream
    label: Array | None = None
    dropout_key: Key | None = None
    level: int = 0
    kept: dict[str, Array] = field(default_factory=dict)
    u_kept: dict[str, Array] = field(default_factory=dict)
    masks: dict[int, Iterator[Array]] = field(default_factory=dict)

    def linear(
        self,
        name: str,
        size: tuple[int, int],
        x: Array,
        features: int,
        gain: float = 1.0,
        stride: int = 1,
    ) -> Array:
        """Return a shifted convolution of x by a kernel of that size."""

        def respond(kernel: Array) -> Array:
            return shifted.shifted_conv(x, kernel, stride=stride)

        shape = (*size, x.shape[-1], features)
        return self.source.linear(self._full(name), shape, respond, gain)

    def conv(
        self,
        name: str,
        x: Array,
        features: int,
        gain: float = 1.0,
        stride: int = 1,
    ) -> Array:
        """Return a shifted convolution of x by a kernel of the stream's size."""
        return self.linear(name, KERNELS[self.stream], x, features, gain, stride)

    def dense(self, name: str, x: Array, features: int) -> Array:
        """Return a 1x1 convolution of x."""

        def respond(kernel: Array) -> Array:
            return x @ kernel

        shape = (x.shape[-1], features)
        return self.source.linear(self._full(name), shape, respond, 1.0)

    def coarser(self, x: Array) -> Array:
        """Return x behind all coarser resolutions.

        They lie between a strided convolution and its mirror: [B, H, W, C] -> half the sides ->
        [B, H, W, C], cropped where a side was odd.
        """
        height, width = x.shape[1:3]
        down = self.conv("down", x, x.shape[-1], stride=2)
        y = self.network.layers(replace(self, level=self.level + 1), down)

        def respond(kernel: Array) -> Array:
            doubled = shifted.shifted_upsample(y, kernel)
            return doubled[:, :height, :width]

        shape = (*KERNELS[self.stream], y.shape[-1], x.shape[-1])
        return self.source.linear(self._full("up"), shape, respond, 1.0)

    def beside(self, name: str) -> Array | None:
        """Return the u-stream's map of the same layer; None for the u-stream itself."""
        return self.u_kept.get(f"{self.level}_{name}")

    def keep(self, name: str, x: Array) -> Array:
        """Return x, a layer's result, and remember it for the other stream."""
        self.kept[f"{self.level}_{name}"] = x
        return x

    def drop(self, x: Array) -> Array:
        """Return x under dropout.

        The masks of a resolution are drawn at once, one for each layer.
        """
        if self.dropout_key is None or self.network.dropout == 0:
            return x
        kept = 1 - self.network.dropout
        if self.level not in self.masks:
            key = jax.random.fold_in(self.dropout_key, self.level)
            # n layers down and n + 1 up; the coarsest resolution has one less and leaves one mask.
            num_layers = 2 * self.network.num_blocks + 1
            masks = jax.random.bernoulli(key, kept, (num_layers, *x.shape))
            self.masks[self.level] = iter(masks)
        return jnp.where(next(self.masks[self.level]), x / kept, 0)

    def label_bias(self, name: str, features: int) -> Array | int:
        """Return the class's shift of a layer, [B, 1, 1, features], or 0."""
        num_classes = self.network.num_classes
        if not num_classes:
            return 0
        table = self.source.table(self._full(f"{name}_label"), (num_classes, features))
        rows = table[self.label]  # [B, features]
        return rows[:, None, None]

    def _full(self, name: str) -> str:
        """Return the name of a layer among those of all streams and resolutions."""
        return f"{self.stream}{self.level}_{name}"
