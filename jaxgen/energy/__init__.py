"""Energy-based models: densities up to a constant, and what is done about the constant."""

from jaxgen.energy.base import BoltzmannMachine
from jaxgen.energy.bipartite import Bipartite
from jaxgen.energy.dbm.model import DBM
from jaxgen.energy.dbm.pretraining import DBMLayer
from jaxgen.energy.nce import NCE
from jaxgen.energy.normal import DiagonalNormal, QuadraticEnergy
from jaxgen.energy.rbm import RBM

__all__ = [
    "DBM",
    "NCE",
    "RBM",
    "Bipartite",
    "BoltzmannMachine",
    "DBMLayer",
    "DiagonalNormal",
    "QuadraticEnergy",
]
