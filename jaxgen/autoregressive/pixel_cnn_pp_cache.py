"""Sampling from PixelCNN++ pixel by pixel, without computing anything twice.

The u-stream of a row needs the rows above and nothing else: it is computed when the row begins, a
whole row at a time. Of the ul-stream a pixel needs each layer at its own place; a 2x2 kernel meets
there what it was given last in this row (left), and the row above, whose part of the product has
been computed for the whole row. So a cache is, for each convolution, its last input: a row in the
one stream, a pixel in the other; and a coarser resolution moves on the rows and columns that begin
one of its pixels alone ("cache every" its stride).

Ramachandran et al., 2017, "Fast generation for convolutional autoregressive models" (arXiv
1704.06001).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.pixel_cnn_pp_layers import ShiftedResNet, Stream, Weights
from jaxgen.nn import shifted
from jaxgen.typing import Array

Memory = dict[int, dict[str, jax.Array]]  # {resolution: {layer: what it was given last}}
Draw = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


@dataclass
class _Cached:
    """Interprets the layers at one place, beside a memory of each convolution's last input."""

    network: ShiftedResNet
    weights: Weights
    label: jax.Array | None
    memory: Memory
    row: Any  # at resolution 0, like column
    column: Any = None
    level: int = 0
    stream: Stream = "u"
    above: Memory = field(default_factory=dict)  # the row above through each kernel, and biases
    rows: Memory = field(default_factory=dict)  # of the stream, from rows before
    u_rows: Memory = field(default_factory=dict)

    def conv(self, name, x, features, gain=1.0):
        """A convolution of the stream at this place."""
        del features, gain
        return self.respond(name, self.recall(name, x), x)

    def dense(self, name, x, features):
        """A 1x1 convolution."""
        del features
        weights = self.of(name)
        return x @ weights["kernel"] + weights["bias"]

    def coarser(self, x):
        """The coarser resolutions, where one of their places begins; else what they gave last."""
        level = self.level + 1
        before = self.recall("down", x)

        def compute(deeper):
            inner = replace(self, level=level, memory=_copy(deeper))
            y = self.network.layers(inner, self.respond("down", before, x))
            inner.memory.setdefault(level, {})["end"] = y
            return inner.memory

        deeper = {k: m for k, m in self.memory.items() if k >= level}
        self.memory |= self.when_due(level, compute, deeper) if deeper else compute({})
        return self.up(self.memory[level]["end"], x)

    def recall(self, name, x):
        """What the convolution was given last, zeros at first; remembers x."""
        memory = self.memory.setdefault(self.level, {})
        before = memory.get(name, jnp.zeros_like(x))
        memory[name] = x
        return before

    def drop(self, x):
        """Nothing is dropped in sampling."""
        return x

    def label_bias(self, name, features):
        """The class's shift of a layer, or 0."""
        del features
        if not self.network.num_classes:
            return 0
        rows = self.of(f"{name}_label")["table"][self.label]
        return rows if self.column is not None else rows[:, None]

    def of(self, name):
        """The weights of that name at this resolution."""
        return self.weights[f"{self.stream}{self.level}_{name}"]


class Rows(_Cached):
    """One row, [B, W, C]; the memory holds the row before."""

    def respond(self, name, before, x):
        """The row below `before`, from both."""
        weights, pair = self.of(name), jnp.stack([before, x], axis=1)
        stride = 2 if name == "down" else 1
        y = shifted.shifted_conv(pair, weights["kernel"], stride=stride, top=0)
        return y[:, 0] + weights["bias"]

    def when_due(self, level, compute, deeper):
        """On rows that begin one of the coarser resolution."""
        return jax.lax.cond(self.row % 2**level == 0, compute, lambda m: m, deeper)

    def up(self, y, x):
        """This row of the transposed convolution."""
        weights = self.of("up")
        kernel = weights["kernel"][(self.row >> self.level) % 2]
        return shifted.upsample_columns(y, kernel)[:, : x.shape[1]] + weights["bias"]

    def beside(self, name):
        """The u-stream's row of the same layer."""
        return self.u_rows[self.level][name] if self.stream == "ul" else None

    def keep(self, name, x):
        """The u-stream's rows are kept for the other."""
        if self.stream == "u":
            self.memory.setdefault(self.level, {})[name] = x
        return x


class Pixel(_Cached):
    """One pixel of the ul-stream, [B, C]; the memory holds the pixel before."""

    def respond(self, name, before, x):
        """From the pixel to the left, this one, and what the row above has given."""
        kernel = self.of(name)["kernel"][1]
        both = jnp.concatenate([before, x], axis=-1)
        return both @ kernel.reshape(-1, kernel.shape[-1]) + self.here(self.above[self.level][name])

    def when_due(self, level, compute, deeper):
        """On columns that begin one: computed, or on a row that does not, loaded from there."""

        def reload(deeper):
            return {k: jax.tree.map(replace(self, level=k).here, self.rows[k]) for k in deeper}

        begins_row, begins = self.row % 2**level == 0, self.column % 2**level == 0
        which = jnp.where(begins, jnp.where(begins_row, 2, 1), 0)
        return jax.lax.switch(which, [lambda m: m, reload, compute], deeper)

    def up(self, y, x):
        """This pixel of the transposed convolution."""
        del x
        weights = self.of("up")
        kernel = weights["kernel"][(self.row >> self.level) % 2, (self.column >> self.level) % 2]
        return y @ kernel + weights["bias"]

    def beside(self, name):
        """The u-stream at this pixel."""
        return self.here(self.u_rows[self.level][name])

    def keep(self, name, x):
        """Nobody reads the ul-stream."""
        del name
        return x

    def here(self, row):
        """Of a row of this resolution, [B, C]."""
        index = self.column >> self.level
        return jax.lax.dynamic_index_in_dim(row, index, axis=1, keepdims=False)


