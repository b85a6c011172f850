"""Reverse chains: from noise to an example, by a denoiser.

Each move goes from a time t to an earlier one, s, by a guess r(x_t, t) of the example,

    x_s = a r(x_t, t) + b x_t + std noise,

and a sampler is the table of (t, a, b, std) of its moves: ancestral sampling and DDIM differ in
nothing else. The whole chain is one compiled loop.

Ancestral sampling draws from p(x_{t-1} | x_t) = N(c_t r + d_t x_t, s_t^2), whose mean is that of
q(x_{t-1} | x_t, x_0) with the guess in the place of x_0 (`process.py`). Its last move has no noise.

Ho, Jain & Abbeel, 2020 (arXiv 2006.11239), algorithm 2.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.diffusion import marked
from jaxgen.diffusion.process import Process, reverse_variance
from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Key

VARIANCES = ("large", "small")

# (x_t [B, ...], t []) -> the guess of x_0, [B, ...]
Denoiser = Callable[[jax.Array, jax.Array], jax.Array]


class Moves(NamedTuple):
    """The moves of a reverse chain, the first one first; [S] each.

    Attributes:
      time: t before the move.
      of_clean: a, of the guess.
      of_noisy: b, of x_t.
      std: of the noise that is added.
    """

    time: np.ndarray
    of_clean: np.ndarray
    of_noisy: np.ndarray
    std: np.ndarray


class ReverseChain(ABC):
    """A way back from noise; concrete ones are frozen dataclasses."""

    @abstractmethod
    def moves(self, found: Process) -> Moves:
        """Return the table of the moves through a process."""


def require_variance(variance: str) -> None:
    """Raise ConfigError unless there is such a variance."""
    if variance not in VARIANCES:
        known = ", ".join(VARIANCES)
        raise ConfigError(f"variance: got {variance!r}, expected one of {known}")


@final
@dataclass(frozen=True)
class Ancestral(ReverseChain):
    """Draws from p(x_{t-1} | x_t), through all T steps.

    Attributes:
      variance: 'large' or 'small', see `process.reverse_variance`.
    """

    variance: str = "large"

    def __post_init__(self) -> None:
        require_variance(self.variance)

    def moves(self, found: Process) -> Moves:
        """Return the table of the moves: all T of them."""
        time = np.arange(found.num_steps, 0, -1)
        std = np.sqrt(reverse_variance(found, self.variance)[time])
        std[-1] = 0.0
        return Moves(time, found.of_clean[time], found.of_noisy[time], std)


def run(
    moves: Moves,
    denoise: Denoiser,
    key: Key,
    start: Float[Array, "b ..."],
) -> Float[jax.Array, "b ..."]:
    """Return the end of a chain that begins at x_T = `start`."""
    return states(moves, denoise, key, start, (len(moves.time),))[0]


def states(
    moves: Moves,
    denoise: Denoiser,
    key: Key,
    start: Float[Array, "b ..."],
    marks: tuple[int, ...],
) -> Float[jax.Array, "p b ..."]:
    """Return a chain as it is after so many of its moves.

    Args:
      moves: of the chain.
      denoise: guesses x_0.
      key: of the noise.
      start: x_T.
      marks: numbers of moves, not falling, P of them.
    """
    dtype = start.dtype
    time = jnp.asarray(moves.time)
    of_clean = jnp.asarray(moves.of_clean, dtype)
    of_noisy = jnp.asarray(moves.of_noisy, dtype)
    std = jnp.asarray(moves.std, dtype)

    def move(i: jax.Array, x: jax.Array) -> jax.Array:
        noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, dtype)
        mean = of_clean[i] * denoise(x, time[i]) + of_noisy[i] * x
        return mean + std[i] * noise

    return marked.states(move, jnp.asarray(start), marks)
