"""Autoregressive models in PyTorch, as its users write them; for `benchmarks`.

The same architectures and parameters as jaxgen's, of binary images [B, 1, H, W] with values 0. and
1.; `forward` gives logits [B, H, W]. `load` takes jaxgen's parameters {path: array}, so that the
outputs can be compared. Of several usual forms the fastest on a CPU was
taken: NADE's loop over `unbind` (slices of a parameter cost three times as much in the backward
pass), kernels without the rows that are masked whole, channels last in the plain PixelCNN.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Arrays = Mapping[str, np.ndarray]
Unit = Callable[[torch.Tensor], torch.Tensor]


class NADE(nn.Module):
    """A loop over the elements, on running activations; `sample` too."""

    def __init__(self, shape: list[int], hidden: int, unit: Unit = torch.sigmoid):
        super().__init__()
        self.shape = shape
        self.unit = unit
        dim = math.prod(shape)
        self.w = nn.Parameter(0.01 * torch.randn(dim, hidden))
        self.v = nn.Parameter(0.01 * torch.randn(dim, hidden))
        self.b = nn.Parameter(torch.zeros(dim))
        self.c = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [B, H, W]."""
        elements = x.flatten(1).t().contiguous().unbind()
        a = self.c.expand(len(x), -1)
        dots = []
        for value, w, v in zip(elements, self.w.unbind(), self.v.unbind(), strict=True):
            dots.append(self.unit(a) @ v)
            a = torch.addr(a, value, w)
        return (torch.stack(dots, dim=1) + self.b).view(-1, *self.shape[:2])

    def sample(self, num: int) -> torch.Tensor:
        """Return draws [num, D]."""
        a = self.c.expand(num, -1)
        values: list[torch.Tensor] = []
        for w, v, b in zip(self.w.unbind(), self.v.unbind(), self.b.unbind(), strict=True):
            values.append(torch.bernoulli(torch.sigmoid(self.unit(a) @ v + b)))
            a = torch.addr(a, values[-1], w)
        return torch.stack(values, dim=1)

    def load(self, arrays: Arrays) -> None:
        """Take W [H, D], V [D, H], b and c."""
        for mine, theirs in ((self.w, arrays["W"].T), (self.v, arrays["V"])):
            _put(mine, theirs)
        _put(self.b, arrays["b"])
        _put(self.c, arrays["c"])


class MaskedConv(nn.Conv2d):
    """Sees its kernel's rows, of which the last is the pixel's own, up to the pixel.

    Mask A leaves out the pixel, mask B only what is right of it, and no mask nothing.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], mask: str = ""):
        rows, width = size
        super().__init__(inputs, outputs, size, padding=(rows - 1, width // 2))
        live = torch.ones(rows, width)
        if mask:
            live[-1, width // 2 + (mask == "B") :] = 0
        self.register_buffer("live", live if mask else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [B, I, H, W] -> [B, O, H, W]: the padding below the image makes rows too many."""
        weight = self.weight if self.live is None else self.weight * self.live
        y = functional.conv2d(x, weight, self.bias, padding=self.padding)
        return y[:, :, : x.shape[2]]


