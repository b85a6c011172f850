"""The denoising diffusion probabilistic model: a network that takes noise away a little at a time.

An example is turned into noise in T small steps, x_0 -> x_1 -> ... -> x_T (`process.py`). Each step
back is almost Gaussian, and all that it needs is the mean of what x_0 may have been: a network e
guesses the noise in x_t, whence r(x_t, t) = (x_t - sqrt(1 - ab_t) e) / sqrt(ab_t), and

    p(x_{t-1} | x_t) = N(c_t r + d_t x_t, s_t^2 I),    p(x_T) = N(0, I).

It is a deep latent variable model whose encoder is fixed, with the bound

    -log p(x_0) <= KL(q(x_T | x_0) || p(x_T)) - E log p(x_0 | x_1)
                   + sum_{t=2}^T E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)).

'bound' minimises this, one term an example, weighted by their number; 'simple' drops its weights,

    L_simple = E_{t, x_0, noise} mean || noise - e(x_t, t) ||^2,

which makes better samples and a worse bound. A sample takes T passes of the network, or the few of
`ddim.py`, which is a sampler on the same parameters: `dataclasses.replace(model, ddim=DDIM(50))`.

Ho, Jain & Abbeel, 2020, "Denoising diffusion probabilistic models" (arXiv 2006.11239), algorithms 1
and 2; Sohl-Dickstein et al., 2015, "Deep unsupervised learning using nonequilibrium thermodynamics"
(arXiv 1503.03585).

*Differs from the paper:* no dropout; the time is told as 1000 t / T. The last move of a chain has
no noise, as in the paper, so that samples are the modes of p(x_0 | x_1), not its draws.
"""

from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from jaxgen.arguments import require_positive, require_within
from jaxgen.diffusion import marked, reverse
from jaxgen.diffusion.ddim import DDIM
from jaxgen.diffusion.ddpm import decoder
from jaxgen.diffusion.ddpm.bound import prior_term, step_term
from jaxgen.diffusion.ddpm.networks import TIMES
from jaxgen.diffusion.process import (
    Process,
    cleaned,
    diffused,
    process,
    require_schedule,
)
from jaxgen.diffusion.reverse import Ancestral, Denoiser, Moves, require_variance
from jaxgen.errors import ConfigError
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

OBJECTIVES = ("simple", "bound")


