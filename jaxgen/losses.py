"""Losses of adversarial games: functions of logits, of features, of a critic.

A discriminator says D(x) = sigmoid(l(x)), the probability that x is real; here it is its logits l,
[B] or any other shape (never [B, 1] against [B]). Costs are minimised, and are means over all
entries. With V = E_p log D(x) + E_q log(1 - D(x)) of data p and samples q,

    max_D V = 2 JSD(p, q) - log 4     at     D*(x) = p(x) / (p(x) + q(x)),

and the generator's costs follow, at D* held fixed, the gradients of 2 JSD(p, q) (minimax), of
KL(q || p) - 2 JSD(p, q) (non-saturating) and of KL(p || q) (maximum likelihood).

Goodfellow et al., 2014, "Generative adversarial nets" (arXiv 1406.2661); Goodfellow, 2016, "NIPS
2016 tutorial: generative adversarial networks" (arXiv 1701.00160), section 3.2, whose factors 1/2
are left out; label smoothing, feature matching and historical averaging: Salimans et al., 2016,
"Improved techniques for training GANs" (arXiv 1606.03498). Least squares: Mao et al., 2016 (arXiv
1611.04076). Hinge: Lim & Ye, 2017; Miyato et al., 2018 (arXiv 1802.05957). Wasserstein: Arjovsky
et al., 2017 (arXiv 1701.07875); its gradient penalty: Gulrajani et al., 2017 (arXiv 1704.00028).
R1: Mescheder et al., 2018 (arXiv 1801.04406).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import softplus
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array

LARGEST_LOGIT = 20.0  # of maximum likelihood: exp of it; the heavy tail is the cost's own
_TINY = 1e-12  # inside a root, whose gradient at 0 is infinite

Logits = Float[Array, "..."]
Critic = Callable[[Array], Array]  # x [B, ...] -> logits [B]


def discriminator_cost(real: Logits, fake: Logits, *, smoothing: float = 0.0) -> jax.Array:
    """Return -E_p log D - E_q log(1 - D), with real targets 1 - smoothing (one-sided).

    The optimum is then D = (1 - smoothing) p / (p + q); fake targets stay 0, for else the generator
    would be rewarded where there are no data.
    """
    of_real = softplus(-real).mean()
    of_fake = softplus(fake).mean()
    return of_real + of_fake + smoothing * real.mean()


def minimax_cost(fake: Logits) -> jax.Array:
    """Return E_q log(1 - D): the discriminator's cost with its sign changed; vanishes as D wins."""
    return -softplus(fake).mean()


def non_saturating_cost(fake: Logits) -> jax.Array:
    """Return -E_q log D: the same fixed point, and a slope that stays where D wins."""
    return softplus(-fake).mean()


def maximum_likelihood_cost(fake: Logits) -> jax.Array:
    """Return -E_q exp(l): at D* its gradient is that of KL(p || q), carried by few samples."""
    return -jnp.exp(jnp.minimum(fake, LARGEST_LOGIT)).mean()


def least_squares_discriminator(
    real: Logits, fake: Logits, *, a: float = 0.0, b: float = 1.0
) -> jax.Array:
    """Return 1/2 E_p (l - b)^2 + 1/2 E_q (l - a)^2, least at l = (b p + a q) / (p + q)."""
    of_real = jnp.square(real - b).mean()
    of_fake = jnp.square(fake - a).mean()
    return 0.5 * of_real + 0.5 * of_fake


def least_squares_generator(fake: Logits, *, c: float = 1.0) -> jax.Array:
    """Return 1/2 E_q (l - c)^2.

    With b - c = 1 and b - a = 2 that is half of Pearson's chi2(p + q || 2 q).
    """
    return 0.5 * jnp.square(fake - c).mean()


def hinge_discriminator(real: Logits, fake: Logits) -> jax.Array:
    """Return E_p max(0, 1 - l) + E_q max(0, 1 + l), least at l = sign(p - q)."""
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def wasserstein_critic(real: Logits, fake: Logits) -> jax.Array:
    """Return E_q f - E_p f: minus the Wasserstein distance, if f is the best of slope at most 1."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Logits) -> jax.Array:
    """Return -E_q f: the generator's cost of the hinge game, too."""
    return -fake.mean()


