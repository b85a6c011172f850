"""The deep Boltzmann machine: `model.py` is the machine, `pretraining.py` a layer at a time."""

from jaxgen.energy.dbm.model import DBM
from jaxgen.energy.dbm.pretraining import DBMLayer, layers

__all__ = ["DBM", "DBMLayer", "layers"]
