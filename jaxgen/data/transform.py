"""From stored values to what a model sees: pure functions that run inside the jitted step.

A stored value x lies in 0..levels-1. A likelihood is comparable between models only together with
the form of the data, so each transform also states how nats become bits per dimension:

    discrete forms      -log P(x) / (D ln 2)
    dequantise          -log p(y) / (D ln 2) + log2(levels),    y = (x + u) / levels
    unit, symmetric, continuous    no discrete probability belongs to the density: no such unit

Reference: Theis, van den Oord, Bethge, 2016, "A note on the evaluation of generative models",
section 3.1, arXiv 1511.01844.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.data.config import Transform
from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Key

T = TypeVar("T")


def apply_transform(
    batch: Mapping[str, Any],
    key: Key | None,
    *,
    transform: Transform,
    threshold: int | None = None,
    levels: int | None = None,
) -> dict[str, Any]:
    """Replace 'image' and 'other' by their float32 form; every other entry is passed on untouched.

    Args:
      batch: 'image' [B, ...], uint8 in 0..levels-1, or float32 for continuous data; where there are
        two sources also 'other' [B, ...] of the same kind.
      key: used by binarise_stochastic and dequantise alone; may be None for the others.
      transform: see `Data.transform`.
      threshold: for binarise, already resolved.
      levels: number of values of a pixel; None for continuous data.
    """
    form = partial(
        _transformed,
        transform=transform,
        threshold=threshold,
        levels=levels,
    )
    found = {**batch, "image": form(batch["image"], key)}
    if "other" in batch:
        # A key of its own: the noise of the two is independent.
        other_key = None if key is None else jax.random.fold_in(key, 1)
        found["other"] = form(batch["other"], other_key)
    return found


def _transformed(
    stored: Array,
    key: Key | None,
    *,
    transform: Transform,
    threshold: int | None,
    levels: int | None,
) -> jax.Array:
    """Return one image-like field, [B, ...], in its float32 form."""
    x = jnp.asarray(stored)
    real = x.astype(jnp.float32)
    match transform:
        case "binarise":
            ones = x >= _known("threshold", threshold)
            return ones.astype(jnp.float32)
        case "binarise_stochastic":
            largest = _known("levels", levels) - 1
            ones = jax.random.bernoulli(_known("key", key), real / largest)
            return ones.astype(jnp.float32)
        case "dequantise":
            noise = cell_noise(_known("key", key), x.shape)
            return (real + noise) / _known("levels", levels)
        case "unit":
            largest = _known("levels", levels) - 1
            return real / largest
        case "symmetric":
            largest = _known("levels", levels) - 1
            return 2 * real / largest - 1
        case "levels" | "none":
            return real


def _known(name: str, value: T | None) -> T:
    """Return an argument that the transform needs. Raises ConfigError where it is None."""
    if value is None:
        raise ConfigError(f"{name}: got None, expected a value, which this transform needs")
    return value


def cell_noise(key: Key, shape: tuple[int, ...]) -> jax.Array:
    """Draw uniform noise strictly inside (0, 1), on the grid (k + 1/2) / 2^15: float32 `shape`.

    A plain float32 uniform is too fine: 255 + u rounds up to 256 once in 2^17 pixels, which leaves
    [0, 1) and the pixel's own cell. On this grid x + u is exact for x < 256.
    """
    k = jax.random.bits(key, shape, jnp.uint16) >> 1
    return (k.astype(jnp.float32) + 0.5) * 2.0**-15


def resolve_threshold(
    transform: Transform, threshold: int | None, levels: int | None
) -> int | None:
    """Return the threshold that binarise uses; None for all other transforms."""
    if transform != "binarise" or levels is None:
        return None
    return levels // 2 if threshold is None else threshold


def check_transform(
    name: str, transform: Transform, threshold: int | None, levels: int | None
) -> None:
    """Raise ConfigError where the transform does not fit the values of the data set."""
    if levels is None and transform != "none":
        raise ConfigError(
            f"--data.transform {transform}: {name!r} is continuous and has no levels\n"
            "Use --data.transform none"
        )
    if threshold is None:
        return
    if transform != "binarise":
        raise ConfigError(
            f"--data.threshold {threshold} has no meaning with --data.transform {transform}\n"
            "Leave it out, or use --data.transform binarise"
        )
    if levels is not None and not 1 <= threshold < levels:
        raise ConfigError(
            f"--data.threshold {threshold}: pixels of {name!r} are 0..{levels - 1}\n"
            f"Choose 1 to {levels - 1}"
        )


def bits_offset(transform: Transform, levels: int | None) -> float | None:
    """Return bits per dimension to add to -log p / (D ln 2); None where there is no such unit."""
    if levels is None or transform in ("unit", "symmetric"):
        return None
    return math.log2(levels) if transform == "dequantise" else 0.0


def num_values(transform: Transform, levels: int | None) -> int | None:
    """Return how many values an element takes in this form; None for real numbers."""
    if transform in ("binarise", "binarise_stochastic"):
        return 2
    return levels if transform in ("levels", "none") else None


def value_range(transform: Transform, levels: int | None) -> tuple[float, float] | None:
    """Return the least and the largest value in this form; None for continuous data."""
    if levels is None:
        return None
    if transform in ("levels", "none"):
        return (0.0, levels - 1.0)
    return (-1.0, 1.0) if transform == "symmetric" else (0.0, 1.0)


def describe(
    transform: Transform,
    threshold: int | None,
    levels: int | None,
) -> str:
    """Return a few words for a protocol line, such as 'binarised at >= 8'."""
    return {
        "binarise": f"binarised at >= {threshold}",
        "binarise_stochastic": "binarised stochastically",
        "dequantise": "dequantised to [0, 1)",
        "levels": f"levels 0..{(levels or 1) - 1}",
        "unit": "scaled to [0, 1]",
        "symmetric": "scaled to [-1, 1]",
        "none": "untransformed",
    }[transform]


def display(
    x: np.ndarray,
    *,
    transform: Transform,
    levels: int | None,
) -> np.ndarray:
    """Bring what a model sees or makes, [N, *shape], to the scale of a picture: [0, 1]."""
    if transform == "symmetric":
        return (np.asarray(x) + 1) / 2
    scale = levels - 1 if levels and transform in ("levels", "none") else 1
    return np.asarray(x) / scale
