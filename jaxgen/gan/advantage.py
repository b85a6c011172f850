"""The advantage of a discriminator over samples, in the unit of its game.

What D pays for data and samples that it cannot tell apart is known: the cost of the best constant
output. What it pays less is its advantage,

    advantage = (cost of the best constant) - (cost on data and samples),

0 for p = q and below 0 where D is worse than a constant. It estimates a divergence of p and q from
below, in that one's unit, and can be no larger than the divergence of two that have no point in
common:

    cost of D        the divergence                                      at most
    log-likelihood   2 JSD(p, q), nats                                   2 log 2
    smoothed by s    nats, of targets 1 - s                              2 H((1 - s) / 2) - H(1 - s)
    least squares    1/8 int (p - q)^2 / (p + q), half squared errors    1/4
    hinge            twice the total variation, margins                  2
    Wasserstein      W(p, q), the data's own distance, at slope 1        any
    f-GAN            D_f(p || q) - f(1), nats for the KLs                f(0) + f'(inf) - f(1)

where H is the entropy of a coin. An output that is the logit of a probability is shown as one too.
Of the others that has no meaning: a constant may be added to a Wasserstein critic, and the best D
of least squares says 1, not infinity.

Goodfellow et al., 2014 (arXiv 1406.2661), theorem 1; Mao et al., 2016 (arXiv 1611.04076), section
3.2; Lim & Ye, 2017 (arXiv 1705.02894); Arjovsky et al., 2017 (arXiv 1701.07875); Nowozin et al.,
2016 (arXiv 1606.00709), table 5.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax

from jaxgen import losses
from jaxgen.typing import Array, Metrics


class Unit(NamedTuple):
    """The scale of an advantage.

    Attributes:
      undecided: the cost of D at its best constant output.
      largest: the most that it can pay less; infinite where there is no bound.
      probability: an output is the logit of a probability.
    """

    undecided: float
    largest: float
    probability: bool = False


_LOG_4 = 2 * math.log(2)
_UNITS: Mapping[Any, Unit] = {
    losses.discriminator_cost: Unit(_LOG_4, _LOG_4, probability=True),
    losses.least_squares_discriminator: Unit(0.25, 0.25),
    losses.hinge_discriminator: Unit(2.0, 2.0),
    losses.wasserstein_critic: Unit(0.0, math.inf),
}
_UNITS_OF_F: Mapping[losses.FDivergence, Unit] = {  # an undecided D costs -f(1)
    losses.F_DIVERGENCES["kl"]: Unit(0.0, math.inf),
    losses.F_DIVERGENCES["reverse_kl"]: Unit(0.0, math.inf),
    losses.F_DIVERGENCES["pearson"]: Unit(0.0, math.inf),
    losses.F_DIVERGENCES["squared_hellinger"]: Unit(0.0, 2.0),
    losses.F_DIVERGENCES["jensen_shannon"]: Unit(0.0, _LOG_4),
    losses.F_DIVERGENCES["gan"]: Unit(_LOG_4, _LOG_4),
}


def unit(game: losses.Cost) -> Unit | None:
    """Return the scale of a game's advantage; None where `losses` lacks the cost or divergence."""
    cost = game.discriminator
    if not isinstance(cost, partial):
        return _UNITS.get(cost)
    if cost.func is losses.discriminator_cost:
        return _smoothed(**cost.keywords)
    if cost.func is losses.f_discriminator:
        (divergence,) = cost.args
        return _UNITS_OF_F.get(divergence)
    return None


def largest(game: losses.Cost) -> float:
    """Return the most that the advantage can be; infinite where there is no bound."""
    scale = unit(game)
    return math.inf if scale is None else scale.largest


def verdicts(game: losses.Cost, real: Array, fake: Array) -> Metrics:
    """Return D's `advantage` from its outputs [B] for data and samples.

    `real` and `fake` are its mean probabilities of being real, where it says any. {} for a cost
    that is not of `losses`.
    """
    scale = unit(game)
    if scale is None:
        return {}
    found = {"advantage": scale.undecided - game.discriminator(real, fake)}
    if scale.probability:
        found["real"] = jax.nn.sigmoid(real).mean()
        found["fake"] = jax.nn.sigmoid(fake).mean()
    return found


def _smoothed(smoothing: float) -> Unit:
    """Return the scale where the targets of data are 1 - smoothing."""
    target = 1 - smoothing
    undecided = _entropy(target / 2) + _entropy(target / 2)
    return Unit(undecided, undecided - _entropy(target), probability=True)


def _entropy(p: float) -> float:
    """Return the entropy of a coin in nats."""
    return -sum(share * math.log(share) for share in (p, 1 - p) if share > 0)
