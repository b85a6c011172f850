"""Where a NaN comes from: the first thing that is not finite in a step that was not taken."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.seal import named_leaves, not_finite
from jaxgen.train import TrainState


def explain(step: partial, state: TrainState, batch: Mapping[str, np.ndarray]) -> str:
    """One line: what is not finite, from the batch over the state to losses and gradients.

    Args:
      step: `partial(train_step, players, ...)`.
      state: that before the step.
      batch: arrays [B, ...], as the split gave them.
    """
    return _in_batch(batch) or _in_state(state) or _in_step(step, state, batch)


def _in_batch(batch):
    for name, values in batch.items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
            return f"{name} of example {row} of the batch is not finite"
    return None


def _in_state(state):
    path = not_finite(state)
    return path and f"{path} was not finite before the step"


def _in_step(step, state, batch):
    """Losses and gradients, by the same step with optimisers that keep the gradients."""
    players = tuple(replace(player, tx=_keeper()) for player in step.args[0])
    held = state.replace(opt_state={p.name: {} for p in players})
    try:
        new, metrics = jax.jit(partial(step.func, players, **step.keywords))(held, batch)
    except Exception:  # a loss that foresees moves needs the true optimisers
        new, metrics = jax.jit(step)(state, batch)
    terms = {name: float(np.asarray(value)) for name, value in metrics.items()}
    bad = [f"{name} is {value}" for name, value in terms.items() if not np.isfinite(value)]
    paths = [
        f"{player}: the gradient of {path} is not finite"
        for player, gradients in new.opt_state.items()
        for path, leaf in named_leaves(gradients).items()
        if not bool(jnp.isfinite(leaf).all())
    ]
    found = bad[:3] + paths[:1]
    return "; ".join(found) if found else _in_next_state(step, state, batch)


def _in_next_state(step, state, batch):
    """An optimiser may overflow on gradients that do not, and so may statistics."""
    path = not_finite(jax.jit(step)(state, batch)[0])
    return f"{path} would not be finite" if path else "not finite, though not by itself"


def _keeper():
    """An optimiser that moves nothing and whose state is the last gradient."""

    def update(gradients, state, params=None):
        del state, params
        return jax.tree.map(jnp.zeros_like, gradients), gradients

    return optax.GradientTransformation(lambda params: {}, update)
