"""Flows: exact densities by a change of variables, and samples in one pass."""

from jaxgen.flow.base import Flow
from jaxgen.flow.bijection import Bijection
from jaxgen.flow.coupling import AffineCouplings, Couplings
from jaxgen.flow.real_nvp import RealNVP

__all__ = [
    "AffineCouplings",
    "Bijection",
    "Couplings",
    "Flow",
    "RealNVP",
]
