"""Certificates: the laws of a model, run on the model itself at its real configuration.

Which laws apply follows from what the model can do. Every law yields a figure and the bound it was
compared with; a law that cannot fail has no place here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax

from jaxgen.check import (
    adversarial,
    autoregressive,
    boltzmann,
    bounds,
    chains,
    codes,
    diffusion,
    flow,
    games,
    moves,
    objectives,
    parts,
    phases,
    training,
)
from jaxgen.check.capabilities import (
    AdjustedDenoising,
    Amortised,
    ChainRule,
    ChangeOfVariables,
    Contrastive,
    Denoising,
    Diffusing,
    JudgedCodes,
    Layered,
    Mixture,
    TwoSided,
    Walking,
)
from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.check.untested import Untested, untested
from jaxgen.evaluation.collapse import Judging
from jaxgen.gan.base import RealOrFake
from jaxgen.typing import Bounded, Game, Latent, Model, Sampler, WithDiscriminator

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


# What a model must be able to do, and a law that then holds. A law's place here is its random key.
_LAWS: tuple[tuple[tuple[type, ...], Callable[[Subject], list[Law]]], ...] = (
    ((Model,), training.initialisation),
    ((Model,), training.ownership),
    ((Model,), training.purity),
    ((Model,), training.specification),
    ((Model,), objectives.improvement),
    ((Model,), objectives.objective),
    ((Model,), objectives.ceiling),
    ((Sampler,), bounds.sampling),
    *(((ChainRule,), law) for law in autoregressive.LAWS),
    *(((WithDiscriminator, Latent), law) for law in adversarial.LAWS),
    ((WithDiscriminator, Game), moves.directions),
    ((Amortised,), bounds.observation),
    ((Amortised,), bounds.agreement),
    ((Amortised,), bounds.divergence),
    ((Bounded,), bounds.estimators),
    ((Bounded,), bounds.monotonicity),
    ((Amortised,), bounds.bracket),
    ((Amortised,), parts.prior),
    ((Amortised,), parts.rebuilt),
    ((Bounded, Latent), parts.overstated),
    *(((TwoSided,), law) for law in boltzmann.LAWS),
    ((Contrastive,), phases.phases),
    ((Layered,), phases.layers),
    ((Layered,), phases.below_the_density),
    ((WithDiscriminator, Latent), games.prior),
    ((WithDiscriminator, Judging), games.advantage),
    ((WithDiscriminator, Judging), moves.advantages),
    ((RealOrFake,), games.costs),
    ((Model,), objectives.closeness),
    *(((ChangeOfVariables,), law) for law in flow.LAWS),
    *(((Diffusing,), law) for law in diffusion.LAWS),
    ((Denoising,), chains.denoising),
    ((Denoising,), chains.unadjusted_move),
    ((AdjustedDenoising,), chains.adjusted_move),
    ((Walking,), chains.walkback),
    *(((JudgedCodes,), law) for law in codes.LAWS),
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
