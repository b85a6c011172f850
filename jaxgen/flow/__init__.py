"""Flows: exact densities by a change of variables, and samples in one pass."""

from jaxgen.flow.base import Flow
from jaxgen.flow.bijection import Bijection
from jaxgen.flow.coupling import AdditiveCouplings, AffineCouplings, Couplings
from jaxgen.flow.ica import ICA
from jaxgen.flow.linear import Diagonal, Linear
from jaxgen.flow.nice import NICE
from jaxgen.flow.real_nvp import RealNVP

__all__ = [
    "ICA",
    "NICE",
    "AdditiveCouplings",
    "AffineCouplings",
    "Bijection",
    "Couplings",
    "Diagonal",
    "Flow",
    "Linear",
    "RealNVP",
]
