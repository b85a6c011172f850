"""The figures of a validation: of the average, but for those of a game, which its players play."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from jaxgen.data import from_arrays
from jaxgen.loop.validate import validate


def test_signs_of_collapse_are_those_of_the_parameters_whatever_the_average():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    model = tiny.experiment("f gan").model
    state = tiny.fresh("f gan")
    grey = {**state.ema, "generator": jax.tree.map(jnp.zeros_like, state.ema["generator"])}
    found = validate(model, state.replace(ema=grey), from_arrays(x))
    assert found["diversity"] > 0.1
    assert found["diversity"] == validate(model, state, from_arrays(x))["diversity"]
    alike = state.replace(variables={**state.variables, "generator": grey["generator"]})
    assert validate(model, alike, from_arrays(x))["diversity"] < 1e-6
