"""Distributions: closed forms, and what the outputs of a network mean for an element."""

from jaxgen.distributions.functions import (
    LOG_2PI,
    bernoulli_log_prob,
    categorical_log_prob,
    discretized_logistic_log_prob,
    log_mean_exp,
    normal_kl,
    normal_log_prob,
    sample_discretized_logistic,
)
from jaxgen.distributions.logistic_mixture import MixtureOfLogistics
from jaxgen.distributions.mixture import (
    MixtureOfGaussians,
    MixtureOfLaplaces,
    chosen,
    components,
    quadrature,
)
from jaxgen.distributions.observation import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    Gaussian,
    Observation,
)

__all__ = [
    "LOG_2PI",
    "Bernoulli",
    "Categorical",
    "DiscretizedLogistic",
    "Gaussian",
    "MixtureOfGaussians",
    "MixtureOfLaplaces",
    "MixtureOfLogistics",
    "Observation",
    "bernoulli_log_prob",
    "categorical_log_prob",
    "chosen",
    "components",
    "discretized_logistic_log_prob",
    "log_mean_exp",
    "normal_kl",
    "normal_log_prob",
    "quadrature",
    "sample_discretized_logistic",
]
