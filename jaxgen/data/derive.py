"""Fields that are made of others when a batch is prepared: pure functions of the image.

    low     [B, H/2, W/2, C], the image at half its resolution

A model of super-resolution is given 'low' and makes 'image'.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxgen.errors import ConfigError
from jaxgen.typing import Array


def low(image: Array) -> Array:
    """Return the image at half its resolution, each pixel the mean of 2 x 2: [B, H/2, W/2, C].

    Args:
      image: [B, H, W, C] with even H and W, in the form that the model sees: the mean lies in the
        same range.
    """
    num, height, width, channels = image.shape
    rows = height // 2
    columns = width // 2
    # [B, H, W, C] -> [B, H/2, 2, W/2, 2, C]: axes 2 and 4 run over the four pixels of a square
    squares = jnp.reshape(image, (num, rows, 2, columns, 2, channels))
    return squares.mean(axis=(2, 4))


DERIVED: Mapping[str, Callable[[Array], Array]] = {"low": low}


def derived(batch: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return a prepared batch with the named fields added; pure, may be jitted.

    Args:
      batch: 'image' [B, *shape] in the form that the model sees, and whatever else.
      names: of DERIVED.
    """
    found = dict(batch)
    for name in names:
        make = DERIVED[name]
        found[name] = make(batch["image"])
    return found


def check_derive(
    name: str,
    names: tuple[str, ...],
    shape: tuple[int, ...],
) -> None:
    """Check that a data set's images have what the fields are made of.

    Raises:
      ConfigError: 'low' of vectors, or of images with an odd side.
    """
    if "low" not in names:
        return
    if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
        raise ConfigError(
            f"--data.derive low: examples of {name!r} are {list(shape)}, expected images "
            "[height, width, channels] with even sides"
        )
