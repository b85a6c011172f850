"""Autoregressive models: one algorithm a file, all of them instances of `chain_rule`."""

from jaxgen.autoregressive.fvbn import FVBN
from jaxgen.autoregressive.ordering import Ordering

__all__ = [
    "FVBN",
    "Ordering",
]
