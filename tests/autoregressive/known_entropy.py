"""A trained model's cross-entropy on a set that is known exactly: over all states, no sampling."""

import jax
import numpy as np

from jaxgen.data.readers.synthetic import SETS
from jaxgen.experiment import Experiment
from jaxgen.loop import loop
from jaxgen.step import evaluation_variables


def excess(experiment: Experiment, folder) -> float:
    """Trains on chain or bars; KL(data || model) = cross-entropy - entropy, in nats."""
    state, known = loop.run(experiment, folder), SETS[experiment.data.name]
    states = (np.arange(2**16)[:, None] >> np.arange(16) & 1).reshape(-1, *known.shape)
    log_true = known.log_prob(states.astype(np.uint8))
    possible = np.isfinite(log_true)
    log_true, x = log_true[possible], states[possible].astype(np.float32)
    found = jax.jit(experiment.model.log_prob)(evaluation_variables(state), x)
    return float((np.exp(log_true) * (log_true - np.asarray(found, np.float64))).sum())
