"""Sampling from a Gated PixelCNN, without computing anything twice.

The vertical stack reads finished rows alone: it runs once for a row, on all columns. Only the
horizontal stack runs pixel by pixel, and of its sums

    u_l = Kh_l * h_(l-1) + link_l s_l + c_l + U_l[y]
          left    here     `links`, made for the whole row

all but `here` is known before the pixel is drawn. Row r, for k = 3, so that p = 1:

    rows kept, layer 1    image r - 2, image r - 1  -> s_1 of the row  (p + 1 rows: v_0 is shifted)
    rows kept, layer 2    v_1 of r - 1; v_1 of r has just been made  -> s_2 of the row
    each pixel            left windows of p pixels:  image | h_1 | h_2 | ...
                          u_1 -> h_1 -> u_2 -> h_2 -> ... -> head -> draw
    then                  the windows move one pixel on, and behind the row the row is pushed above

Every number is computed once, at a pixel with C channels the horizontal one C times.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose
from jaxgen.autoregressive.gated_pixel_cnn.stacks import (
    GatedStacks,
    Weights,
    class_bias,
    gate,
)
from jaxgen.distributions.observation import Observation
from jaxgen.nn import add_bias, conv_rows
from jaxgen.typing import Array

Above = tuple[
    Array, ...
]  # for each layer the last rows that its vertical kernel reads, [B, n, W, I]
Left = tuple[Array, ...]  # for each layer the last pixels that its horizontal one reads, [B, p, I]
Links = tuple[Array, ...]  # for each layer all of u_l that the row above gives, [W, B, 2f]
Drawn = tuple[Array, Array]  # a pixel's values and what the network sees of them, [B, C] each


@dataclass(frozen=True)
class GatedPixelCNNSampler:
    """A sampler of images, row by row and pixel by pixel.

    Attributes:
      network: whose layers these are.
      weights: of the network.
      observation: of an element.
      choose: gives the values of an element from its parameters.
      label: [B], exactly where there are classes.
    """

    network: GatedStacks
    weights: Weights
    observation: Observation
    choose: Choose
    label: Array | None

    def sample(self, num: int) -> Float[jax.Array, "b h w c"]:
        """Return `num` images."""
        height, width, _ = self.network.shape
        self.network.require_label(self.label)

        def row(
            above: Above,
            number: Array,
        ) -> tuple[Above, Array]:
            links, kept = self._vertical_row(above, number)
            pixels = number * width + jnp.arange(width)
            _, drawn = jax.lax.scan(self._pixel, self._nothing_left(num), (links, pixels))
            values, image = drawn  # [W, B, C] each
            new_row = image.swapaxes(0, 1)[:, None]  # [B, 1, W, C]
            image_rows = jnp.concatenate([kept[0], new_row], axis=1)
            return (image_rows, *kept[1:]), values

        _, x = jax.lax.scan(row, self._nothing_above(num), jnp.arange(height))
        return jnp.transpose(x, (2, 0, 1, 3))  # [H, W, B, C] -> [B, H, W, C]

    @property
    def _p(self) -> int:
        """The reach of a kernel to a side, p of k = 2 p + 1."""
        return self.network.kernel_size // 2

    def _nothing_above(self, num: int) -> Above:
        """Return the rows before the first one: zeros.

        The first kernel reads p + 1 rows of the image, all above the row in progress; the others p
        rows of maps besides that row's own.
        """
        width = self.network.shape[1]
        rows = []
        for i, w in enumerate(self.weights.layers):
            kept = self._p if i else self._p + 1
            inputs = w.vertical.shape[2]  # of [p + 1, k, I, 2f]
            rows.append(jnp.zeros((num, kept, width, inputs), self.network.dtype))
        return tuple(rows)

    def _vertical_row(
        self,
        above: Above,
        number: Array,
    ) -> tuple[Links, Above]:
        """Return the vertical stack's links in row `number`, and the rows for the next one.

        The oldest row of each layer is gone, the new one there; the image's own is still to come.
        """
        links = []
        kept = []
        row = above[0]
        for i, w in enumerate(self.weights.layers):
            rows = jnp.concatenate([above[i], row], axis=1) if i else row  # [B, p + 1, W, I]
            s = add_bias(conv_rows(rows, w.vertical), w.vertical_bias)  # [B, 1, W, 2f]
            row = gate(s + class_bias(w.vertical_class, self.label))  # [B, 1, W, f]
            bias = w.horizontal_bias[number] if self.network.coordinates else w.horizontal_bias
            link = add_bias(s @ w.link, bias) + class_bias(w.horizontal_class, self.label)
            links.append(link[:, 0].swapaxes(0, 1))  # [B, 1, W, 2f] -> [W, B, 2f]
            kept.append(rows[:, 1:])
        return tuple(links), tuple(kept)

    def _nothing_left(self, num: int) -> Left:
        """Return the pixels left of the first column: zeros."""
        windows = []
        for w in self.weights.layers:
            inputs = w.horizontal.shape[2]  # of [1, k, I, 2f]
            windows.append(jnp.zeros((num, self._p, inputs), self.network.dtype))
        return tuple(windows)

    def _pixel(
        self,
        left: Left,
        item: tuple[Links, Array],
    ) -> tuple[Left, Drawn]:
        """Draw the channels of one pixel in turn, and move the windows on."""
        links, pixel = item  # [B, 2f] for each layer, []
        channels = self.network.shape[-1]
        num_params = self.observation.num_params
        beside = self._beside(left, links)
        here = jnp.zeros((links[0].shape[0], channels), self.network.dtype)
        values = []
        for c in range(channels):
            outputs, read = self._outputs(here, beside)
            params = outputs[:, c * num_params : (c + 1) * num_params]
            value = self.choose(pixel * channels + c, params)
            values.append(value)
            seen = self.observation.normalize(value).astype(here.dtype)
            here = here.at[:, c].set(seen)
        # The last pass has made all maps as they stay: by mask A the last channel is in none of
        # them, and reaches later pixels through the image alone.
        return _moved(left, [here, *read]), (jnp.stack(values, axis=1), here)

    def _beside(
        self,
        left: Left,
        links: Links,
    ) -> list[Array]:
        """Return all that is known of u_l before the pixel, [B, 2f] for each layer."""
        known = []
        for w, window, link in zip(self.weights.layers, left, links, strict=True):
            taps = w.horizontal[0, : self._p]  # [p, I, 2f], left of the pixel
            inputs = window.reshape(len(window), -1)  # [B, p I]
            known.append(link + inputs @ taps.reshape(-1, link.shape[-1]))
        return known

    def _outputs(
        self,
        here: Array,
        beside: list[Array],
    ) -> tuple[Array, list[Array]]:
        """Return C P numbers for one pixel, and what each layer but the first reads there.

        Args:
          here: [B, C], the channels of the pixel that are drawn, zeros for the others.
          beside: of each layer, u_l but for the pixel's own tap.

        Returns:
          [B, C P], and [B, f] for each layer but the last.
        """
        h = here
        read = []
        skipped = []
        for number, (w, u) in enumerate(zip(self.weights.layers, beside, strict=True)):
            if number or self.network.shape[-1] > 1:  # of one channel, mask A hides the pixel
                u = u + h @ w.horizontal[0, self._p]
            o = add_bias(gate(u) @ w.out, w.out_bias)
            h = h + o if number else o
            read.append(h)
            skipped.append(o)
        return self.network.finish(self.weights, h, skipped), read[:-1]


def _moved(left: Left, new: list[Array]) -> Left:
    """Return the windows one pixel further right."""
    windows = []
    for window, entry in zip(left, new, strict=True):
        windows.append(jnp.concatenate([window[:, 1:], entry[:, None]], axis=1))
    return tuple(windows)
