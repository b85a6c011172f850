"""Blocks that two or more models use; no algorithm lives here."""

from jaxgen.arguments import require_positive
from jaxgen.nn.activation import activation
from jaxgen.nn.batch_norm import Norm, ReferenceNorm, WithReference, normalize
from jaxgen.nn.bias import add_bias
from jaxgen.nn.conv import Downsample, Upsample, depth_to_space
from jaxgen.nn.discriminator import Discriminator, MLPTrunk
from jaxgen.nn.generator import MLPGenerator
from jaxgen.nn.initializer import Initializer
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
    masked_kernel,
)
from jaxgen.nn.minibatch import MinibatchDiscrimination
from jaxgen.nn.mlp import MLP
from jaxgen.nn.passes import evaluation_pass, init_variables, train_pass
from jaxgen.nn.strided import Down, Up, down, up

__all__ = [
    "MLP",
    "Discriminator",
    "Down",
    "Downsample",
    "Initializer",
    "LSTMState",
    "MLPGenerator",
    "MLPTrunk",
    "MinibatchDiscrimination",
    "Norm",
    "ReferenceNorm",
    "Up",
    "Upsample",
    "WithReference",
    "activation",
    "add_bias",
    "broadcast_state",
    "causal_conv",
    "conv_by_lax",
    "conv_by_matmul",
    "conv_rows",
    "coordinates",
    "depth_to_space",
    "down",
    "evaluation_pass",
    "group_mask",
    "init_variables",
    "kernel_mask",
    "live_taps",
    "lstm",
    "masked_kernel",
    "normalize",
    "require_positive",
    "train_pass",
    "up",
]
