"""A chain of moves in one compiled loop, seen at some of its times."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

State = TypeVar("State")  # an array, or a tuple of them


def states(
    move: Callable[[jax.Array, State], State],
    start: State,
    marks: tuple[int, ...],
) -> State:
    """Return a chain as it is after so many of its moves, stacked: [P, ...] for each array.

    Args:
      move: (number of the move [], state) -> the next state.
      start: the state before the first move.
      marks: numbers of moves, not falling, P of them.
    """
    starts = (0, *marks[:-1])
    ends = np.stack([starts, marks], axis=1)  # [P, 2]

    def segment(state: State, limits: jax.Array) -> tuple[State, State]:
        state = jax.lax.fori_loop(limits[0], limits[1], move, state)
        return state, state

    _, found = jax.lax.scan(segment, start, jnp.asarray(ends))
    return found


def even_marks(
    num_moves: int,
    points: int,
) -> tuple[int, ...]:
    """Return numbers of moves at equal distances, the first 0 and the last all of them."""
    marks = np.rint(np.linspace(0, num_moves, points)).astype(int)
    return tuple(int(mark) for mark in marks)
