"""The restricted Boltzmann machine (Smolensky, 1986; Hinton, 2002; Tieleman, 2008)."""

import sys
from typing import Literal

from jaxgen.__main__ import train
from jaxgen.data import Data, load
from jaxgen.energy import RBM
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def rbm_digits(
    *,
    settings: CommonFlags = Settings(steps=10_000, batch_size=100, evaluate_every=2500),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer("sgd", 0.05, "linear", beta1=0.5, weight_decay=1e-3),
    hidden: int = 100,
    learning: Literal["cd", "pcd"] = "pcd",
    gibbs_steps: int = 5,
) -> Experiment:
    """Train 100 hidden units by persistent chains.

    The 8x8 digits are binarised at >= 8.

        jaxgen train rbm_digits
        jaxgen evaluate runs/rbm_digits

    0.9 minutes on one core of an AMD EPYC, no GPU, shared with other work, 2026-11-30. Test (360
    images), mean ± standard deviation over seeds 0, 1, 2: log p(x) -16.56 ± 0.04 nats, by an
    estimate of log Z that errs low, so that log p(x) errs high. The settings are the first that
    were tried.

    Args:
      settings: the flags every recipe has; it computes in float32 whatever the precision.
      data: which data, and in which form.
      optimizer: of the one player.
      hidden: number of hidden units.
      learning: where the negative phase comes from: pcd, chains that persist, or cd.
      gibbs_steps: sweeps of a chain an update.
    """
    model = RBM(load(data).shape, hidden, learning=learning, steps=gibbs_steps)
    return Experiment(model, settings, data, (optimizer,))


def rbm_bars(
    *,
    settings: CommonFlags = Settings(steps=5000, batch_size=100),
    data: Data = Data("small_bars"),
    optimizer: Optimizer = Optimizer(learning_rate=0.02, schedule="cosine"),
    hidden: int = 12,
    learning: Literal["cd", "pcd", "exact"] = "exact",
    gibbs_steps: int = 1,
) -> Experiment:
    """Train by the exact gradient, up to a known entropy.

    Bars and stripes of 3x3, whose 14 patterns have an entropy of 2.599 nats, drawn afresh at every
    step.

        jaxgen train rbm_bars
        jaxgen evaluate runs/rbm_bars

    0.1 minutes on one core of an AMD EPYC, no GPU, shared with other work, 2026-11-30. Test
    (10 000 images), log Z exact, mean ± standard deviation over seeds 0, 1, 2: log p(x) -2.626 ±
    0.001 nats; by persistent chains (--learning pcd --optimizer.name sgd --optimizer.learning-rate
    0.2 --optimizer.schedule linear --optimizer.beta1 0) -2.747 ± 0.019. The settings are the first
    that were tried.

    Args:
      settings: the flags every recipe has; it computes in float32 whatever the precision.
      data: which data: small_bars, or bars of 4x4, of an entropy of 3.379.
      optimizer: of the one player.
      hidden: number of hidden units.
      learning: exact, pcd or cd.
      gibbs_steps: sweeps of a chain an update, but for exact.
    """
    model = RBM(load(data).shape, hidden, learning=learning, steps=gibbs_steps)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())
