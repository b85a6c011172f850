"""Blocks that two or more models use; no algorithm lives here."""

from jaxgen.nn.activation import activation
from jaxgen.nn.conv import Downsample, Upsample, depth_to_space
from jaxgen.nn.mlp import MLP
from jaxgen.nn.sizes import require_positive

__all__ = ["MLP", "Downsample", "Upsample", "activation", "depth_to_space", "require_positive"]
