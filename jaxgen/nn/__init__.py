"""Blocks that two or more models use; no algorithm lives here."""

from jaxgen.nn.activation import activation
from jaxgen.nn.conv import Downsample, Upsample, depth_to_space
from jaxgen.nn.lstm import LSTMState, broadcast_state, lstm
from jaxgen.nn.masked import (
    causal_conv,
    conv_by_lax,
    conv_by_matmul,
    conv_rows,
    coordinates,
    group_mask,
    kernel_mask,
    live_taps,
)
from jaxgen.nn.masked_kernel import masked_kernel
from jaxgen.nn.mlp import MLP
from jaxgen.nn.sizes import require_positive

__all__ = [
    "MLP",
    "Downsample",
    "LSTMState",
    "Upsample",
    "activation",
    "broadcast_state",
    "causal_conv",
    "conv_by_lax",
    "conv_by_matmul",
    "conv_rows",
    "coordinates",
    "depth_to_space",
    "group_mask",
    "kernel_mask",
    "live_taps",
    "lstm",
    "masked_kernel",
    "require_positive",
]
