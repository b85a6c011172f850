"""The origin of a NaN: the first thing that is not finite in a step that was not taken."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.runs.checksums import not_finite
from jaxgen.step import TrainState

_SCALED = 10.0  # what is of size 1 has no larger values, but for rare ones


def explain(step: partial, state: TrainState, batch: Mapping[str, np.ndarray]) -> str:
    """Return one line: what is not finite, from the batch over the state to the gradients.

    Args:
      step: `partial(train_step, players, ...)`.
      state: that before the step.
      batch: arrays [B, ...], as the split gave them.
    """
    return _in_batch(batch) or _in_state(state) or _in_step(step, state, batch)


def remedy(model: Any, batch: Mapping[str, Any], levels: int | None) -> tuple[str, str]:
    """Return (a cause that is likely, or nothing; what to try).

    Data of another size than about 1 are a cause: gradients and log-scales are as large as they.

    Args:
      model: one of whole levels scales them itself.
      batch: as the model sees it.
      levels: of the data; None: real numbers.
    """
    observation = getattr(model, "observation", model)
    of_levels = getattr(observation, "values", None) is not None
    for name, values in batch.items():
        largest = _largest(np.asarray(values))
        if largest <= _SCALED or of_levels:
            continue
        cause = f"The data are not scaled: {name} has values up to {largest:.4g}. "
        if levels:
            return cause, "--data.transform dequantise, unit or symmetric"
        return cause, "data that are divided by their size"
    return "", "a smaller --optimizer.learning-rate, or --optimizer.clip-norm 1"


def _largest(values: np.ndarray) -> float:
    """Return the largest finite size of real numbers, 0 if there are none."""
    if not np.issubdtype(values.dtype, np.floating):
        return 0.0
    sizes = np.abs(values[np.isfinite(values)])
    return float(sizes.max(initial=0.0))


def _in_batch(batch: Mapping[str, np.ndarray]) -> str | None:
    """Return the example of the batch that is not finite."""
    for name, values in batch.items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values.reshape(len(values), -1)).all(axis=1)))
            return f"{name} of example {row} of the batch is not finite"
    return None


def _in_state(state: TrainState) -> str | None:
    """Return the array of the state that is not finite."""
    path = not_finite(state)
    return path and f"{path} was not finite before the step"


def _in_step(step: partial, state: TrainState, batch: Mapping[str, np.ndarray]) -> str:
    """Look at losses and gradients, by the same step with optimisers that keep the gradients."""
    players = tuple(replace(player, tx=_keeper()) for player in step.args[0])
    held = state.replace(opt_state={p.name: {} for p in players})
    try:
        new, metrics = jax.jit(partial(step.func, players, **step.keywords))(held, batch)
    except Exception:  # a loss that foresees moves needs the true optimisers
        new, metrics = jax.jit(step)(state, batch)
    terms = {name: float(np.asarray(value)) for name, value in metrics.items()}
    bad = [f"{name} is {value}" for name, value in terms.items() if not np.isfinite(value)]
    paths = []
    for player, gradients in new.opt_state.items():
        path = not_finite(gradients)
        if path:
            paths.append(f"{player}: the gradient of {path} is not finite")
    found = bad[:3] + paths[:1]
    return "; ".join(found) if found else _in_next_state(step, state, batch)


def _in_next_state(step: partial, state: TrainState, batch: Mapping[str, np.ndarray]) -> str:
    """Look at what comes of it: an optimiser may overflow, and so may statistics."""
    path = not_finite(jax.jit(step)(state, batch)[0])
    return f"{path} would not be finite" if path else "not finite, though not by itself"


def _keeper() -> optax.GradientTransformation:
    """Return an optimiser that moves nothing and whose state is the last gradient."""

    def init(params: optax.Params) -> optax.OptState:
        del params
        return {}

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, optax.OptState]:
        del state, params
        return jax.tree.map(jnp.zeros_like, updates), updates

    return optax.GradientTransformation(init, update)
