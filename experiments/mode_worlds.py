"""What the mode lab's models are to draw, and how the modes of their draws are counted.

    ring, small_ring, grid   mixtures in the plane (`data/mixtures.py`), 2500 samples
    stacked_digits           a digit in each of three channels: 1000 modes, 26 000 samples, read by
                             a classifier trained on the training split

Metz et al., 2017 (arXiv 1611.02163) and Lin et al., 2017 (arXiv 1712.04086), whose numbers of
samples these are.

*Differs from the papers:* they stack MNIST, 28x28; here the embedded digits, 8x8, are stacked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import pictures, plots
from jaxgen.data import Data, load
from jaxgen.data.mixtures import MIXTURES, Mixture
from jaxgen.evaluation import classifier
from jaxgen.evaluation.modes import (
    covered,
    divergence_from_uniform,
    label_counts,
    measure_modes,
    stacked_label,
)


class World(Protocol):
    """Data with modes that can be counted.

    Attributes:
      shape: of an example.
      num_samples: that are measured, a multiple of 500.
      shown: samples of a snapshot.
      counted_by: how, in words.
    """

    shape: tuple[int, ...]
    num_samples: int
    shown: int
    counted_by: str

    @classmethod
    def of(cls, name: str) -> "World":
        """The world of that name."""

    def draw(self, key: jax.Array, num: int) -> jax.Array:
        """`num` examples, [num, *shape]."""

    def measure(self, x: jax.Array) -> dict[str, jax.Array]:
        """Numbers of samples [N, *shape]: covered, reverse_kl, and high_quality in the plane."""

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Samples under their captions, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Plane:
    """Points of a mixture.

    Attributes:
      name: of the mixture.
      mixture: with its centres.
    """

    name: str
    mixture: Mixture
    shape: ClassVar[tuple[int, ...]] = (2,)
    num_samples: ClassVar[int] = 2500
    shown: ClassVar[int] = 2500
    counted_by: ClassVar[str] = "the nearest centre, within three standard deviations"

    @classmethod
    def of(cls, name: str) -> "Plane":
        """The mixture of that name."""
        return cls(name, MIXTURES[name])

    def draw(self, key: jax.Array, num: int) -> jax.Array:
        """A centre each, and noise around it."""
        centre_key, noise_key = jax.random.split(key)
        centres = jnp.asarray(self.mixture.centres)
        chosen = centres[jax.random.randint(centre_key, (num,), 0, len(centres))]
        return chosen + self.mixture.std * jax.random.normal(noise_key, chosen.shape)

    def measure(self, x: jax.Array) -> dict[str, jax.Array]:
        """Modes of high-quality samples, the share of these, and their reverse KL."""
        centres = jnp.asarray(self.mixture.centres)
        return measure_modes(x, centres, self.mixture.std)._asdict()

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """A panel for each snapshot, and one for the mixture."""
        real = np.asarray(self.draw(jax.random.key(0), self.num_samples))
        return plots.scatter({**seen, self.name: real})


@dataclass(frozen=True, eq=False)
class StackedDigits:
    """Three training digits, drawn apart, as the channels of one image in [-1, 1].

    Attributes:
      images: [N, 8, 8], the training split.
      trained: what reads the digits.
    """

    images: jax.Array
    trained: classifier.Trained
    shape: ClassVar[tuple[int, ...]] = (8, 8, 3)
    num_samples: ClassVar[int] = 26_000
    shown: ClassVar[int] = 12

    @classmethod
    def of(cls, name: str) -> "StackedDigits":
        """Of the embedded digits; trains the classifier, some seconds."""
        del name  # there is but one
        dataset = load(Data(transform="symmetric"))
        train, test = dataset.batch("train"), dataset.batch("test")
        model = classifier.for_examples(train["image"], dataset.num_classes)
        trained = classifier.train(model, train, test, f"{len(train['image'])} digits")
        return cls(jnp.asarray(train["image"])[..., 0], trained)

    @property
    def counted_by(self) -> str:
        """The classifier's accuracy and hash."""
        return self.trained.extractor().description

    def draw(self, key: jax.Array, num: int) -> jax.Array:
        """[num, 8, 8, 3]."""
        chosen = jax.random.randint(key, (num, 3), 0, len(self.images))
        return jnp.moveaxis(self.images[chosen], 1, -1)

    def measure(self, x: jax.Array) -> dict[str, jax.Array]:
        """Modes by what the classifier reads in each channel, and their reverse KL."""
        model, variables = self.trained.model, self.trained.variables
        channels = jnp.moveaxis(x, -1, 1).reshape(-1, 8, 8, 1)
        read = model.features(variables, channels)[1].argmax(axis=-1)
        counts = label_counts(stacked_label(read.reshape(-1, 3)), 1000)
        return {"covered": covered(counts), "reverse_kl": divergence_from_uniform(counts)}

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """A row for each snapshot, data last."""
        real = np.asarray(self.draw(jax.random.key(0), self.shown))
        return pictures.rows((np.stack([*seen.values(), real]) + 1) / 2)


WORLDS: dict[str, type[World]] = {
    **dict.fromkeys(MIXTURES, Plane),
    "stacked_digits": StackedDigits,
}
PRESET_OF = {  # where none is asked for
    "ring": "unrolled",
    "small_ring": "small",
    "grid": "small",
    "stacked_digits": "stacked",
}