@dataclass(frozen=True)
class Painter:
    """Draws images pixel by pixel.

    Attributes:
      network: whose layers are interpreted.
      weights: of the network, normalised.
      shape: of an image, [H, W, C].
      draw: (pixel [], outputs [B, outputs]) -> its values [B, C], raw and as the network sees them.
      label: [B] or None.
    """

    network: ShiftedResNet
    weights: Weights
    shape: tuple[int, ...]
    draw: Draw
    label: jax.Array | None

    def paint(self, num: int) -> Float[Array, "b h w c"]:
        """`num` images."""
        height, width, channels = self.shape
        places = self.network.bordered(jnp.zeros((1, *self.shape)))[0, ..., channels:]
        outside = jnp.zeros((num, width, channels + places.shape[-1]), places.dtype)

        def row(carry, at):
            u_rows, ul_rows, previous = carry
            r, places = at
            u_rows = self._u_rows(u_rows, previous, r)
            start = self._start(previous, r)
            ul_rows, previous, values = self._row(u_rows, ul_rows, start, places, r)
            return (u_rows, ul_rows, previous), values

        carry = (*self._empty(outside), outside)
        _, x = jax.lax.scan(row, carry, (jnp.arange(height), places))
        return jnp.moveaxis(x, 2, 0)

    def _empty(self, outside):
        """Memories of both streams before the first row."""

        def memories():
            u_rows = self._u_rows({}, outside, 0)
            run = Rows(self.network, self.weights, self.label, {}, 0, stream="ul", u_rows=u_rows)
            self.network.layers(run, self._start(outside, 0))
            return u_rows, run.memory

        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(memories))

    def _u_rows(self, memory, previous, r):
        """The u-stream's memory after row r; the row before is `previous`."""
        run = Rows(self.network, self.weights, self.label, _copy(memory), r)
        first = run.conv("first", previous, self.network.features)
        self.network.layers(run, jnp.where(r > 0, first, 0))
        return run.memory

    def _start(self, previous, r):
        """What the row before gives the ul-stream's first maps, [B, W, features]."""
        above, left = self.weights["ul0_first_above"], self.weights["ul0_first_left"]
        y = shifted.shifted_conv(previous[:, None], above["kernel"])[:, 0] + above["bias"]
        corner = previous @ left["kernel"][0, 0] + left["bias"]
        return jnp.where(r > 0, y, 0) + shifted.shift(corner, axis=1)

    def _above(self, ul_rows):
        """The upper row of every kernel of the ul-stream, on the row before."""

        def product(name, row):
            weights = self.weights[name]
            y = shifted.shifted_conv(row[:, None], weights["kernel"][:1])
            return y[:, 0] + weights["bias"]

        return {
            level: {n: product(f"ul{level}_{n}", row) for n, row in rows.items() if n != "end"}
            for level, rows in ul_rows.items()
        }

    def _row(self, u_rows, ul_rows, start, places, r):
        """Draws row r: the ul-stream's rows, the row as the network sees it, its values."""
        above, to_right = self._above(ul_rows), self.weights["ul0_first_left"]["kernel"][1, 0]
        num, width, _ = start.shape

        def pixel(carry, at):
            memory, left = carry
            c, place = at
            run = Pixel(self.network, self.weights, self.label, _copy(memory), r, c, 0, "ul")
            run = replace(run, above=above, rows=ul_rows, u_rows=u_rows)
            x = self.network.layers(run, run.here(start) + left @ to_right)
            outputs = run.dense("out", jax.nn.elu(x), self.network.outputs)
            values, seen = self.draw(r * width + c, outputs)
            place = jnp.broadcast_to(place, (num, place.size))
            left = jnp.concatenate([seen.astype(place.dtype), place], axis=-1)
            return (run.memory, left), (run.memory, left, values)

        carry = (
            jax.tree.map(lambda row: jnp.zeros_like(row[:, 0]), ul_rows),
            jnp.zeros((num, to_right.shape[0]), places.dtype),
        )
        _, (memories, seen, values) = jax.lax.scan(pixel, carry, (jnp.arange(width), places))
        ul_rows = {
            level: {n: jnp.moveaxis(x[:: 2**level], 0, 1) for n, x in memory.items()}
            for level, memory in memories.items()
        }
        return ul_rows, jnp.moveaxis(seen, 0, 1), values


def _copy(memory):
    return {level: dict(entries) for level, entries in memory.items()}
