"""jaxgen: deep generative models as pure functions, each with its defining property proven."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Data", "Experiment", "Optimizer", "Settings", "__version__", "load", "train"]

if TYPE_CHECKING:
    from jaxgen.data import Data
    from jaxgen.experiment import Experiment, Optimizer, Settings
    from jaxgen.loop.train import train
    from jaxgen.runs.loaded import load

_HOMES = {
    "Data": "jaxgen.data",
    "Experiment": "jaxgen.experiment",
    "Optimizer": "jaxgen.experiment",
    "Settings": "jaxgen.experiment",
    "load": "jaxgen.runs.loaded",
    "train": "jaxgen.loop.train",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `jaxgen --help` need not wait for jax.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'jaxgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
