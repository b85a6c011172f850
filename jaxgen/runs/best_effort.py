"""Files that the next evaluation can use and this one can do without."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from jaxgen.errors import StorageError


@contextmanager
def best_effort() -> Iterator[None]:
    """Write in here what one can do without: a StorageError becomes a warning."""
    try:
        yield
    except StorageError as error:
        warnings.warn(f"{error}; left out", stacklevel=3)
