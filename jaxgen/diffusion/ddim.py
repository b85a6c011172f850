"""DDIM: another way back from noise, through fewer steps, on the parameters of a DDPM.

The loss of a DDPM knows only q(x_t | x_0), which many processes share. In one of them, for times
t > s, the move back by a guess r of x_0 is

    x_s = sqrt(ab_s) r + sqrt(1 - ab_s - std^2) e + std noise,
    e   = (x_t - sqrt(ab_t) r) / sqrt(1 - ab_t),
    std = eta sqrt((1 - ab_s) / (1 - ab_t)) sqrt(1 - ab_t / ab_s).

With eta = 0 nothing is drawn but x_T: the chain is a function of it, the steps of an ordinary
differential equation, which can also be followed forwards: `encode` gives an image its noise. With
eta = 1 and all steps it is ancestral sampling of the small variance.

Song, Meng & Ermon, 2021, "Denoising diffusion implicit models" (arXiv 2010.02502), equations 12 and
16. Times are those of the paper's code: 1, 1 + T // S, ...
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.arguments import require_within
from jaxgen.diffusion.process import MOST_STEPS, Process
from jaxgen.diffusion.reverse import Denoiser, Moves, ReverseChain
from jaxgen.typing import Array


@final
@dataclass(frozen=True)
class DDIM(ReverseChain):
    """Moves through some of the steps, with as much noise as one likes.

    Attributes:
      steps: S, at most T; about so many moves are made where S does not divide T.
      eta: 0 for none, 1 for as much as ancestral sampling has.
    """

    steps: int = 50
    eta: float = 0.0

    def __post_init__(self) -> None:
        require_within(1, MOST_STEPS, steps=self.steps)
        require_within(0, 1, eta=self.eta)

    def moves(self, found: Process) -> Moves:
        """Return the table of the moves."""
        later, earlier = self.times(found)
        signal = found.signal[later]
        spread = found.noise[later]
        left = (found.noise[earlier] / spread) ** 2
        drawn = 1 - (signal / found.signal[earlier]) ** 2
        std = self.eta * np.sqrt(left * drawn)
        # Of e; rounding may leave a little less than 0.
        direction = np.sqrt(np.maximum(found.noise[earlier] ** 2 - std**2, 0))
        of_clean = found.signal[earlier] - direction * signal / spread
        return Moves(later, of_clean, direction / spread, std)

    def times(self, found: Process) -> tuple[np.ndarray, np.ndarray]:
        """Return the times before and after each move, [S] each, the first move first."""
        stride = max(found.num_steps // self.steps, 1)
        later = np.arange(1, found.num_steps + 1, stride)[::-1]
        earlier = np.append(later[1:], 0)
        return later, earlier


def encode(
    sampler: DDIM,
    found: Process,
    denoise: Denoiser,
    x: Float[Array, "b ..."],
) -> Float[jax.Array, "b ..."]:
    """Return the noise that the chain without noise makes x of, up to the size of its steps.

    Args:
      sampler: its times.
      found: the process.
      denoise: guesses x_0 from (x_t, t).
      x: examples, as the chain sees them.
    """
    later, earlier = (times[::-1] for times in sampler.times(found))
    # At t = 0 there is no noise to be guessed: the guess is that of the first time after it.
    seen = np.maximum(earlier, later[0])
    dtype = x.dtype
    spread = found.noise[seen]
    ratio = found.noise[later] / spread
    of_clean = found.signal[later] - ratio * found.signal[seen]
    # x itself is taken for x_t at the first time, where it has lost next to nothing.
    table = (jnp.asarray(seen), jnp.asarray(of_clean, dtype), jnp.asarray(ratio, dtype))

    def move(
        x: jax.Array,
        row: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, None]:
        t, of_clean, of_noisy = row
        return of_clean * denoise(x, t) + of_noisy * x, None

    end, _ = jax.lax.scan(move, jnp.asarray(x), table)
    return end