class Cost(NamedTuple):
    """The costs of both players of a game.

    Attributes:
      discriminator: (real, fake) -> scalar.
      generator: fake -> scalar.
    """

    discriminator: Callable[[Logits, Logits], jax.Array]
    generator: Callable[[Logits], jax.Array]


class FDivergence(NamedTuple):
    """A divergence E_q f(p / q) and its variational bound E_p T - E_q f*(T), T = g(v).

    Nowozin et al., 2016, "f-GAN" (arXiv 1606.00709), tables 2 and 6.

    Attributes:
      f: the generator function, of u = p / q.
      optimum: f'(u), the best T.
      activation: g, from a network's output v to the domain of f*.
      conjugate: f*(t).
      conjugate_of_activation: f*(g(v)), in a form that neither overflows nor cancels.
      threshold: f'(1); larger T means real.
    """

    f: Callable[[Array], Array]
    optimum: Callable[[Array], Array]
    activation: Callable[[Array], Array]
    conjugate: Callable[[Array], Array]
    conjugate_of_activation: Callable[[Array], Array]
    threshold: float


_LOG_2 = 0.6931471805599453

F_DIVERGENCES: Mapping[str, FDivergence] = {
    "kl": FDivergence(
        f=lambda u: u * jnp.log(u),
        optimum=lambda u: 1 + jnp.log(u),
        activation=lambda v: v,
        conjugate=lambda t: jnp.exp(t - 1),
        conjugate_of_activation=lambda v: jnp.exp(jnp.minimum(v, LARGEST_LOGIT) - 1),
        threshold=1.0,
    ),
    "reverse_kl": FDivergence(
        f=lambda u: -jnp.log(u),
        optimum=lambda u: -1 / u,
        activation=lambda v: -jnp.exp(jnp.minimum(-v, LARGEST_LOGIT)),
        conjugate=lambda t: -1 - jnp.log(-t),
        conjugate_of_activation=lambda v: v - 1,
        threshold=-1.0,
    ),
    "pearson": FDivergence(
        f=lambda u: jnp.square(u - 1),
        optimum=lambda u: 2 * (u - 1),
        activation=lambda v: v,
        conjugate=lambda t: jnp.square(t) / 4 + t,
        conjugate_of_activation=lambda v: jnp.square(v) / 4 + v,
        threshold=0.0,
    ),
    "squared_hellinger": FDivergence(
        f=lambda u: jnp.square(jnp.sqrt(u) - 1),
        optimum=lambda u: 1 - 1 / jnp.sqrt(u),
        activation=lambda v: 1 - jnp.exp(jnp.minimum(-v, LARGEST_LOGIT)),
        conjugate=lambda t: t / (1 - t),
        conjugate_of_activation=lambda v: jnp.expm1(jnp.minimum(v, LARGEST_LOGIT)),
        threshold=0.0,
    ),
    "jensen_shannon": FDivergence(
        f=lambda u: u * jnp.log(u) - (u + 1) * jnp.log((1 + u) / 2),
        optimum=lambda u: _LOG_2 + jnp.log(u) - jnp.log1p(u),
        activation=lambda v: _LOG_2 - softplus(-v),
        conjugate=lambda t: -jnp.log(2 - jnp.exp(t)),
        conjugate_of_activation=lambda v: softplus(v) - _LOG_2,
        threshold=0.0,
    ),
    "gan": FDivergence(
        f=lambda u: u * jnp.log(u) - (u + 1) * jnp.log1p(u),
        optimum=lambda u: jnp.log(u) - jnp.log1p(u),
        activation=lambda v: -softplus(-v),
        conjugate=lambda t: -jnp.log(-jnp.expm1(t)),
        conjugate_of_activation=softplus,
        threshold=-_LOG_2,
    ),
}


def f_discriminator(divergence: FDivergence, real: Logits, fake: Logits) -> jax.Array:
    """Return minus a lower bound of D_f(p || q), -(E_p g(v) - E_q f*(g(v))).

    The bound is tight at g(v) = f'(p / q).
    """
    of_real = divergence.activation(real).mean()
    of_fake = divergence.conjugate_of_activation(fake).mean()
    return of_fake - of_real


def f_generator(divergence: FDivergence, fake: Logits) -> jax.Array:
    """Return -E_q f*(g(v)): the generator minimises the bound itself."""
    return -divergence.conjugate_of_activation(fake).mean()


