"""Open questions: those that a certificate leaves for want of a method of the model."""

from typing import NamedTuple

from jaxgen.check.capabilities import Amortised, ChainRule, ChangeOfVariables, JudgedCodes, Mixture
from jaxgen.check.claim import is_normalised
from jaxgen.check.decoded import likelihood
from jaxgen.check.flow import LARGEST
from jaxgen.check.law import Subject
from jaxgen.evaluation.collapse import Packing, judges_alone
from jaxgen.typing import (
    Bounded,
    BoundedBySteps,
    Denoises,
    Density,
    Energy,
    Game,
    Latent,
    MeanField,
    Reconstructor,
    Sampler,
    WithDiscriminator,
)


class Untested(NamedTuple):
    """A question that a certificate leaves open.

    Attributes:
      question: that a law would answer.
      wants: what the model would have to have for it.
    """

    question: str
    wants: str


def untested(subject: Subject) -> list[Untested]:
    """Return the questions that this model leaves open, none for a model that has every method."""
    model = subject.model
    found = [*_of_claims(subject), *_of_players(subject)]
    if not isinstance(model, Sampler):
        found.append(Untested("whether samples lie where data lie", "`sample`"))
    return found


def _of_claims(subject: Subject) -> list[Untested]:
    """Return what is open of a bound or a density."""
    model = subject.model
    found = []
    claims = isinstance(model, Bounded | BoundedBySteps | Denoises | Density | Reconstructor)
    if (
        isinstance(model, Energy | MeanField)
        and not isinstance(model, Bounded | Density)
        and not is_normalised(model)
    ):
        question = "whether its losses improve log p(x)"
        found.append(Untested(question, "a log Z that can be summed"))
    if not claims and not isinstance(model, WithDiscriminator):
        wants = "`log_prob`, `elbo` and `log_weights`, or `reconstruct`"
        found.append(Untested("whether its losses improve anything that it claims", wants))
    if isinstance(model, Bounded) and not isinstance(model, Amortised):
        if not isinstance(model, Latent):
            question = "whether its bound is below log p(x)"
            found.append(Untested(question, "`decode` and `latents`"))
        elif likelihood(subject) is None:
            question = "whether its bound is below log p(x)"
            wants = "`decoder_outputs` and `observation`: means of data that are not binary"
            found.append(Untested(question, f"{wants} do not say p(x | z)"))
        question = "whether its bound is as high as its parts make it"
        wants = "`posterior`, `decoder_outputs` and `observation`, as in LatentVariableModel"
        found.append(Untested(question, wants))
    known = isinstance(model, ChainRule | Bounded | ChangeOfVariables | Mixture)
    if isinstance(model, Density) and not known:
        wants = "`conditionals`, as in Autoregressive, or `elbo` and `log_weights`"
        found.append(Untested("whether its density sums to 1", wants))
    if isinstance(model, ChangeOfVariables) and subject.x[0].size > LARGEST:
        wants = f"examples of at most {LARGEST} elements, whose Jacobian is written out"
        found.append(Untested("whether its log-determinant is the Jacobian's", wants))
    return found


def _of_players(subject: Subject) -> list[Untested]:
    """Return what is open of who moves, and where to."""
    model = subject.model
    found = []
    several = len(subject.experiment.players()) > 1
    judged = isinstance(model, Game) and isinstance(model, WithDiscriminator)
    judged = judged or isinstance(model, JudgedCodes)
    if several and (not judged or isinstance(model, Packing)):
        wants = "`discriminator_loss`, `sample`, and `logits` of one example each"
        found.append(Untested("whether each player moves in its own favour", wants))
    if isinstance(model, WithDiscriminator):
        if not isinstance(model, Latent):
            question = "whether a sample depends on its own noise alone"
            found.append(Untested(question, "`latents` and `decode`"))
        if not judges_alone(model):
            question = "whether the discriminator reaches its optimum on frozen points"
            found.append(Untested(question, "`logits` of one example each, without a label"))
    return found
