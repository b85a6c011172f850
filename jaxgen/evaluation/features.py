"""Features that examples are compared by: those of a classifier, raw values, or your own.

Distances between sets of examples depend on the features more than on anything else, so that an
extractor carries its description with it, which goes into the protocol of every number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from jaxtyping import Float

from jaxgen.errors import NonFiniteError
from jaxgen.evaluation.per_example import per_example
from jaxgen.typing import Array, Key

MAX_RAW = 1024  # values of an example; the covariance of more takes minutes


@final
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
    """Return features of all examples and the logarithms of their class posteriors, if any.

    Raises NonFiniteError if a feature is not finite: no distance could be told.
    """

    def batch(x: Array, key: Key) -> dict[str, Any]:
        del key  # features are no draws
        features, log_posterior = extractor.function(x)
        found = {"features": features}
        if log_posterior is not None:
            found["log_posterior"] = log_posterior
        return found

    found = per_example(batch, x, jax.random.key(0))
    if not np.isfinite(found["features"]).all():
        raise NonFiniteError(f"a feature is not finite ({extractor.description})")
    return found["features"], found.get("log_posterior")


def raw_values(shape: tuple[int, ...]) -> Extractor:
    """Return the values of an example; of a large image the means of square blocks of it."""
    side = _block_side(shape)
    if side == 1:
        return Extractor("raw values", _values)

    def blocks(x: np.ndarray) -> tuple[np.ndarray, None]:
        below = -shape[0] % side
        right = -shape[1] % side
        x = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), mode="edge")
        num, height, width, channels = x.shape
        # [B, H, W, C] -> [B, H / s, s, W / s, s, C] -> [B, H / s, W / s, C]
        x = x.reshape(num, height // side, side, width // side, side, channels)
        x = x.mean(axis=(2, 4))
        return x.reshape(num, -1), None

    return Extractor(f"raw values, means of {side} x {side} pixels", blocks)


def _values(x: np.ndarray) -> tuple[np.ndarray, None]:
    """Return the examples as vectors, [B, D]."""
    return x.reshape(len(x), -1), None


def _block_side(shape: tuple[int, ...]) -> int:
    """Return the smallest side of the blocks with which an image has at most MAX_RAW values."""
    if len(shape) != 3:
        return 1
    height, width, channels = shape
    largest = max(height, width)
    for side in range(1, largest + 1):
        rows = math.ceil(height / side)
        columns = math.ceil(width / side)
        if rows * columns * channels <= MAX_RAW:
            return side
    return largest
