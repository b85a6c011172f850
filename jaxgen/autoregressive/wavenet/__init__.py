"""WaveNet: `model.py` the model, `dilated.py` its network, `sampler.py` the rings it samples on."""

from jaxgen.autoregressive.wavenet.dilated import DilatedStack
from jaxgen.autoregressive.wavenet.model import WaveNet, build

__all__ = ["DilatedStack", "WaveNet", "build"]
