"""Certificates: the laws of a model, run on the model itself at its real configuration.

Which laws apply follows from the methods the model has. Every law yields a figure and the bound it
was compared with; a law that cannot fail has no place here.
"""

from dataclasses import replace

import jax

from jaxgen.check import adversarial, autoregressive, bounds, training
from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference

__all__ = ["Law", "Subject", "at_least", "at_most", "certificate", "largest_difference"]

_LAWS = (  # (a method the model must have, the laws that then hold)
    ("init", training.initialisation),
    ("players", training.ownership),
    ("players", training.purity),
    ("init", training.specification),
    ("sample", bounds.sampling),
    *(("conditionals", law) for law in autoregressive.LAWS),
    *(("latents", law) for law in adversarial.LAWS),
    ("log_weights", bounds.observation),
    ("log_weights", bounds.agreement),
    ("log_weights", bounds.divergence),
    ("log_weights", bounds.estimators),
    ("log_weights", bounds.monotonicity),
    ("log_weights", bounds.bracket),
)


def certificate(subject: Subject) -> list[Law]:
    """All laws that apply to the subject's model, each with its figure."""
    outcomes = []
    for i, (method, law) in enumerate(_LAWS):
        if hasattr(subject.model, method):
            own = replace(subject, key=jax.random.fold_in(subject.key, i))
            outcomes += law(own)
    if hasattr(subject.model, "components"):
        outcomes += _of_components(subject)
    return outcomes


def _of_components(subject):
    """The laws of the first and the last autoregressive model of a mixture of them."""
    outcomes, components = [], subject.model.components()
    for number in sorted({0, len(components) - 1}):
        own = replace(subject, experiment=replace(subject.experiment, model=components[number]))
        for law in autoregressive.LAWS:
            found = law(own)
            outcomes += [x._replace(law=f"component {number + 1}: {x.law}") for x in found]
    return outcomes
