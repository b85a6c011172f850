"""Sampling from PixelCNN++ pixel by pixel, without computing anything twice.

The u-stream of a row needs the rows above and nothing else: it is computed when the row begins, a
whole row at a time (`rows.py`). Of the ul-stream a pixel needs each layer at its own place
(`pixel.py`); a 2x2 kernel meets there

    a a     the row above: one product for the whole row, when it begins          (`above`)
    l o     l what the convolution was given last, o what it is given now         (`memory`)

So a cache is, for each convolution, its last input: a row in the one stream, a pixel in the other.
A coarser resolution has a pixel for every 2x2 of the finer one and moves on where one of them
begins ("cache every" its stride). At level 1, in an image of six columns:

    column   0 1 2 3 4 5
    row 0    C . C . C .     C  one begins: `down` and the coarser layers are computed
    row 1    l . l . l .     l  one goes on from the row above: loaded from what row 0 has kept
    row 2    C . C . C .     .  one goes on from the left: the memory is as it was

What every column of a row has left in the memories becomes the `rows` of the next one, of level k
every 2^k-th column.

Ramachandran et al., 2017, "Fast generation for convolutional autoregressive models" (arXiv
1704.06001).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp

from jaxgen.autoregressive.pixel_cnn_pp.kernels import Weights
from jaxgen.autoregressive.pixel_cnn_pp.layers import ShiftedResNet
from jaxgen.autoregressive.pixel_cnn_pp.maps import Stream
from jaxgen.nn import add_bias
from jaxgen.typing import Array

Memory = dict[int, dict[str, Any]]  # {resolution: {layer: what it was given last}}
Place = Array | int


@dataclass
class Cached(ABC):
    """Interprets the layers at one place, beside a memory of each convolution's last input.

    Attributes:
      network: whose layers these are.
      weights: of the network.
      label: [B], where there are classes.
      memory: {resolution: {layer: its last input}}; it changes as the layers go.
      row: of the place, at the image's resolution.
      column: of the place, for a `Pixel`.
      level: the resolution, 0 for the image's.
      stream: 'u' or 'ul'.
      above: what the row above gives through each kernel, with the bias.
      rows: of this stream, left by the rows above.
      u_rows: of the u-stream, for the ul-stream.
    """

    network: ShiftedResNet
    weights: Weights
    label: Array | None
    memory: Memory
    row: Place
    column: Place = 0
    level: int = 0
    stream: Stream = "u"
    above: Memory = field(default_factory=dict)
    rows: Memory = field(default_factory=dict)
    u_rows: Memory = field(default_factory=dict)

    @abstractmethod
    def respond(self, name: str, before: Array, x: Array) -> Array:
        """Return a convolution's result from its last input and this one."""

    @abstractmethod
    def when_due(
        self,
        level: int,
        compute: Callable[[Memory], Memory],
        deeper: Memory,
    ) -> Memory:
        """Return the memory of the coarser resolutions, computed where one of their places begins.

        Args:
          level: of the first of them.
          compute: makes their memory anew.
          deeper: their memory so far.
        """

    @abstractmethod
    def up(self, y: Array, x: Array) -> Array:
        """Return this place of the transposed convolution of y, which is as wide as x."""

    @abstractmethod
    def beside(self, name: str) -> Array | None:
        """Return the u-stream's result of the same layer; None for the u-stream itself."""

    @abstractmethod
    def keep(self, name: str, x: Array) -> Array:
        """Return x, a layer's result, and remember it where another stream reads it."""

    @abstractmethod
    def label_bias(self, name: str, features: int) -> Array | int:
        """Return the class's shift of a layer, or 0."""

    def conv(
        self,
        name: str,
        x: Array,
        features: int,
        gain: float = 1.0,
    ) -> Array:
        """Return a convolution of the stream at this place."""
        del features, gain
        before = self.recall(name, x)
        return self.respond(name, before, x)

    def dense(self, name: str, x: Array, features: int) -> Array:
        """Return a 1x1 convolution of x."""
        del features
        weights = self.of(name)
        return add_bias(x @ weights["kernel"], weights["bias"])

    def coarser(self, x: Array) -> Array:
        """Return x behind the coarser resolutions: new where one of their places begins."""
        level = self.level + 1
        before = self.recall("down", x)

        def compute(deeper: Memory) -> Memory:
            inner = replace(self, level=level, memory=copied(deeper))
            down = self.respond("down", before, x)
            end = self.network.layers(inner, down)
            inner.memory.setdefault(level, {})["end"] = end
            return inner.memory

        deeper = {k: entries for k, entries in self.memory.items() if k >= level}
        # The very first pass finds nothing to go on from; it makes the memory's structure.
        new = self.when_due(level, compute, deeper) if deeper else compute({})
        self.memory.update(new)
        return self.up(self.memory[level]["end"], x)

    def recall(self, name: str, x: Array) -> Array:
        """Return what the convolution was given last, zeros at first, and remember x."""
        memory = self.memory.setdefault(self.level, {})
        before = memory.get(name, jnp.zeros_like(x))
        memory[name] = x
        return before

    def drop(self, x: Array) -> Array:
        """Return x: nothing is dropped in sampling."""
        return x

    def class_rows(self, name: str) -> Array:
        """Return the rows of a layer's class table, [B, features]."""
        return self.of(f"{name}_label")["table"][self.label]

    def of(self, name: str) -> dict[str, Array]:
        """Return the weights of that name at this resolution."""
        return self.weights[f"{self.stream}{self.level}_{name}"]


def copied(memory: Memory) -> Memory:
    """Return a memory that may change without the other."""
    return {level: dict(entries) for level, entries in memory.items()}


def unchanged(memory: Memory) -> Memory:
    """Return the memory as it is."""
    return memory
