"""The real examples that samples are compared with: which of them, and which a model has not seen.

Examples are those of a sample of their split (`Split.sample`), for files lie in an order. What a
model was trained on is in `train_on`: after train+validation the test split alone is unseen.
"""

from dataclasses import dataclass
from typing import final

import jax
import numpy as np

from jaxgen.data import Dataset
from jaxgen.data.readers.mixtures import MIXTURES, PlanarMixture
from jaxgen.data.split import SPLITS
from jaxgen.errors import ConfigError
from jaxgen.fields import IMAGE

MAX_EXAMPLES = 10_000  # on each side
MAX_TRAIN = 60_000  # among which a sample's nearest training example is looked for
_FEWEST = 10
_FRESH = 2**32 - 1  # the seed of training examples that are drawn, apart from those of small runs


@final
@dataclass(frozen=True, eq=False)
class Real:
    """Hold real examples [N, *shape], as the model sees them.

    Attributes:
      split: the name of the reference split.
      reference: what samples are compared with.
      other: as many others of another split, compared with the reference in the samples' place.
      other_split: where these are from.
      train: the training examples; None if they are drawn afresh for ever.
      unseen: examples that the model was not trained on; None where there are none.
      mixture: the data's distribution, where it is one of known modes.
      range: the bounds of the data and of samples; None of continuous data, and for a model whose
        samples have no bounds.
    """

    split: str
    reference: np.ndarray
    other: np.ndarray
    other_split: str
    train: np.ndarray | None
    unseen: np.ndarray | None
    mixture: PlanarMixture | None = None
    range: tuple[float, float] | None = None


def real_examples(
    dataset: Dataset,
    split: str = "test",
    num: int = MAX_EXAMPLES,
    *,
    name: str = IMAGE,
) -> Real:
    """Return the real examples that samples are measured with.

    Args:
      dataset: with the three splits.
      split: the reference.
      num: the most examples on a side. As many are taken of the reference as of the others.
      name: the field that the model makes.

    Returns:
      The reference and other examples: of the training split, or, if the reference is trained on,
      of those that are not: validation and test, or test alone after train+validation. Raises
      ConfigError if there are fewer than 10.
    """
    reference = dataset.batch(split, num)[name]
    finite = dataset.splits["train"].num is not None
    train = dataset.batch("train", MAX_TRAIN)[name] if finite else None
    held_out = [each for each in SPLITS if each not in dataset.seen]
    if split in dataset.seen:
        found = [dataset.batch(each, num)[name] for each in held_out]
        other = np.concatenate(found)
        mixed = np.random.default_rng(0).permutation(len(other))
        other = other[mixed]
        other_split = " and ".join(held_out)
    else:
        held_out = [split]
        other = _training_examples(dataset, num, name)
        other_split = "train"
    num = min(len(reference), len(other), num)
    if num < _FEWEST:
        raise ConfigError(f"--split {split}: {num} examples, expected {_FEWEST} or more")
    reference = reference[:num]
    other = other[:num]
    unseen: np.ndarray | None = other if split in dataset.seen else reference
    hashes = {dataset.splits[each].sha256 for each in dataset.seen}
    if any(dataset.splits[each].sha256 in hashes for each in held_out):  # one set given twice
        unseen = None
    mixture = MIXTURES.get(dataset.config.name)
    bounds = dataset.range if name in (IMAGE, "other") else None  # other fields have their own
    return Real(split, reference, other, other_split, train, unseen, mixture, bounds)


def _training_examples(dataset: Dataset, num: int, name: str) -> np.ndarray:
    """Return a sample of `num` training examples, or fresh ones."""
    if dataset.splits["train"].num is not None:
        return dataset.batch("train", num)[name]
    batch = dataset.splits["train"].batch(_FRESH, 0, num)
    prepared = dataset.prepare(batch, jax.random.key(0))
    return np.asarray(prepared[name])
