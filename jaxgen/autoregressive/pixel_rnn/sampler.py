"""Sampling from a PixelRNN pixel by pixel, without computing anything twice.

A layer keeps what later pixels read of it, whatever its kind. Row r, layers 1 ... L:

    open_row     of all layers at once: what row r - 1 gives to each pixel of the row
    pixel        first -> layer 1 -> ... -> layer L -> head -> draw, once for each channel;
                 each layer hands its state to the next pixel, and leaves what the row is to keep
    close_row    of all layers at once: from what the pixels have left, what row r + 1 will read

`row_lstm.py` and `diagonal_bilstm.py` say what their layers do in each. What is scanned over has
the scan's axis in front: pixels of a row [W, ...], what the layers were opened with [W, L, ...].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose
from jaxgen.autoregressive.pixel_rnn.network import Weights
from jaxgen.typing import Array

# The states of layers are trees whose form is the layer's own affair: `Any` stands for them.


@final
@dataclass(frozen=True)
class PixelRNNSampler:
    """A sampler of images, row by row and pixel by pixel.

    Attributes:
      weights: of the network.
      shape: of an image, [H, W, C].
      seen: from values to what the network sees.
      choose: gives the values of an element from its parameters.
    """

    weights: Weights
    shape: tuple[int, ...]
    seen: Callable[[Array], Array]
    choose: Choose

    def sample(
        self,
        num: int,
        beside: Float[Array, "#b h w k"] | None,
    ) -> Float[jax.Array, "b h w c"]:
        """Return `num` images; `beside` is what the layers see besides the image."""
        height, width, _ = self.shape
        if beside is not None:
            beside = jnp.moveaxis(beside, 0, 2)  # [B, H, W, k] -> [H, W, B, k]
        lines = self.weights.lines(num, width)
        above = _stacked([layer.above(num, width) for layer in self.weights.layers])
        rows = (jnp.arange(height), beside)
        _, values = jax.lax.scan(self._row, (lines, above), rows)
        return jnp.moveaxis(values, 2, 0)  # [H, W, B, C] -> [B, H, W, C]

    def _row(
        self,
        carry: tuple[Array, Any],
        step: tuple[Array, Array | None],
    ) -> tuple[tuple[Array, Any], Array]:
        """Draw a row, [W, B, C], and carry on the lines of the image and the layers' states."""
        lines, above = carry  # [B, k, W, C], and what `Layer.above` makes
        r, beside = step
        weights = self.weights
        num, _, width, _ = lines.shape
        stacked = _stacked(weights.layers)
        kind = type(weights.layers[0])

        open_row = jax.vmap(kind.open_row, in_axes=(0, 0, None), out_axes=1)
        opened = open_row(stacked, above, beside)  # [W, L, ...]
        places = r * width + jnp.arange(width)
        columns = (places, weights.above(lines), opened)
        edges = tuple(layer.edge(num) for layer in weights.layers)
        start = (weights.window(num), edges)
        _, (values, kept) = jax.lax.scan(self._pixel, start, columns)

        # kept [W, L, ...]; the states above stay [L, ...].
        close_row = jax.vmap(kind.close_row, in_axes=(0, 0, 1, None))
        above = close_row(stacked, above, kept, beside)
        row = jnp.moveaxis(values, 0, 1)  # [W, B, C] -> [B, W, C]
        line = self.seen(row[:, None])
        lines = jnp.concatenate([lines[:, 1:], line], axis=1)
        return (lines, above), values

    def _pixel(
        self,
        carry: tuple[Array, tuple[Any, ...]],
        step: tuple[Array, Array, Any],
    ) -> tuple[tuple[Array, tuple[Any, ...]], tuple[Array, Any]]:
        """Draw a pixel, [B, C], once for each of its channels.

        The last pass has read all that is to be kept: by mask A the last channel is in no state.
        """
        window, before = carry  # [B, k, C], and each layer's state left of the pixel
        place, above, opened = step  # [], [B, I], [L, ...]
        weights = self.weights
        channels = self.shape[2]
        own = jnp.zeros((len(window), 1, channels), window.dtype)
        values = []
        for channel in range(channels):
            y = weights.first(above, jnp.concatenate([window, own], axis=1))
            after = []
            kept = []
            for i, layer in enumerate(weights.layers):
                y, state, keep = layer.pixel(y, before[i], _layer(opened, i))
                after.append(state)
                kept.append(keep)
            params = weights.outputs(y).reshape(len(y), channels, -1)  # [B, C P] -> [B, C, P]
            value = self.choose(place * channels + channel, params[:, channel])
            values.append(value)
            own = own.at[:, 0, channel].set(self.seen(value))
        window = jnp.concatenate([window, own], axis=1)[:, 1:]
        return (window, tuple(after)), (jnp.stack(values, axis=1), _stacked(kept))


def _stacked(trees: Sequence[Any]) -> Any:
    """Return trees of one form as one, with a leading axis."""
    return jax.tree.map(_stack, *trees)


def _stack(*leaves: Array) -> Array:
    """Return arrays of one shape as one, with a leading axis."""
    return jnp.stack(leaves)


def _layer(tree: Any, number: int) -> Any:
    """Return one of the stacked trees."""
    return jax.tree.map(itemgetter(number), tree)
