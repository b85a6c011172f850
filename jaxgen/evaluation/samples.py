"""Measures of samples, for models without a density: against real examples, at equal numbers.

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

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from jaxgen.data.order import permutation
from jaxgen.data.readers.mixtures import PlanarMixture
from jaxgen.errors import ConfigError
from jaxgen.evaluation.classifier import classifier_score
from jaxgen.evaluation.features import Extractor, extract
from jaxgen.evaluation.frechet import distance_of_features
from jaxgen.evaluation.kernel import NUM_SUBSETS, kernel_distance, subset_size
from jaxgen.evaluation.modes import measure_modes
from jaxgen.evaluation.neighbours import (
    density_coverage,
    nearest,
    precision_recall,
    two_sample_accuracy,
)
from jaxgen.evaluation.real import Real
from jaxgen.evaluation.record import Record
from jaxgen.evaluation.space import require_same_space
from jaxgen.typing import Array

COPY_SAMPLES = 2000  # that are looked up among the training examples
MODE_SAMPLES = 2500  # of which modes are counted, as in the papers
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
    """Compare samples with the reference, and other real examples with it too.

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

    Raises:
      ConfigError: there are more or fewer samples.
      DataError: they are not in the space of the real examples.
      NonFiniteError: a feature is not finite.
    """
    num = len(real.reference)
    if len(samples) != num:
        raise ConfigError(f"{len(samples)} samples against {num} real examples: expected as many")
    require_same_space(samples, real.reference, real.range)
    about_data, about_samples = protocol
    reference = extract(extractor, real.reference)
    features, _ = reference
    settings = _settings(features, seed)
    of_copies = copies(samples, real)
    extracted = f"features: {extractor.description}"
    common = [about_data, extracted, settings, _left_out(of_copies, real)]

    compared = f"{num} samples against {num} {real.split} examples"
    found = compare(extract(extractor, samples), reference, seed=seed)
    found |= modes(samples, real.mixture)
    found |= of_copies
    table = _records(prefix, found, [compared, about_samples, *common], real)
    if floor:
        compared = f"{num} {real.other_split} examples against {num} {real.split} examples"
        found = compare(extract(extractor, real.other), reference, seed=seed)
        found |= modes(real.other, real.mixture)
        table += _records("real/", found, [compared, *common], real)
    return table


def compare(
    samples: tuple[np.ndarray, np.ndarray | None],
    reference: tuple[np.ndarray, np.ndarray | None],
    *,
    seed: int = 0,
) -> dict[str, float | int]:
    """Compare two sets of features and posteriors, as `features.extract` returns them."""
    x, log_posterior = samples
    real, _ = reference
    kernel, kernel_std = kernel_distance(x, real, seed=seed)
    precision, recall = precision_recall(real, x)
    density, coverage = density_coverage(real, x)
    found: dict[str, float | int] = {
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
    found["classifier_score"] = score
    found["classifier_score_std"] = score_std
    return found


def copies(x: Float[Array, "n ..."], real: Real) -> dict[str, float]:
    """Tell whether x is nearer to the training examples than what the model has not seen.

    Of each, 2000 at random are looked up: the share is then known to 0.011.

    Returns:
      `train_distance`, the median distance of x to its nearest training example;
      `unseen_train_distance`, that of the unseen examples; and `nearer_to_train`, the share of x
      that is nearer than this, of which the equally near count half. {} where no training example
      is ever seen twice, or nothing can be called unseen: there are no such examples, or the median
      one is a training example too.
    """
    if real.train is None or real.unseen is None:
        return {}
    train = _flat(real.train)
    _, distance = nearest(_flat(_some(x, COPY_SAMPLES)), train)
    _, distance_of_unseen = nearest(_flat(_some(real.unseen, COPY_SAMPLES)), train)
    unseen = np.median(distance_of_unseen)
    if unseen == 0:
        return {}
    nearer = (distance < unseen) + (distance == unseen) / 2
    return {
        "train_distance": float(np.median(distance)),
        "unseen_train_distance": float(unseen),
        "nearer_to_train": float(nearer.mean()),
    }


def _left_out(of_copies: Mapping[str, float], real: Real) -> str:
    """Return why nothing is told of copies; '' where it is, or there can be none."""
    if of_copies or real.train is None:
        return ""
    why = "no split is unseen"
    if real.unseen is not None:
        why = "most examples that were not trained on are equal to one that was"
    return f"distances to training examples are left out: {why}"


def modes(x: Float[Array, "n ..."], mixture: PlanarMixture | None) -> dict[str, float | int]:
    """Count the modes of 2500 at random, and how well and evenly they are hit; {} without modes."""
    if mixture is None:
        return {}
    some = np.asarray(_some(x, MODE_SAMPLES))
    found = measure_modes(some, np.asarray(mixture.centres), mixture.std)
    return {
        "modes_covered": int(found.covered),
        "high_quality": float(found.high_quality),
        "modes_reverse_kl": float(found.reverse_kl),
    }


def _records(
    prefix: str,
    found: Mapping[str, float | int],
    parts: list[str],
    real: Real,
) -> list[Record]:
    """Make the table of what was found: none of it is a mean with a standard error."""
    protocol = "; ".join(part for part in parts if part)
    num = len(real.reference)
    table = []
    for name, value in found.items():
        unit = UNITS.get(name, "share")
        table.append(Record(prefix + name, value, None, unit, real.split, num, protocol))
    return table


def _settings(features: np.ndarray, seed: int) -> str:
    """Name the numbers that the metrics are defined with."""
    num, dim = features.shape
    subsets = f"{NUM_SUBSETS} subsets of {subset_size(num)} (seed {seed})"
    few = "" if num > dim else f"; {num} examples are too few for the covariance of {dim} features"
    return (
        f"kernel distance: mean and std over {subsets}; classifier score: over 10 parts; "
        "k = 3 of precision and recall, 5 of density and coverage; "
        f"distances to training examples: of raw values, of the first {min(num, COPY_SAMPLES)}{few}"
    )


def _some(x: Array, most: int) -> Array:
    """Return at most so many examples: of more, a part drawn at random, the same each time.

    Samples may come in the order of their classes, so that the first ones are no sample of all.
    """
    if len(x) <= most:
        return x
    return np.asarray(x)[permutation(0, 0, len(x))[:most]]


def _flat(x: Array) -> np.ndarray:
    """Return examples as vectors, [N, D]."""
    return np.asarray(x).reshape(len(x), -1)
