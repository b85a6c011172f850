"""Certificates: the laws of a model, run on the model itself at its real configuration.

Which laws apply follows from what the model can do. Every law yields a figure and the bound it was
compared with; a law that cannot fail has no place here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import jax

from jaxgen.autoregressive.base import Autoregressive
from jaxgen.check import (
    adversarial,
    autoregressive,
    boltzmann,
    bounds,
    claims,
    codes,
    games,
    moves,
    parts,
    phases,
    training,
)
from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.check.untested import Untested, untested
from jaxgen.energy import DBM, RBM, BoltzmannMachine
from jaxgen.evaluation.collapse import Judging
from jaxgen.gan.base import RealOrFake
from jaxgen.typing import Bounded, Game, Latent, Model, Sampler, WithDiscriminator
from jaxgen.vae import CodeAutoencoder
from jaxgen.vae.base import LatentVariableModel

__all__ = [
    "Law",
    "Subject",
    "Untested",
    "at_least",
    "at_most",
    "certificate",
    "largest_difference",
    "laws",
    "untested",
]


@runtime_checkable
class Mixture(Protocol):
    """A mixture of models over the same variables."""

    def components(self) -> tuple[Any, ...]:
        """Return the models that are mixed."""
        ...


# What a model must be able to do, and a law that then holds. A law's place here is its random key.
_LAWS: tuple[tuple[tuple[type, ...], Callable[[Subject], list[Law]]], ...] = (
    ((Model,), training.initialisation),
    ((Model,), training.ownership),
    ((Model,), training.purity),
    ((Model,), training.specification),
    ((Model,), claims.improvement),
    ((Model,), claims.objective),
    ((Model,), claims.ceiling),
    ((Sampler,), bounds.sampling),
    *(((Autoregressive,), law) for law in autoregressive.LAWS),
    *(((WithDiscriminator, Latent), law) for law in adversarial.LAWS),
    ((WithDiscriminator, Game), moves.directions),
    ((LatentVariableModel,), bounds.observation),
    ((LatentVariableModel,), bounds.agreement),
    ((LatentVariableModel,), bounds.divergence),
    ((Bounded,), bounds.estimators),
    ((Bounded,), bounds.monotonicity),
    ((LatentVariableModel,), bounds.bracket),
    ((LatentVariableModel,), parts.prior),
    ((LatentVariableModel,), parts.rebuilt),
    ((Bounded, Latent), parts.overstated),
    *(((BoltzmannMachine,), law) for law in boltzmann.LAWS),
    ((RBM,), phases.phases),
    ((DBM,), phases.layers),
    ((DBM,), phases.below_the_density),
    ((WithDiscriminator, Latent), games.prior),
    ((WithDiscriminator, Judging), games.advantage),
    ((WithDiscriminator, Judging), moves.advantages),
    ((RealOrFake,), games.costs),
    ((Model,), claims.closeness),
    *(((CodeAutoencoder,), law) for law in codes.LAWS),
)


def certificate(subject: Subject) -> list[Law]:
    """Return all laws that apply to the subject's model, each with its figure."""
    return list(laws(subject))


def laws(subject: Subject) -> Iterator[Law]:
    """Give the laws of a certificate one after the other: who looks for one that fails may stop."""
    for i, (capabilities, law) in enumerate(_LAWS):
        if all(isinstance(subject.model, capability) for capability in capabilities):
            own = replace(subject, key=jax.random.fold_in(subject.key, i))
            yield from law(own)
    if isinstance(subject.model, Mixture):
        yield from _of_components(subject, subject.model.components())


def _of_components(subject: Subject, components: tuple[Any, ...]) -> Iterator[Law]:
    """Give the laws of the first and the last autoregressive model of a mixture of them."""
    for number in sorted({0, len(components) - 1}):
        experiment = replace(subject.experiment, model=components[number])
        own = replace(subject, experiment=experiment)
        for law in autoregressive.LAWS:
            for found in law(own):
                name = f"component {number + 1}: {found.law}"
                yield found._replace(law=name)
