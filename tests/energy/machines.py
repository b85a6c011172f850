"""Machines of the energy tests: random parameters in float64, and their exact laws in NumPy."""

import itertools

import jax.numpy as jnp
import numpy as np

from jaxgen.energy import Bipartite


def machine(num_left, num_right, seed=0, std=1.0):
    """A machine with N(0, std^2) weights and biases, in float64, of NumPy."""
    random = np.random.default_rng(seed)
    shapes = ((num_left, num_right), (num_left,), (num_right,))
    return Bipartite(*(std * random.normal(size=shape) for shape in shapes))


def variables_of(found, **more):
    """The variables of an RBM with these parameters, in JAX's precision."""
    params = {"weight": found.weight, "visible": found.left, "hidden": found.right}
    return {"rbm": {"params": {name: jnp.asarray(x) for name, x in params.items()}}, **more}


def law(found):
    """p(x) of all left states, [2^L]."""
    joint = log_weights(found)
    return np.exp(log_sum(joint, 1) - log_sum(joint))


def states(num):
    """All states of binary units, [2^num, num]."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=num)))


def log_weights(found):
    """-E of all pairs of states, [2^L, 2^R], by the definition."""
    x, y = states(found.weight.shape[0]), states(found.weight.shape[1])
    return (x @ found.left)[:, None] + (y @ found.right)[None] + x @ found.weight @ y.T


def log_sum(values, axis=None):
    """The log of the sum of exponentials."""
    return (
        np.logaddexp.reduce(values, axis=axis) if axis is not None else log_sum(values.ravel(), 0)
    )
