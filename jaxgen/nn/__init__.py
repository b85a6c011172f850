"""Blocks that two or more models use; no algorithm lives here."""

from jaxgen.nn.activation import activation
from jaxgen.nn.conv import Downsample, Upsample, depth_to_space
from jaxgen.nn.masked import MaskedConv, causal_conv, group_mask, kernel_mask
from jaxgen.nn.mlp import MLP
from jaxgen.nn.sizes import require_positive

__all__ = [
    "MLP",
    "Downsample",
    "MaskedConv",
    "Upsample",
    "activation",
    "causal_conv",
    "depth_to_space",
    "group_mask",
    "kernel_mask",
    "require_positive",
]
