"""What examples are compared by: the features of a classifier, raw values, or the caller's own.

Distances between sets of examples depend on the features more than on anything else, so that an
extractor carries its description with it, which goes into the protocol of every number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxgen.errors import NonFiniteError
from jaxgen.evaluation.likelihood import per_example
from jaxgen.typing import Array

MAX_RAW = 1024  # values of an example; the covariance of more takes minutes


@dataclass(frozen=True)
class Extractor:
    """A feature function and what it is.

    Attributes:
      description: for the protocol: which network, its weights and their accuracy.
      function: x [B, *shape] -> (features [B, F], log p(y | x) [B, K], or None without classes). It
        sees batches of one size.
    """

    description: str
    function: Callable[[Any], tuple[Any, Any | None]]


def extract(
    extractor: Extractor, x: Float[Array, "n ..."]
) -> tuple[Float[np.ndarray, "n f"], Float[np.ndarray, "n k"] | None]:
    """Features of all examples and the logarithms of their class posteriors, if there are any.

    Raises NonFiniteError if a feature is not finite: no distance could be told.
    """

    def batch(x, key):
        del key  # features are no draws
        features, log_posterior = extractor.function(x)
        found = {"features": features}
        return found if log_posterior is None else found | {"log_posterior": log_posterior}

    found = per_example(batch, x, jax.random.key(0))
    if not np.isfinite(found["features"]).all():
        raise NonFiniteError(f"a feature is not finite ({extractor.description})")
    return found["features"], found.get("log_posterior")


def raw_values(shape: tuple[int, ...]) -> Extractor:
    """The values of an example themselves; of a large image the means of square blocks of it."""
    side = _block_side(shape)
    if side == 1:
        return Extractor("raw values", lambda x: (x.reshape(len(x), -1), None))

    def blocks(x):
        height, width = (-size % side for size in shape[:2])
        x = np.pad(x, ((0, 0), (0, height), (0, width), (0, 0)), mode="edge")
        x = x.reshape(len(x), x.shape[1] // side, side, x.shape[2] // side, side, x.shape[3])
        return x.mean(axis=(2, 4)).reshape(len(x), -1), None

    return Extractor(f"raw values, means of {side} x {side} pixels", blocks)


def _block_side(shape):
    """The smallest side of the blocks with which an image has at most MAX_RAW values."""
    if len(shape) != 3:
        return 1
    height, width, channels = shape
    sides = range(1, max(height, width) + 1)
    few = (s for s in sides if math.ceil(height / s) * math.ceil(width / s) * channels <= MAX_RAW)
    return next(few, max(height, width))
