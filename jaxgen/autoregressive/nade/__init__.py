"""NADE: `model.py` is the model, `recursion.py` its hidden units and their gradient."""

from jaxgen.autoregressive.nade.model import INITIAL_STD, NADE
from jaxgen.autoregressive.nade.recursion import hidden_dots

__all__ = ["INITIAL_STD", "NADE", "hidden_dots"]
