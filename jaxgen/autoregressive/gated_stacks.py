"""The network of a Gated PixelCNN: a vertical and a horizontal stack, see `gated_pixel_cnn`.

Layer l, with * a convolution, the gate g(a, b) = tanh(a) sigmoid(b), and class biases V, U:

    s_l = Kv_l * v_(l-1) + b_l,                       v_l = g(s_l + V_l[y])
    u_l = Kh_l * h_(l-1) + link_l s_l + c_l + U_l[y], o_l = out_l g(u_l),   h_l = h_(l-1) + o_l

without the sum in the first layer. v_0 is the image one row down, h_0 the image. The same lines of
`_layer` serve whole images and single pixels.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.nn import (
    causal_conv,
    conv_rows,
    coordinates,
    group_mask,
    kernel_mask,
    live_taps,
    masked_kernel,
)
from jaxgen.train import Key
from jaxgen.typing import Array


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
    """Of all layers, and the two of the head."""

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
        """All weights, masked and in `dtype`."""
        groups, head = self.shape[-1], []
        inputs = self.features
        for i, outputs in enumerate((self.head, groups * self.num_params)):
            mask = group_mask(inputs, outputs, "B", groups)
            head.append((self._kernel(f"head_{i}", mask), self._bias(f"head_{i}_bias", outputs)))
            inputs = outputs
        return Weights(tuple(self._layer_weights(i) for i in range(self.num_layers)), tuple(head))

    def _layer_weights(self, number):
        f, k, groups, name = self.features, self.kernel_size, self.shape[-1], f"layer_{number}"
        inputs, kind = (f, "B") if number else (groups, "A")
        bias = self._bias(f"{name}_horizontal_bias", 2 * f)
        if self.coordinates:
            place = self._kernel(f"{name}_coordinates", np.ones((2, 2 * f), bool))
            bias = bias + coordinates(*self.shape[:2]).astype(self.dtype) @ place
        horizontal = kernel_mask((1, k), inputs, 2 * f, kind, groups, 2)
        return Layer(
            self._kernel(f"{name}_vertical", np.ones((k // 2 + 1, k, inputs, 2 * f), bool)),
            self._bias(f"{name}_vertical_bias", 2 * f),
            self._classes(f"{name}_vertical_class", used=number + 1 < self.num_layers),
            self._kernel(f"{name}_horizontal", horizontal),
            bias,
            self._classes(f"{name}_horizontal_class"),
            self._kernel(f"{name}_link", np.ones((2 * f, 2 * f), bool)),
            self._kernel(f"{name}_out", group_mask(f, f, "B", groups)),
            self._bias(f"{name}_out_bias", f),
        )

    def _kernel(self, name, mask):
        return masked_kernel(self, name, mask)

    def _bias(self, name, size):
        return self.param(name, nn.initializers.zeros, (size,)).astype(self.dtype)

    def _classes(self, name, used=True):
        """A bias for each class; the last vertical layer is read before its gate and needs none."""
        if not (self.num_classes and used):
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
        """C P numbers for every pixel of whole images, in float32; with a key, under dropout."""
        self._require_label(label)
        h = x.astype(self.dtype)
        v, skipped = jnp.pad(h, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1], []
        for number, w in enumerate(weights.layers):
            s = causal_conv(v, w.vertical) + w.vertical_bias
            v = _gate(s + _chosen(w.vertical_class, label, 4))
            live = live_taps(w.horizontal.shape, "B" if number else "A", self.shape[-1])
            u = causal_conv(h, w.horizontal, live) + s @ w.link + w.horizontal_bias
            u = u + _chosen(w.horizontal_class, label, 4)
            o = _dropped(_gate(u), self.dropout, dropout_key, number) @ w.out + w.out_bias
            h = h + o if number else o
            skipped.append(o)
        return self._finish(weights, h, skipped)

    def _finish(self, weights, h, skipped):
        """The head on the last horizontal maps, or on the sum of all layers' outputs."""
        y = sum(skipped) if self.skips else h
        for kernel, bias in weights.head:
            y = jax.nn.relu(y) @ kernel + bias
        return y.astype(jnp.float32)

    def _require_label(self, label):
        if (label is not None) != bool(self.num_classes):
            raise ConfigError(f"num_classes {self.num_classes}: got label {label}")

    def field(self) -> np.ndarray:
        """Which other pixels a pixel reads, bool [H W, H W]: a rectangle above, and what is left.

        Rows r - 1 - L p to r - 1 of columns c - L p to c + L p, and in row r columns from c - L p.
        """
        reach = self.kernel_size // 2 * self.num_layers
        height, width, _ = self.shape
        row, column = np.divmod(np.arange(height * width), width)
        up, right = row[:, None] - row, column - column[:, None]
        above = (up >= 1) & (up <= 1 + reach) & (abs(right) <= reach)
        return above | ((up == 0) & (right < 0) & (right >= -reach))

    # Sampling: what the vertical stack knows of rows above, and the horizontal one of the left.

    def nothing_above(self, weights: Weights, num: int) -> tuple[Array, ...]:
        """Before the first row: the last rows that each vertical convolution reads, as zeros.

        The first reads p + 1 rows of the image, the others p of maps besides the row in progress.
        """
        p, width = self.kernel_size // 2, self.shape[1]
        rows = [p + 1] + [p] * (self.num_layers - 1)
        sizes = [w.vertical.shape[2] for w in weights.layers]
        return tuple(
            jnp.zeros((num, n, width, size), self.dtype)
            for n, size in zip(rows, sizes, strict=True)
        )

    def vertical_row(
        self, weights: Weights, above: tuple[Array, ...], number: Array, label: Array | None
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """The vertical stack in row `number`.

        Returns:
          What it adds to each horizontal layer, [W, B, 2f], with that layer's biases, and the rows
          above for the next row, without the image's own (`below`).
        """
        self._require_label(label)
        links, kept, row = [], [], above[0]
        for i, w in enumerate(weights.layers):
            rows = row if i == 0 else jnp.concatenate([above[i], row], axis=1)
            s = conv_rows(rows, w.vertical) + w.vertical_bias
            row = _gate(s + _chosen(w.vertical_class, label, 4))
            bias = w.horizontal_bias[number] if self.coordinates else w.horizontal_bias
            link = (s @ w.link + bias + _chosen(w.horizontal_class, label, 4))[:, 0]
            links.append(link.swapaxes(0, 1))
            kept.append(rows[:, 1:])
        return tuple(links), tuple(kept)

    def below(self, above: tuple[Array, ...], image: Array) -> tuple[Array, ...]:
        """Adds the finished row of the image, [B, W, C]."""
        return jnp.concatenate([above[0], image[:, None]], axis=1), *above[1:]

    def nothing_left(self, weights: Weights, num: int) -> tuple[Array, ...]:
        """Before the first column: the p maps left of the pixel that each layer reads, as zeros."""
        p = self.kernel_size // 2
        return tuple(jnp.zeros((num, p, w.horizontal.shape[2]), self.dtype) for w in weights.layers)

    def beside(
        self, weights: Weights, left: tuple[Array, ...], links: tuple[Array, ...]
    ) -> list[Array]:
        """All that is known of u_l before the pixel: links and what lies left, [B, 2f] each."""
        p = self.kernel_size // 2
        return [
            link + maps.reshape(len(maps), -1) @ w.horizontal[0, :p].reshape(-1, link.shape[-1])
            for w, maps, link in zip(weights.layers, left, links, strict=True)
        ]

    def at_pixel(
        self, weights: Weights, here: Float[Array, "b c"], beside: list[Array]
    ) -> tuple[Array, list[Array]]:
        """C P numbers for one pixel, and what each layer but the first read there, [B, f]."""
        p, h, read, skipped = self.kernel_size // 2, here, [], []
        for number, (w, u) in enumerate(zip(weights.layers, beside, strict=True)):
            if number or self.shape[-1] > 1:  # of one channel, mask A hides the pixel itself
                u = u + h @ w.horizontal[0, p]
            o = _gate(u) @ w.out + w.out_bias
            h = h + o if number else o
            read.append(h)
            skipped.append(o)
        return self._finish(weights, h, skipped), read[:-1]

    def moved(
        self, left: tuple[Array, ...], here: Float[Array, "b c"], read: list[Array]
    ) -> tuple[Array, ...]:
        """One pixel further right."""
        new = [here, *read]
        return tuple(
            jnp.concatenate([maps[:, 1:], x[:, None]], axis=1)
            for maps, x in zip(left, new, strict=True)
        )


def _gate(maps):
    """tanh of the first half of the maps times the sigmoid of the second."""
    a, b = jnp.split(maps, 2, axis=-1)
    return jnp.tanh(a) * jax.nn.sigmoid(b)


def _chosen(table, label, rank):
    """The rows of a class table, [B, 1, ..., 2f] of that rank; 0 without classes."""
    if table is None:
        return 0
    return table[label].reshape(-1, *[1] * (rank - 2), table.shape[-1])


def _dropped(maps, rate, key, number):
    """Leaves out a part of the maps, and scales the others up, where there is a key."""
    if key is None:
        return maps
    kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, maps.shape)
    return jnp.where(kept, maps / (1 - rate), 0)
