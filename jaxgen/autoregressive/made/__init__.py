"""MADE: `model.py` is the model, `masks.py` the degrees of its units and its masks."""

from jaxgen.autoregressive.made.masks import Masks, connect, dealt_degrees
from jaxgen.autoregressive.made.model import MADE

__all__ = ["MADE", "Masks", "connect", "dealt_degrees"]
