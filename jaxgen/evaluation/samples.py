"""What samples say about a model that has no density: against real examples, at equal numbers.

    frechet_distance, kernel_distance      0 for equal distributions (frechet.py, kernel.py)
    precision, recall, density, coverage   quality and variety apart (neighbours.py)
    two_sample_accuracy                    1/2 for equal distributions
    classifier_score                       sure of a class, and of all alike (classifier.py)
    modes_covered, high_quality            of data with known modes (modes.py)
    train_distance, nearer_to_train        whether samples are copies of training examples

No such number stands alone: finite sets of one distribution differ too. Each is therefore measured
a second time with other real examples, as many, in the place of the samples (`real/...`), and that
is what a perfect model would get. The last are of the examples' own values: the median distance of
a sample to its nearest training example, and the share of samples that are nearer to one than the
median example that the model has not seen; 1/2 of a model that has learned the distribution,
towards 1 of one that has learned the examples by heart.

The pitfalls: Theis, van den Oord & Bethge, 2016, "A note on the evaluation of generative models"
(arXiv 1511.01844); Lucic et al., 2018, "Are GANs created equal? A large-scale study" (arXiv
1711.10337). Copies: Meehan et al., 2020, "A non-parametric test to detect data-copying in
generative models" (arXiv 2004.05675), whose test compares the same two sets of distances.
"""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from jaxgen.data import Dataset
from jaxgen.data.mixtures import MIXTURES, Mixture
from jaxgen.errors import ConfigError
from jaxgen.evaluation.classifier import classifier_score
from jaxgen.evaluation.features import Extractor, extract
from jaxgen.evaluation.frechet import distance_of_features
from jaxgen.evaluation.kernel import NUM_SUBSETS, kernel_distance, subset_size
from jaxgen.evaluation.likelihood import Record
from jaxgen.evaluation.modes import measure_modes
from jaxgen.evaluation.neighbours import (
    density_coverage,
    nearest,
    precision_recall,
    two_sample_accuracy,
)
from jaxgen.typing import Array

MAX_EXAMPLES = 10_000  # on each side
MAX_TRAIN = 60_000  # among which a sample's nearest training example is looked for
COPY_SAMPLES = 2000  # that are looked up among the training examples
MODE_SAMPLES = 2500  # of which modes are counted, as in the papers
_FEWEST = 10
_FRESH = 2**32 - 1  # the seed of training examples that are drawn, apart from those of small runs
UNITS = {
    "frechet_distance": "squared",
    "kernel_distance": "squared",
    "kernel_distance_std": "squared",
    "density": "balls / k",
    "classifier_score": "classes",
    "classifier_score_std": "classes",
    "modes_covered": "modes",
    "modes_reverse_kl": "nats",
    "train_distance": "distance",
    "unseen_train_distance": "distance",
}  # all others are shares


@dataclass(frozen=True, eq=False)
class Real:
    """Real examples [N, *shape], as the model sees them.

    Attributes:
      split: the name of the reference split.
      reference: what samples are compared with.
      other: as many others of another split, compared with the reference in the samples' place.
      other_split: where these are from.
      train: the training examples; None if they are drawn afresh for ever.
      unseen: examples that the model was not trained on.
      mixture: the data's distribution, where it is one of known modes.
    """

    split: str
    reference: np.ndarray
    other: np.ndarray
    other_split: str
    train: np.ndarray | None
    unseen: np.ndarray
    mixture: Mixture | None = None


def real_examples(dataset: Dataset, split: str = "test", num: int = MAX_EXAMPLES) -> Real:
    """The real examples that samples are measured with.

    Args:
      dataset: with the three splits.
      split: the reference.
      num: the most examples on a side. As many are taken of the reference as of the others.

    Returns:
      The reference and other examples: of the training split, or, if that is the reference, of the
      validation and the test split. Raises ConfigError if there are fewer than 10.
    """
    reference = dataset.examples(split, num)
    finite = dataset.splits["train"].num is not None
    train = dataset.examples("train", MAX_TRAIN) if finite else None
    if split == "train":
        held_out = [dataset.examples(name, num) for name in ("validation", "test")]
        other, other_split = np.concatenate(held_out), "validation and test"
    else:
        other, other_split = _training_examples(dataset, num), "train"
    num = min(len(reference), len(other), num)
    if num < _FEWEST:
        raise ConfigError(f"--split {split}: {num} examples, expected {_FEWEST} or more")
    reference, other = reference[:num], other[:num]
    unseen = other if split == "train" else reference
    mixture = MIXTURES.get(dataset.config.name)
    return Real(split, reference, other, other_split, train, unseen, mixture)


