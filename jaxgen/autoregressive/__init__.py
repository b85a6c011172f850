"""Autoregressive models: one algorithm a file, all of them instances of `chain_rule`."""

from jaxgen.autoregressive.fvbn import FVBN
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.autoregressive.tabular import JointTable, MarkovChain

__all__ = [
    "FVBN",
    "JointTable",
    "MarkovChain",
    "Ordering",
]
