"""An experiment as plain data: a model, its data, its optimisers and the settings of a run."""

from jaxgen.experiment.experiment import RULES, CommonFlags, Experiment, Settings
from jaxgen.experiment.fit import require_fit
from jaxgen.experiment.optimizer import Optimizer

__all__ = ["RULES", "CommonFlags", "Experiment", "Optimizer", "Settings", "require_fit"]