def f_generator_alternative(divergence: FDivergence, fake: Logits) -> jax.Array:
    """Return -E_q g(v): what non-saturating is to minimax (section 3.2 of the paper)."""
    return -divergence.activation(fake).mean()


COSTS: Mapping[str, Cost] = {
    "minimax": Cost(discriminator_cost, minimax_cost),
    "non_saturating": Cost(discriminator_cost, non_saturating_cost),
    "maximum_likelihood": Cost(discriminator_cost, maximum_likelihood_cost),
    "least_squares": Cost(least_squares_discriminator, least_squares_generator),
    "hinge": Cost(hinge_discriminator, wasserstein_generator),
    "wasserstein": Cost(wasserstein_critic, wasserstein_generator),
}


def cost(name: str, smoothing: float = 0.0) -> Cost:
    """Return the game of that name; 'f_kl', 'f_pearson', ... are f-GAN's with its own cost.

    Raises:
      ConfigError: there is none of that name, or it has no labels to smooth.
    """
    costs = {**COSTS, **{f"f_{key}": _f_cost(row) for key, row in F_DIVERGENCES.items()}}
    if name not in costs:
        raise ConfigError(f"cost: got {name!r}, expected one of {', '.join(costs)}")
    found = costs[name]
    if not smoothing:
        return found
    if found.discriminator is not discriminator_cost:
        raise ConfigError(f"smoothing: got {smoothing}, but cost {name!r} has no labels to smooth")
    return Cost(partial(discriminator_cost, smoothing=smoothing), found.generator)


def _f_cost(row: FDivergence) -> Cost:
    return Cost(partial(f_discriminator, row), partial(f_generator, row))


def gradient_penalty(
    critic: Critic,
    real: Float[Array, "b ..."],
    fake: Float[Array, "b ..."],
    key: jax.Array,
) -> jax.Array:
    """Return E (||grad f(x)|| - 1)^2 at points between real and fake, random for each example.

    The critic must treat the examples of a batch apart: no batch normalisation.
    """
    ones = (1,) * (real.ndim - 1)
    fraction = jax.random.uniform(key, (real.shape[0], *ones))  # [B, 1, ..., 1]
    points = fraction * real + (1 - fraction) * fake
    slopes = jnp.sqrt(_squared_slopes(critic, points) + _TINY)
    return jnp.square(slopes - 1).mean()


def r1_penalty(critic: Critic, real: Float[Array, "b ..."]) -> jax.Array:
    """Return 1/2 E_p ||grad l(x)||^2, to be weighted by the paper's gamma."""
    return 0.5 * _squared_slopes(critic, real).mean()


def _squared_slopes(critic: Critic, x: Float[Array, "b ..."]) -> jax.Array:
    """Return ||grad of the critic||^2 at each example, [B]."""

    def total(x: Array) -> Array:
        return critic(x).sum()  # its gradient is that of each example's own logit

    slopes = jax.grad(total)(x)
    return jnp.square(slopes).sum(axis=tuple(range(1, x.ndim)))


def feature_matching(
    real: Float[Array, "b ..."], fake: Float[Array, "b ..."], *, absolute: bool = False
) -> jax.Array:
    """Return the squared (or absolute) difference of the mean features, a mean over features.

    The real side is data: no gradient flows there.
    """
    difference = jax.lax.stop_gradient(real.mean(axis=0)) - fake.mean(axis=0)
    size = jnp.abs(difference) if absolute else jnp.square(difference)
    return size.mean()


def historical_averaging(params: Any, average: Any) -> jax.Array:
    """Return ||theta - average of all theta so far||^2, to be added to a player's cost.

    Args:
      params: the player's parameters, a tree.
      average: the same tree; `mean_so_far` moves it along. It is a constant here.
    """
    average = jax.lax.stop_gradient(average)
    squares = jax.tree.map(lambda x, mean: jnp.square(x - mean).sum(), params, average)
    return sum(jax.tree.leaves(squares), start=jnp.zeros(()))


def mean_so_far(average: Any, params: Any, count: Array | int) -> Any:
    """Return the mean of `count` trees from that of the first count - 1 and the last one."""
    return jax.tree.map(lambda mean, x: mean + (x - mean) / count, average, params)
