"""The sampler of PixelCNN++: which part of the caches is made when, see `cache.py`.

row r begins      u_rows    the u-stream on row r, from its memory and the image's row r - 1
                  above     the upper row of every ul-kernel, on what row r - 1 has left
                  start     the first maps of the ul-stream, but for the pixel to the left
each pixel        the ul-stream on memory, above and u_rows; a draw; its memory is kept
row r ends        the memories of all columns are the ul_rows of row r
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.pixel_cnn_pp.cache import Memory, Place, copied
from jaxgen.autoregressive.pixel_cnn_pp.kernels import Weights
from jaxgen.autoregressive.pixel_cnn_pp.layers import ShiftedResNet
from jaxgen.autoregressive.pixel_cnn_pp.pixel import Pixel
from jaxgen.autoregressive.pixel_cnn_pp.rows import Rows
from jaxgen.nn import add_bias, shifted
from jaxgen.typing import Array

Draw = Callable[[Array, Array], tuple[Array, Array]]


@final
@dataclass(frozen=True)
class PixelCNNPPSampler:
    """A sampler of images, row by row and pixel by pixel.

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
    label: Array | None

    def sample(self, num: int) -> Float[jax.Array, "b h w c"]:
        """Return `num` images."""
        height, width, channels = self.shape
        blank = jnp.zeros((1, *self.shape))
        # What the network sees of a pixel besides its channels: ones, and its coordinates.
        places = self.network.bordered(blank)[0, ..., channels:]  # [H, W, places]
        outside = jnp.zeros((num, width, channels + places.shape[-1]), places.dtype)

        def row(
            carry: tuple[Memory, Memory, Array],
            at: tuple[Array, Array],
        ) -> tuple[tuple[Memory, Memory, Array], Array]:
            u_rows, ul_rows, previous = carry
            r, places = at
            u_rows = self._u_rows(u_rows, previous, r)
            start = self._start(previous, r)
            ul_rows, previous, values = self._row(u_rows, ul_rows, start, places, r)
            return (u_rows, ul_rows, previous), values

        u_rows, ul_rows = self._empty(outside)
        start: tuple[Memory, Memory, Array] = (u_rows, ul_rows, outside)
        _, x = jax.lax.scan(row, start, (jnp.arange(height), places))
        return jnp.moveaxis(x, 2, 0)  # [H, W, B, C] -> [B, H, W, C]

    def _empty(self, outside: Array) -> tuple[Memory, Memory]:
        """Return the memories of both streams before the first row: zeros of their shapes."""

        def memories() -> tuple[Memory, Memory]:
            u_rows = self._u_rows({}, outside, 0)
            run = Rows(self.network, self.weights, self.label, {}, 0, stream="ul", u_rows=u_rows)
            self.network.layers(run, self._start(outside, 0))
            return u_rows, run.memory

        def zeros(spec: jax.ShapeDtypeStruct) -> Array:
            return jnp.zeros(spec.shape, spec.dtype)

        return jax.tree.map(zeros, jax.eval_shape(memories))

    def _u_rows(
        self,
        memory: Memory,
        previous: Array,
        r: Place,
    ) -> Memory:
        """Return the u-stream's memory after row r; `previous` is the image's row before."""
        run = Rows(self.network, self.weights, self.label, copied(memory), r)
        first = run.conv("first", previous, self.network.features)
        # Above the image there is nothing, not even a bias.
        self.network.layers(run, jnp.where(r > 0, first, 0))
        return run.memory

    def _start(self, previous: Array, r: Place) -> Array:
        """Return what the row before gives the ul-stream's first maps, [B, W, features]."""
        above = self.weights["ul0_first_above"]  # 1x3, shifted down
        left = self.weights["ul0_first_left"]  # 2x1, shifted to the right
        rows = shifted.shifted_conv(previous[:, None], above["kernel"])  # [B, 1, W, features]
        from_above = add_bias(rows[:, 0], above["bias"])
        upper_tap = left["kernel"][0, 0]
        corner = add_bias(previous @ upper_tap, left["bias"])
        return jnp.where(r > 0, from_above, 0) + shifted.shift(corner, axis=1)

    def _above(self, ul_rows: Memory) -> Memory:
        """Return the upper row of every kernel of the ul-stream, on the row before."""

        def product(name: str, row: Array) -> Array:
            weights = self.weights[name]
            upper = weights["kernel"][:1]  # [1, 2, I, O]
            y = shifted.shifted_conv(row[:, None], upper)  # [B, 1, W, O]
            return add_bias(y[:, 0], weights["bias"])

        above: Memory = {}
        for level, rows in ul_rows.items():
            inputs = {name: row for name, row in rows.items() if name != "end"}
            above[level] = {name: product(f"ul{level}_{name}", row) for name, row in inputs.items()}
        return above

    def _row(
        self,
        u_rows: Memory,
        ul_rows: Memory,
        start: Array,
        places: Array,
        r: Array,
    ) -> tuple[Memory, Array, Array]:
        """Draw row r.

        Args:
          u_rows: the u-stream's memory after this row.
          ul_rows: the ul-stream's memories after the row before.
          start: [B, W, features], what the row before gives the first maps.
          places: [W, places], what the network sees besides the channels.
          r: the row.

        Returns:
          The ul-stream's memories after this row, the row as the network sees it [B, W, C +
          places], and its values [W, B, C].
        """
        above = self._above(ul_rows)
        to_right = self.weights["ul0_first_left"]["kernel"][1, 0]  # its lower tap, [I, features]
        num, width, _ = start.shape

        def pixel(
            carry: tuple[Memory, Array],
            at: tuple[Array, Array],
        ) -> tuple[tuple[Memory, Array], tuple[Memory, Array, Array]]:
            memory, left = carry
            c, place = at
            run = Pixel(
                self.network,
                self.weights,
                self.label,
                copied(memory),
                r,
                c,
                stream="ul",
                above=above,
                rows=ul_rows,
                u_rows=u_rows,
            )
            # The first maps: the row above, its corner included, and the pixel to the left.
            x = self.network.layers(run, run.here(start) + left @ to_right)
            outputs = run.dense("out", jax.nn.elu(x), self.network.outputs)
            values, seen = self.draw(r * width + c, outputs)
            place = jnp.broadcast_to(place, (num, place.size))  # [places] -> [B, places]
            left = jnp.concatenate([seen.astype(place.dtype), place], axis=-1)
            return (run.memory, left), (run.memory, left, values)

        def first_column(row: Array) -> Array:
            return jnp.zeros_like(row[:, 0])  # [B, W, C] -> [B, C]

        nothing = jax.tree.map(first_column, ul_rows)
        outside = jnp.zeros((num, to_right.shape[0]), places.dtype)
        before: tuple[Memory, Array] = (nothing, outside)
        columns = (jnp.arange(width), places)
        _, (memories, seen, values) = jax.lax.scan(pixel, before, columns)
        return _as_rows(memories), jnp.moveaxis(seen, 0, 1), values


def _as_rows(memories: Memory) -> Memory:
    """Return memories of all columns, [W, B, C] each, as rows [B, W, C] of their resolutions."""
    rows: Memory = {}
    for level, entries in memories.items():
        step = 2**level  # of so many columns the first one has begun a pixel
        rows[level] = {name: jnp.moveaxis(x[::step], 0, 1) for name, x in entries.items()}
    return rows
