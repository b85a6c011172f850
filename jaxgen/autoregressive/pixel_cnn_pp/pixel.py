"""The layers of PixelCNN++'s ul-stream at one pixel, see `cache.py`.

A 2x2 kernel meets what the row above gives, computed for all its columns, the pixel to the left,
which the memory holds, and this one:

    a a
    m x        [m, x] with the lower row of the kernel: one product
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import jax
import jax.numpy as jnp

from jaxgen.autoregressive.pixel_cnn_pp.cache import Cached, Memory, unchanged
from jaxgen.nn import add_bias
from jaxgen.typing import Array


@final
@dataclass
class Pixel(Cached):
    """One pixel of the ul-stream, [B, C]; the memory holds the pixel before."""

    def respond(self, name: str, before: Array, x: Array) -> Array:
        """Return the convolution from the pixel to the left, this one, and the row above."""
        kernel = self.of(name)["kernel"][1]  # [2, I, O], the lower row
        both = jnp.concatenate([before, x], axis=-1)  # [B, 2 I]
        beside = both @ kernel.reshape(-1, kernel.shape[-1])
        return beside + self.here(self.above[self.level][name])

    def when_due(
        self,
        level: int,
        compute: Callable[[Memory], Memory],
        deeper: Memory,
    ) -> Memory:
        """Return the coarser memory: as it is, loaded, or computed; drawn in `cache.py`."""

        def reload(deeper: Memory) -> Memory:
            loaded = {}
            for k in deeper:
                loaded[k] = jax.tree.map(replace(self, level=k).here, self.rows[k])
            return loaded

        begins_row = self.row % 2**level == 0
        begins = self.column % 2**level == 0
        which = jnp.where(begins, jnp.where(begins_row, 2, 1), 0)
        return jax.lax.switch(which, [unchanged, reload, compute], deeper)

    def up(self, y: Array, x: Array) -> Array:
        """Return this pixel of the transposed convolution."""
        del x
        weights = self.of("up")
        # Which of the four pixels that one of the coarser resolution becomes.
        lower = (self.row >> self.level) % 2
        right = (self.column >> self.level) % 2
        kernel = weights["kernel"][lower, right]
        return add_bias(y @ kernel, weights["bias"])

    def beside(self, name: str) -> Array | None:
        """Return the u-stream at this pixel."""
        return self.here(self.u_rows[self.level][name])

    def keep(self, name: str, x: Array) -> Array:
        """Return x: nobody reads the ul-stream."""
        del name
        return x

    def label_bias(self, name: str, features: int) -> Array | int:
        """Return the class's shift of a layer, [B, features], or 0."""
        del features
        return self.class_rows(name) if self.network.num_classes else 0

    def here(self, row: Array) -> Array:
        """Return this pixel of a row at this resolution, [B, W, C] -> [B, C]."""
        index = self.column >> self.level
        return jax.lax.dynamic_index_in_dim(row, index, axis=1, keepdims=False)
