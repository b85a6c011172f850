"""Maximum likelihood of tables in closed form: conditional frequencies."""

import numpy as np
from jaxtyping import Num

from jaxgen.autoregressive.tabular.joint_table import JointTable
from jaxgen.autoregressive.tabular.markov_chain import MarkovChain
from jaxgen.autoregressive.tabular.table import place_values, table_variables
from jaxgen.typing import Array, Variables

_LARGEST_LOGIT = 30.0  # exp(-30) is 1e-13: a count of zero


def fit(
    model: MarkovChain | JointTable,
    x: Num[Array, "n ..."],
    smoothing: float = 0.0,
) -> Variables:
    """Return the maximum-likelihood table in closed form: frequencies.

    Args:
      model: of the family.
      x: [N, *shape], whole levels.
      smoothing: Laplace's alpha, added to every count. Without it a value that never occurs after
        a prefix gets probability 1e-13, and a prefix that never occurs the uniform distribution.
    """
    elements = np.asarray(x).reshape(len(x), -1)  # [N, *shape] -> [N, n]
    values = elements[:, model.order].astype(np.int64)
    if isinstance(model, JointTable):
        states = values @ place_values(model.levels, values.shape[1])
        counts = np.bincount(states, minlength=model.num_parameters + 1) + smoothing
        return table_variables(_log_ratio(counts[1:], counts[:1]))
    counts = _transitions(model, values) + smoothing
    return table_variables(_log_ratio(counts[:, 1:], counts[:, :1]))


def _transitions(model: MarkovChain, values: np.ndarray) -> np.ndarray:
    """Return how often each value follows each window, [rows, m], in values [N, n] as drawn."""
    num_rows = model.num_parameters // (model.levels - 1)
    counts = np.zeros((num_rows, model.levels))
    context = np.zeros(len(values), np.int64)
    for t, value in enumerate(values.T):
        # `counts[rows, value] += 1` would count a pair that occurs twice once.
        rows = model.first_row(t) + context
        np.add.at(counts, (rows, value), 1)
        context = (context * model.levels + value) % model.levels**model.window
    return counts


def _log_ratio(
    counts: np.ndarray,
    reference: np.ndarray,
) -> np.ndarray:
    """Return log(counts / reference) within the largest logit; 0 where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(np.log(counts) - np.log(reference), nan=0.0)
    return np.clip(ratio, -_LARGEST_LOGIT, _LARGEST_LOGIT)
