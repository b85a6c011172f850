"""A path of distributions, from one whose normaliser is known to one whose is not."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxgen.typing import Array, Key


class Path(NamedTuple):
    """Unnormalised distributions f_beta over states [R, ...], f_0 known and f_1 the target.

    Attributes:
      log_base: log Z of f_0, [].
      start: (key, num) -> `num` independent draws from f_0.
      log_density: (states, beta) -> log f_beta, [R].
      move: (key, states, beta) -> states [R, ...] after a transition that leaves f_beta as it is.
    """

    log_base: Array
    start: Callable[[Key, int], jax.Array]
    log_density: Callable[[jax.Array, Array], jax.Array]
    move: Callable[[Key, jax.Array, Array], jax.Array]