@final
@dataclass(frozen=True)
class DDPM:
    """A diffusion model.

    Attributes:
      shape: of one example.
      network: (x_t [B, *shape], time [B] in 0 .. 1000) -> the noise in it, [B, *shape].
      levels: L; examples are whole levels 0 .. L - 1, which the network sees in [-1, 1]. None: real
        numbers, of a size near 1.
      num_steps: T.
      schedule: 'linear' or 'cosine'.
      variance: s_t^2, 'large' or 'small'.
      objective: 'simple' or 'bound'.
      clip: keep guesses of x_0 in [-1, 1] where examples have levels, in samples and in `elbo`.
      ddim: samples are drawn by it; None: by ancestral sampling.
    """

    shape: tuple[int, ...]
    network: nn.Module
    levels: int | None = None
    num_steps: int = 1000
    schedule: str = "linear"
    variance: str = "large"
    objective: str = "simple"
    clip: bool = True
    ddim: DDIM | None = None

    def __post_init__(self) -> None:
        require_positive(shape=self.shape)
        require_schedule(self.schedule, self.num_steps)
        require_variance(self.variance)
        if self.levels is not None:
            require_within(2, 256, levels=self.levels)
        if self.objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ConfigError(f"objective: got {self.objective!r}, expected one of {known}")
        if self.ddim is not None and self.ddim.steps > self.num_steps:
            raise ConfigError(
                f"ddim.steps: got {self.ddim.steps}, expected at most num_steps, {self.num_steps}"
            )

    @property
    def values(self) -> int | None:
        """The number of values that an element takes; None for real numbers."""
        return self.levels

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value of an element."""
        infinite = float("inf")
        return (-infinite, infinite) if self.levels is None else (0.0, self.levels - 1.0)

    @property
    def process(self) -> Process:
        """The coefficients of the forward process."""
        return process(self.schedule, self.num_steps)

    @property
    def moves(self) -> Moves:
        """The moves of a sample's chain."""
        sampler = self.ddim or Ancestral(self.variance)
        return sampler.moves(self.process)

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'denoiser'}."""
        x = jnp.zeros((1, *self.shape))
        variables = self.network.init(key, x, jnp.zeros(1, x.dtype))
        return {"denoiser": kept(self.network, variables)}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("ddpm", ("denoiser",), self.ddpm_loss, tx),)

    def ddpm_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return L_simple, or the bound in nats, of one drawn step for each example, [].

        The guesses of the bound are not clipped here: a clipped one has no gradient.
        """
        y = decoder.normalize(batch["image"], self.levels)
        time_key, noise_key = jax.random.split(key)
        t = jax.random.randint(time_key, (len(y),), 1, self.num_steps + 1)
        if self.objective == "simple":
            return self.squared_error_of_noise(variables, y, t, noise_key).mean(), ({}, {})
        drawn = self.num_steps * self.term(variables, y, t, noise_key, clip=False)
        return (prior_term(self.process, y) + drawn).mean(), ({}, {})

    def squared_error_of_noise(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
        t: Int[Array, " b"],
        key: Key,
    ) -> Float[jax.Array, " b"]:
        """Return the mean over elements of (noise - e(x_t, t))^2, x_t drawn from q(x_t | y)."""
        noise = jax.random.normal(key, y.shape, y.dtype)
        noisy = diffused(self.process, y, noise, t)
        squares = jnp.square(noise - self.noise(variables, noisy, t))
        return squares.reshape(len(y), -1).mean(axis=1)

    def noise(
        self,
        variables: Variables,
        noisy: Float[Array, "b ..."],
        t: Int[Array, "..."],
    ) -> Float[jax.Array, "b ..."]:
        """Return e(x_t, t) at times t, [B] or one for all."""
        time = jnp.asarray(t, noisy.dtype) * (TIMES / self.num_steps)
        times = jnp.broadcast_to(time, (len(noisy),))
        return jnp.asarray(self.network.apply(variables["denoiser"], noisy, times))

    def denoised(
        self,
        variables: Variables,
        noisy: Float[Array, "b ..."],
        t: Int[Array, "..."],
        *,
        clip: bool,
    ) -> Float[jax.Array, "b ..."]:
        """Return r(x_t, t), the guess of x_0 as the chain sees it."""
        noise = self.noise(variables, noisy, t)
        clean = cleaned(self.process, noisy, noise, t)
        return jnp.clip(clean, -1, 1) if clip and self.levels is not None else clean

    def term(
        self,
        variables: Variables,
        y: Float[Array, "b ..."],
        t: Int[Array, " b"],
        key: Key,
        *,
        clip: bool,
    ) -> Float[jax.Array, " b"]:
        """Return the term of the bound at times t in 1 .. T, in nats, by one draw of x_t."""
        noise = jax.random.normal(key, y.shape, y.dtype)
        noisy = diffused(self.process, y, noise, t)
        clean = self.denoised(variables, noisy, t, clip=clip)
        return step_term(self.process, self.variance, self.levels, y, noisy, clean, t)

    def bound_terms(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
    ) -> Float[jax.Array, "t b"]:
        """Return all terms of the bound in nats, [T + 1, B]: the prior's, then t = 1 .. T.

        Their sum is minus `elbo`, by one draw for each term.
        """
        y = decoder.normalize(x, self.levels)
        times = jnp.arange(1, self.num_steps + 1)

        def of_time(t: jax.Array) -> jax.Array:
            own = jax.random.fold_in(key, t)
            return self.term(variables, y, jnp.full(len(y), t), own, clip=self.clip)

        terms = jax.lax.map(of_time, times)
        return jnp.concatenate([prior_term(self.process, y)[None], terms])

    def elbo(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
        num_samples: int = 1,
    ) -> Float[jax.Array, " b"]:
        """Return an unbiased estimate of the bound of log p(x) per example, in nats.

        Args:
          variables: of the model.
          x: examples.
          key: of the draws.
          num_samples: steps that are drawn of t = 2 .. T, one from each of so many equal parts, a
            pass of the network for each; the first step, whose term is the largest, is always one.
        """
        y = decoder.normalize(x, self.levels)
        first_key, key = jax.random.split(key)
        ones = jnp.ones(len(y), jnp.int32)
        first = self.term(variables, y, ones, first_key, clip=self.clip)
        others = self.num_steps - 1
        if not others:
            return -(prior_term(self.process, y) + first)

        def drawn(part: jax.Array) -> jax.Array:
            time_key, noise_key = jax.random.split(jax.random.fold_in(key, part))
            share = (part + jax.random.uniform(time_key, (len(y),))) / num_samples
            t = jnp.minimum(2 + (others * share).astype(jnp.int32), self.num_steps)
            return self.term(variables, y, t, noise_key, clip=self.clip)

        terms = jax.lax.map(drawn, jnp.arange(num_samples))  # [S, B]
        return -(prior_term(self.process, y) + first + others * terms.mean(axis=0))

    def denoiser(self, variables: Variables) -> Denoiser:
        """Return the guess of x_0 as a function of x_t [B, *shape] and t []."""

        def denoise(noisy: jax.Array, t: jax.Array) -> jax.Array:
            return self.denoised(variables, noisy, t, clip=self.clip)

        return denoise

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return the ends of `num` reverse chains, [num, *shape]; levels are rounded."""
        start_key, key = jax.random.split(key)
        start = jax.random.normal(start_key, (num, *self.shape))
        end = reverse.run(self.moves, self.denoiser(variables), key, start)
        return decoder.rounded(end, self.levels)

    def chain(
        self,
        variables: Variables,
        key: Key,
        num: int,
        points: int,
    ) -> Float[jax.Array, "b p ..."]:
        """Return the chains of the samples of that key at `points` times, [num, points, *shape].

        The first is noise and the last the sample, not rounded; both are on the scale of the data.
        """
        start_key, key = jax.random.split(key)
        start = jax.random.normal(start_key, (num, *self.shape))
        moves = self.moves
        marks = marked.even_marks(len(moves.time), points)
        found = reverse.states(moves, self.denoiser(variables), key, start, marks)
        # [P, B, *shape] -> [B, P, *shape]
        return decoder.denormalize(jnp.moveaxis(found, 0, 1), self.levels)
