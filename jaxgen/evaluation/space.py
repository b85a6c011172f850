"""The space of samples: is it that of the real examples which they are compared with?"""

import numpy as np
from jaxtyping import Shaped

from jaxgen.errors import DataError
from jaxgen.fields import within
from jaxgen.typing import Array

_PREPARED = 1.0  # the most that examples have in the forms `unit` and `symmetric`


def require_same_space(
    samples: Shaped[Array, "n ..."],
    reference: Shaped[Array, "m ..."],
    bounds: tuple[float, float] | None,
) -> None:
    """Look whether samples have the form of the data: no bytes beside numbers in [0, 1].

    Args:
      samples: of a model.
      reference: real examples.
      bounds: of both, where they are known and samples have any.

    Raises:
      DataError: they have not; names a value. One that is NaN is left to who measures.
    """
    samples = np.asarray(samples)
    reference = np.asarray(reference)
    if bounds is not None:
        low, high = bounds
        outside = ~within(samples, low, high)
        if outside.any():
            raise DataError(
                f"samples: got {samples[outside][0]:g}, but real examples lie in "
                f"{low:g} .. {high:g}\nTry: samples in the form of the data; for a model whose "
                "samples have no bounds dataclasses.replace(real, range=None)"
            )
    prepared = np.abs(reference).max() <= _PREPARED and not _are_whole(reference)
    if prepared and _are_whole(samples) and np.abs(samples).max() > _PREPARED:
        raise DataError(
            f"samples: whole numbers up to {samples.max():g}, but real examples lie in "
            f"{reference.min():g} .. {reference.max():g}\nTry: samples in the form of the data"
        )


def _are_whole(x: np.ndarray) -> bool:
    """Return whether all values are whole numbers."""
    return bool((x == np.rint(x)).all())
