"""The layers of PixelCNN++ at one row of an image, see `cache.py`.

The u-stream's 2x3 kernel meets the row before, which the memory holds, and this one:

    m m m        the whole row at once: one shifted convolution of the pair [before, x]
    x x x
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp

from jaxgen.autoregressive.pixel_cnn_pp.cache import Cached, Memory, unchanged
from jaxgen.nn import add_bias, shifted
from jaxgen.typing import Array


@final
@dataclass
class Rows(Cached):
    """One row, [B, W, C]; the memory holds the row before."""

    def respond(self, name: str, before: Array, x: Array) -> Array:
        """Return the row of the convolution, from the row before and this one."""
        weights = self.of(name)
        pair = jnp.stack([before, x], axis=1)  # [B, 2, W, C]
        stride = 2 if name == "down" else 1
        y = shifted.shifted_conv(pair, weights["kernel"], stride=stride, top=0)  # [B, 1, W, C]
        return add_bias(y[:, 0], weights["bias"])

    def when_due(
        self,
        level: int,
        compute: Callable[[Memory], Memory],
        deeper: Memory,
    ) -> Memory:
        """Return the coarser memory, computed on rows that begin one of theirs."""
        begins = self.row % 2**level == 0
        return jax.lax.cond(begins, compute, unchanged, deeper)

    def up(self, y: Array, x: Array) -> Array:
        """Return this row of the transposed convolution, cropped where the width is odd."""
        weights = self.of("up")
        # At this resolution the row is the upper or the lower one of a pair.
        kernel = weights["kernel"][(self.row >> self.level) % 2]
        row = shifted.upsample_columns(y, kernel)
        return add_bias(row[:, : x.shape[1]], weights["bias"])

    def beside(self, name: str) -> Array | None:
        """Return the u-stream's row of the same layer; None for the u-stream itself."""
        return self.u_rows[self.level][name] if self.stream == "ul" else None

    def keep(self, name: str, x: Array) -> Array:
        """Return x; the u-stream's rows are kept for the other."""
        if self.stream == "u":
            self.memory.setdefault(self.level, {})[name] = x
        return x

    def label_bias(self, name: str, features: int) -> Array | int:
        """Return the class's shift of a layer, [B, 1, features], or 0."""
        del features
        return self.class_rows(name)[:, None] if self.network.num_classes else 0