class PixelCNN(nn.Module):
    """7x7 with mask A, residual blocks around 3x3 with mask B, a head of 1x1; channels last."""

    def __init__(self, shape: list[int], num_layers: int, features: int, head: int = 32):
        super().__init__()
        half = features // 2
        self.first = MaskedConv(1, features, (4, 7), "A")
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.Conv2d(features, half, 1),
                    MaskedConv(half, half, (2, 3), "B"),
                    nn.Conv2d(half, features, 1),
                ]
            )
            for _ in range(num_layers)
        )
        self.head = _head(features, head, head, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [B, H, W]."""
        y = self.first(x).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            maps = y
            for conv in block:
                maps = conv(torch.relu(maps))
            y = y + maps
        return _behind(self.head, y)

    def load(self, arrays: Arrays) -> None:
        """Take the kernels of all blocks in one array for each of their layers."""
        _put_conv(self.first, arrays["first"], arrays["first_bias"])
        for i, block in enumerate(self.blocks):
            for name, conv in zip(("down", "conv", "up"), block, strict=True):
                _put_conv(conv, arrays[name][i], arrays[f"{name}_bias"][i])
        for i, conv in enumerate(self.head):
            _put_conv(conv, arrays[f"head_{i}"], arrays[f"head_{i}_bias"])


class GatedLayer(nn.Module):
    """One layer of both stacks, (v, h) -> (v, h)."""

    def __init__(self, inputs: int, features: int, k: int, mask: str):
        super().__init__()
        self.vertical = MaskedConv(inputs, 2 * features, (k // 2 + 1, k))
        self.horizontal = MaskedConv(inputs, 2 * features, (1, k), mask)
        self.link = nn.Conv2d(2 * features, 2 * features, 1, bias=False)
        self.out = nn.Conv2d(features, features, 1)
        self.residual = mask == "B"

    def forward(self, v: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vertical stack before its gate, [B, 2f, H, W], and the horizontal one."""
        s = self.vertical(v)
        out = self.out(_gate(self.horizontal(h) + self.link(s)))
        return s, h + out if self.residual else out


class GatedPixelCNN(nn.Module):
    """Two stacks of gated convolutions, and a head of 1x1."""

    def __init__(
        self, shape: list[int], num_layers: int, features: int, kernel_size: int = 3, head: int = 64
    ):
        super().__init__()
        layers = [GatedLayer(1, features, kernel_size, "A")]
        layers += [GatedLayer(features, features, kernel_size, "B") for _ in range(num_layers - 1)]
        self.layers = nn.ModuleList(layers)
        self.head = _head(features, head, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [B, H, W]; the vertical stack starts from the image one row down."""
        v = functional.pad(x, (0, 0, 1, 0))[:, :, :-1]
        h = x
        for i, layer in enumerate(self.layers):
            v = _gate(v) if i else v
            v, h = layer(v, h)
        return _behind(self.head, h)

    def load(self, arrays: Arrays) -> None:
        """Take the parameters of layer i from paths layer_i_..."""
        for i, layer in enumerate(self.layers):
            for name in ("vertical", "horizontal", "link", "out"):
                bias = arrays.get(f"layer_{i}_{name}_bias")
                _put_conv(getattr(layer, name), arrays[f"layer_{i}_{name}"], bias)
        for i, conv in enumerate(self.head):
            _put_conv(conv, arrays[f"head_{i}"], arrays[f"head_{i}_bias"])


class DiagonalLayer(nn.Module):
    """One residual Diagonal BiLSTM, [B, H, W, 2h] -> [B, H, W, 2h]: a loop over skewed columns."""

    def __init__(self, h: int):
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(2, 2 * h, 4 * h) / math.sqrt(2 * h))
        self.bias = nn.Parameter(torch.zeros(2, 4 * h))
        self.states = nn.Parameter(torch.randn(2, 2 * h, 4 * h) / math.sqrt(2 * h))
        self.first = nn.Parameter(torch.zeros(2, 2, h))
        self.up = nn.Linear(h, 2 * h)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both directions in one loop; the second's map moves down by a row."""
        num, height, width, _ = x.shape
        both = torch.stack([x, x.flip(2)]).flatten(1, 3)
        gates = torch.baddbmm(self.bias[:, None], both, self.inputs)
        h = self.columns(skew(gates.view(2, num, height, width, -1)), width)
        ahead, back = unskew(h, width)
        back = functional.pad(back.flip(2), (0, 0, 0, 0, 1, 0))[:, :-1]
        return x + self.up(ahead + back)

    def columns(self, gates: torch.Tensor, width: int) -> torch.Tensor:
        """Return states h [2, B, H, J, h]; gates [2, B, H, J, 4h] lack what the states give."""
        _, num, height, steps, size = gates.shape
        column = torch.arange(steps)[:, None] - torch.arange(height)
        inside = ((column >= 0) & (column < width)).to(gates.device)[:, None, None, :, None]
        h0, c0 = (self.first[:, i, None, None].expand(2, num, height, -1) for i in (0, 1))
        h = h0
        c = c0
        states = []
        for now, here in zip(gates.permute(3, 0, 1, 2, 4).unbind(), inside.unbind(), strict=True):
            above = functional.pad(h[:, :, :-1], (0, 0, 1, 0))
            both = torch.cat([h, above], dim=-1).flatten(1, 2)
            now = torch.baddbmm(now.flatten(1, 2), both, self.states).view(2, num, height, size)
            sigmoids, g = now.split([3 * size // 4, size // 4], dim=-1)
            o, f, i = torch.sigmoid(sigmoids).chunk(3, dim=-1)
            c = torch.where(here, f * c + i * torch.tanh(g), c0)
            h = torch.where(here, o * torch.tanh(c), h0)
            states.append(h)
        return torch.stack(states, dim=3)


class DiagonalBiLSTM(nn.Module):
    """7x7 with mask A, Diagonal BiLSTMs, a head of 1x1."""

    def __init__(self, shape: list[int], num_layers: int, features: int, head: int = 32):
        super().__init__()
        self.first = MaskedConv(1, 2 * features, (4, 7), "A")
        self.layers = nn.Sequential(*[DiagonalLayer(features) for _ in range(num_layers)])
        self.head = _head(2 * features, head, head, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [B, H, W]."""
        y = self.layers(self.first(x).permute(0, 2, 3, 1).contiguous())
        return _behind(self.head, y.permute(0, 3, 1, 2))

    def load(self, arrays: Arrays) -> None:
        """Take the parameters of layer i from paths layers_i/..."""
        _put_conv(self.first, arrays["kernel"], arrays["bias"])
        for i, layer in enumerate(self.layers):
            for name in ("inputs", "bias", "states", "first"):
                mine = getattr(layer, name)
                _put(mine, arrays[f"layers_{i}/{name}"].reshape(mine.shape))
            _put(layer.up.weight, arrays[f"layers_{i}/up"].T)
            _put(layer.up.bias, arrays[f"layers_{i}/up_bias"])
        for i, conv in enumerate(self.head):
            _put_conv(conv, arrays[f"head_{i}"], arrays[f"bias_{i}"])


def skew(x: torch.Tensor) -> torch.Tensor:
    """Shift row r right by r: [..., H, W, C] -> [..., H, H + W - 1, C]."""
    *batch, height, width, channels = x.shape
    x = functional.pad(x, (0, 0, 0, height)).reshape(*batch, height * (width + height), channels)
    return x[..., :-height, :].reshape(*batch, height, width + height - 1, channels)


def unskew(x: torch.Tensor, width: int) -> torch.Tensor:
    """Undo `skew`."""
    *batch, height, steps, channels = x.shape
    x = functional.pad(x.reshape(*batch, height * steps, channels), (0, 0, 0, height))
    return x.reshape(*batch, height, steps + 1, channels)[..., :width, :]


def _head(*sizes: int) -> nn.ModuleList:
    """Return 1x1 convolutions, each behind a ReLU."""
    return nn.ModuleList(nn.Conv2d(inputs, outputs, 1) for inputs, outputs in pairwise(sizes))


def _gate(maps: torch.Tensor) -> torch.Tensor:
    tanh, sigmoid = maps.chunk(2, dim=1)
    return torch.tanh(tanh) * torch.sigmoid(sigmoid)


def _behind(head: nn.ModuleList, y: torch.Tensor) -> torch.Tensor:
    for conv in head:
        y = conv(torch.relu(y))
    return y[:, 0]


def _put(parameter: torch.Tensor, array: np.ndarray) -> None:
    if tuple(parameter.shape) != array.shape:
        raise ValueError(f"{tuple(parameter.shape)} in PyTorch, {array.shape} in jaxgen")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(array)))


def _put_conv(conv: nn.Module, kernel: np.ndarray, bias: np.ndarray | None) -> None:
    """Take a kernel [H, W, I, O], or [I, O] of a 1x1 convolution."""
    kernel = kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)
    _put(conv.weight, kernel.transpose(3, 2, 0, 1))
    if bias is not None:
        _put(conv.bias, bias)


MODELS = {
    "nade": NADE,
    "nade_relu": partial(NADE, unit=torch.relu),
    "pixel_cnn": PixelCNN,
    "gated_pixel_cnn": GatedPixelCNN,
    "diagonal_bilstm": DiagonalBiLSTM,
}
