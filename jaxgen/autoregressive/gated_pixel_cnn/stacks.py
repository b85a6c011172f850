"""The network of a Gated PixelCNN: a vertical and a horizontal stack, see `model.py`.

Layer l, with * a convolution, the gate g(a, b) = tanh(a) sigmoid(b), and class biases V, U:

    s_l = Kv_l * v_(l-1) + b_l,                       v_l = g(s_l + V_l[y])
    u_l = Kh_l * h_(l-1) + link_l s_l + c_l + U_l[y], o_l = out_l g(u_l),   h_l = h_(l-1) + o_l

without the sum in the first layer. v_0 is the image one row down, h_0 the image:

    v_0 --> s_1 --> v_1 --> s_2 --> v_2 -->        rows above
             |               |
            link            link                   1x1, without a shift: v_0 has been shifted
             v               v
    h_0 --> u_1 --> h_1 --> u_2 --> h_2 -->        what is left in the row
             |               |
            o_1             o_2                    with skips, the head reads o_1 + o_2 + ...

Here whole images go through; `sampler.py` does the same a row and a pixel at a time.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxgen.errors import ConfigError
from jaxgen.nn import (
    add_bias,
    causal_conv,
    coordinates,
    group_mask,
    kernel_mask,
    live_taps,
    masked_kernel,
)
from jaxgen.nn.masked import MaskKind
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array, Key


class Layer(NamedTuple):
    """Kernels, masked, and biases of one layer; I is C in the first layer and f in the others."""

    vertical: Array  # [p + 1, k, I, 2f]
    vertical_bias: Array  # [2f]
    vertical_class: Array | None  # [num_classes, 2f]
    horizontal: Array  # [1, k, I, 2f]
    horizontal_bias: Array  # [2f], or [H, W, 2f] with coordinates
    horizontal_class: Array | None
    link: Array  # [2f, 2f]
    out: Array  # [f, f]
    out_bias: Array


class Weights(NamedTuple):
    """The weights of all layers, and the two of the head."""

    layers: tuple[Layer, ...]
    head: tuple[tuple[Array, Array], ...]


class GatedStacks(nn.Module):
    """The parameters of a Gated PixelCNN; attributes as in `gated_pixel_cnn.build`."""

    shape: tuple[int, ...]
    num_params: int
    num_layers: int
    features: int
    head: int
    kernel_size: int = 3
    num_classes: int = 0
    skips: bool = False
    coordinates: bool = False
    dropout: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self) -> Weights:
        """Return all weights, masked and in `dtype`."""
        # Flax numbers the parameters as they are asked for and draws each from its number: the
        # order of the calls, here and below, decides what a key gives.
        head = self._head()
        layers = tuple(self._layer(i) for i in range(self.num_layers))
        return Weights(layers, head)

    def _head(self) -> tuple[tuple[Array, Array], ...]:
        """Return the kernels and biases of the two 1x1 convolutions at the end."""
        groups = self.shape[-1]
        sizes = (self.head, groups * self.num_params)
        layers = []
        inputs = self.features
        for i, outputs in enumerate(sizes):
            kernel = self._kernel(f"head_{i}", group_mask(inputs, outputs, "B", groups))
            bias = self._bias(f"head_{i}_bias", outputs)
            layers.append((kernel, bias))
            inputs = outputs
        return tuple(layers)

    def _layer(self, number: int) -> Layer:
        """Return the weights of layer `number`; the first reads the image, and with mask A."""
        f = self.features
        k = self.kernel_size
        groups = self.shape[-1]
        name = f"layer_{number}"
        inputs = f if number else groups
        horizontal_mask = kernel_mask((1, k), inputs, 2 * f, self._kind(number), groups, blocks=2)
        # All that a vertical kernel reads lies in finished rows: no mask.
        vertical_mask = np.ones((k // 2 + 1, k, inputs, 2 * f), bool)
        # The last vertical layer is read before its gate: it would have no use for a class.
        is_read_behind_gate = number + 1 < self.num_layers

        horizontal_bias = self._horizontal_bias(name)
        vertical = self._kernel(f"{name}_vertical", vertical_mask)
        vertical_bias = self._bias(f"{name}_vertical_bias", 2 * f)
        vertical_class = self._classes(f"{name}_vertical_class") if is_read_behind_gate else None
        return Layer(
            vertical,
            vertical_bias,
            vertical_class,
            horizontal=self._kernel(f"{name}_horizontal", horizontal_mask),
            horizontal_bias=horizontal_bias,
            horizontal_class=self._classes(f"{name}_horizontal_class"),
            link=self._kernel(f"{name}_link", np.ones((2 * f, 2 * f), bool)),
            out=self._kernel(f"{name}_out", group_mask(f, f, "B", groups)),
            out_bias=self._bias(f"{name}_out_bias", f),
        )

    def _kind(self, number: int) -> MaskKind:
        """Return the kind of mask of a horizontal layer."""
        return "B" if number else "A"

    def _horizontal_bias(self, name: str) -> Array:
        """Return the bias of a horizontal layer, [2f], or [H, W, 2f] with coordinates."""
        bias = self._bias(f"{name}_horizontal_bias", 2 * self.features)
        if not self.coordinates:
            return bias
        height, width, _ = self.shape
        everything = np.ones((2, 2 * self.features), bool)
        place_kernel = self._kernel(f"{name}_coordinates", everything)  # [2, 2f]
        places = coordinates(height, width).astype(self.dtype)  # [H, W, 2]
        return add_bias(places @ place_kernel, bias)

    def _kernel(
        self,
        name: str,
        mask: np.ndarray,
    ) -> Array:
        """Return a kernel, zero where the mask is False."""
        return masked_kernel(self, name, mask)

    def _bias(self, name: str, size: int) -> Array:
        """Return a bias, zero at first."""
        return self.param(name, nn.initializers.zeros, (size,)).astype(self.dtype)

    def _classes(self, name: str) -> Array | None:
        """Return a bias for each class, [num_classes, 2f]; None without classes."""
        if not self.num_classes:
            return None
        shape = (self.num_classes, 2 * self.features)
        return self.param(name, nn.initializers.normal(0.05), shape).astype(self.dtype)

    def outputs(
        self,
        weights: Weights,
        x: Float[Array, "b h w c"],
        label: Array | None = None,
        dropout_key: Key | None = None,
    ) -> Float[Array, "b h w o"]:
        """Return C P numbers for every pixel of whole images, in float32.

        Args:
          weights: what the module returns.
          x: images, normalised.
          label: [B], exactly where there are classes.
          dropout_key: of the maps that are left out; None to keep all.
        """
        self.require_label(label)
        h = x.astype(self.dtype)
        one_row_down = jnp.pad(h, ((0, 0), (1, 0), (0, 0), (0, 0)))  # [B, H + 1, W, C]
        v = one_row_down[:, :-1]
        skipped = []
        for number, w in enumerate(weights.layers):
            s = add_bias(causal_conv(v, w.vertical), w.vertical_bias)
            v = gate(s + class_bias(w.vertical_class, label))
            live = live_taps(w.horizontal.shape, self._kind(number), self.shape[-1])
            u = causal_conv(h, w.horizontal, live) + s @ w.link
            u = add_bias(u, w.horizontal_bias) + class_bias(w.horizontal_class, label)
            gated = self._dropped(gate(u), dropout_key, number)
            o = add_bias(gated @ w.out, w.out_bias)
            h = h + o if number else o
            skipped.append(o)
        return self.finish(weights, h, skipped)

    def finish(
        self,
        weights: Weights,
        h: Float[Array, "... f"],
        skipped: Sequence[Array],
    ) -> Float[Array, "... o"]:
        """Return the head's numbers for the last horizontal maps, or the sum of all outputs."""
        y = cast(Array, sum(skipped)) if self.skips else h
        for kernel, bias in weights.head:
            y = add_bias(jax.nn.relu(y) @ kernel, bias)
        return at_least_float32(y)

    def require_label(self, label: Array | None) -> None:
        """Require a label exactly where there are classes.

        Raises:
          ConfigError: one is missing, or is given to a model without classes.
        """
        if (label is not None) != bool(self.num_classes):
            raise ConfigError(f"num_classes {self.num_classes}: got label {label}")

    def _dropped(
        self,
        maps: Array,
        key: Key | None,
        number: int,
    ) -> Array:
        """Return the maps under dropout, each layer with a key of its own."""
        if key is None:
            return maps
        rate = self.dropout
        kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, maps.shape)
        return jnp.where(kept, maps / (1 - rate), 0)

    def field(self) -> Bool[np.ndarray, "p p"]:
        """Return which other pixels a pixel reads, bool [H W, H W].

        With reach L p for L layers, rows r - 1 - L p to r - 1 of columns c - L p to c + L p, and in
        row r the columns from c - L p:

            . . .      k = 3 and one layer, so that p = 1: the shift of the image by one row makes
            . . .      of the rows r - 1 and r, which the vertical kernel covers, r - 2 and r - 1
            . o
        """
        reach = self.kernel_size // 2 * self.num_layers
        height, width, _ = self.shape
        row, column = np.divmod(np.arange(height * width), width)
        # At [i, j], from pixel i to pixel j:
        rows_up = row[:, None] - row
        columns_right = column - column[:, None]
        near = abs(columns_right) <= reach
        above = (rows_up >= 1) & (rows_up <= 1 + reach)
        left = (rows_up == 0) & (columns_right < 0)
        return (above | left) & near


def gate(maps: Float[Array, "... f2"]) -> Float[jax.Array, "... f"]:
    """Return tanh of the first half of the maps times the sigmoid of the second."""
    content, opening = jnp.split(maps, 2, axis=-1)
    return jnp.tanh(content) * jax.nn.sigmoid(opening)


def class_bias(
    table: Float[Array, "k f2"] | None,
    label: Array | None,
) -> Float[Array, "b 1 1 f2"] | int:
    """Return the rows of a class table for maps of rank 4; 0 without classes."""
    if table is None:
        return 0
    return table[label].reshape(-1, 1, 1, table.shape[-1])