def measure_samples(
    samples: Float[Array, "n ..."],
    real: Real,
    extractor: Extractor,
    *,
    protocol: tuple[str, str] = ("", ""),
    prefix: str = "",
    floor: bool = True,
    seed: int = 0,
) -> list[Record]:
    """Compares samples with the reference, and other real examples with it too.

    Args:
      samples: as many as there are reference examples (ConfigError), in the model's space.
      real: what they are compared with.
      extractor: the features; `features.raw_values`, a trained classifier's, or your own.
      protocol: what else the numbers depend on: of the data, for every record, and of the samples.
      prefix: of the metrics' names, 'best/' for a second set of samples.
      floor: measure the other real examples as well.
      seed: of the subsets of the kernel distance.

    Returns:
      Records, those of the real examples last, as `real/...`.
    """
    num = len(real.reference)
    if len(samples) != num:
        raise ConfigError(f"{len(samples)} samples against {num} real examples: expected as many")
    about_data, about_samples = protocol
    reference = extract(extractor, real.reference)
    make = partial(_records, split=real.split, num=num)
    common = [about_data, f"features: {extractor.description}", _settings(reference[0], seed)]
    compared = f"{num} samples against {num} {real.split} examples"
    measured = compare(extract(extractor, samples), reference, seed=seed)
    measured |= modes(samples, real.mixture) | copies(samples, real)
    table = make(prefix, measured, [compared, about_samples, *common])
    if floor:
        compared = f"{num} {real.other_split} examples against {num} {real.split} examples"
        measured = compare(extract(extractor, real.other), reference, seed=seed)
        measured |= modes(real.other, real.mixture)
        table += make("real/", measured, [compared, *common])
    return table


def compare(
    samples: tuple[np.ndarray, np.ndarray | None],
    reference: tuple[np.ndarray, np.ndarray | None],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """All numbers of two sets of features and posteriors, as `features.extract` returns them."""
    (x, log_posterior), (real, _) = samples, reference
    kernel, kernel_std = kernel_distance(x, real, seed=seed)
    precision, recall = precision_recall(real, x)
    density, coverage = density_coverage(real, x)
    found = {
        "frechet_distance": distance_of_features(x, real),
        "kernel_distance": kernel,
        "kernel_distance_std": kernel_std,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "two_sample_accuracy": two_sample_accuracy(real, x),
    }
    if log_posterior is None:
        return found
    score, score_std = classifier_score(log_posterior)
    return found | {"classifier_score": score, "classifier_score_std": score_std}


def copies(x: Float[Array, "n ..."], real: Real) -> dict[str, float]:
    """Whether x is nearer to the training examples than what the model has not seen.

    The first 2000 of both are looked up: the share is then known to 0.011.

    Returns:
      `train_distance`, the median distance of x to its nearest training example;
      `unseen_train_distance`, that of the unseen examples; and `nearer_to_train`, the share of x
      that is nearer than this, of which the equally near count half. {} where no training example
      is ever seen twice.
    """
    if real.train is None:
        return {}
    train = _flat(real.train)
    _, distance = nearest(_flat(x)[:COPY_SAMPLES], train)
    unseen = np.median(nearest(_flat(real.unseen)[:COPY_SAMPLES], train)[1])
    nearer = (distance < unseen) + (distance == unseen) / 2
    return {
        "train_distance": float(np.median(distance)),
        "unseen_train_distance": float(unseen),
        "nearer_to_train": float(nearer.mean()),
    }


def modes(x: Float[Array, "n ..."], mixture: Mixture | None) -> dict[str, float | int]:
    """Modes covered, share of high quality and reverse KL of the first 2500; {} without modes."""
    if mixture is None:
        return {}
    found = measure_modes(np.asarray(x)[:MODE_SAMPLES], np.asarray(mixture.centres), mixture.std)
    return {
        "modes_covered": int(found.covered),
        "high_quality": float(found.high_quality),
        "modes_reverse_kl": float(found.reverse_kl),
    }


def _records(prefix, measured, parts, *, split, num):
    """The table of what was measured. None of it is a mean over examples with a standard error."""
    protocol = "; ".join(part for part in parts if part)
    return [
        Record(prefix + name, value, None, UNITS.get(name, "share"), split, num, protocol)
        for name, value in measured.items()
    ]


def _settings(features, seed):
    """The numbers that the metrics are defined with."""
    num, dim = features.shape
    subsets = f"{NUM_SUBSETS} subsets of {subset_size(num)} (seed {seed})"
    few = "" if num > dim else f"; {num} examples are too few for the covariance of {dim} features"
    return (
        f"kernel distance: mean and std over {subsets}; classifier score: over 10 parts; "
        "k = 3 of precision and recall, 5 of density and coverage; "
        f"distances to training examples: of raw values, of the first {min(num, COPY_SAMPLES)}{few}"
    )


def _training_examples(dataset, num):
    """The first `num` training examples, or fresh ones."""
    if dataset.splits["train"].num is not None:
        return dataset.examples("train", num)
    batch = dataset.splits["train"].batch(_FRESH, 0, num)
    return np.asarray(dataset.prepare(batch, jax.random.key(0))["image"])


def _flat(x):
    return np.asarray(x).reshape(len(x), -1)
