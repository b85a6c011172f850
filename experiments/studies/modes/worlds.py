"""The distributions that the mode lab's models learn, and the count of modes in their draws.

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

from jaxgen.data import Data, load
from jaxgen.data.readers.mixtures import MIXTURES, PlanarMixture
from jaxgen.evaluation import classifier
from jaxgen.evaluation.modes import (
    covered,
    divergence_from_uniform,
    label_counts,
    measure_modes,
    stacked_label,
)
from jaxgen.figures import images, plots
from jaxgen.typing import Array, Key


class World(Protocol):
    """Data with modes that can be counted.

    Attributes:
      shape: of an example.
      num_samples: that are measured, a multiple of 500.
      shown: samples of a snapshot.
    """

    shape: ClassVar[tuple[int, ...]]
    num_samples: ClassVar[int]
    shown: ClassVar[int]

    @classmethod
    def of(cls, name: str) -> "World":
        """Return the world of that name."""
        ...

    @property
    def counted_by(self) -> str:
        """The way of counting, in words."""
        ...

    def draw(self, key: Key, num: int) -> jax.Array:
        """Return `num` examples, [num, *shape]."""
        ...

    def measure(self, x: jax.Array) -> dict[str, Array]:
        """Return numbers of samples [N, *shape]: covered, reverse_kl; in the plane high_quality."""
        ...

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return samples under their captions, uint8 [H, W, 3]."""
        ...


@dataclass(frozen=True)
class Plane:
    """Points of a mixture.

    Attributes:
      name: of the mixture.
      mixture: with its centres.
    """

    name: str
    mixture: PlanarMixture
    shape: ClassVar[tuple[int, ...]] = (2,)
    num_samples: ClassVar[int] = 2500
    shown: ClassVar[int] = 2500

    @classmethod
    def of(cls, name: str) -> "Plane":
        """Return the mixture of that name."""
        return cls(name, MIXTURES[name])

    @property
    def counted_by(self) -> str:
        """The way of counting, in words."""
        return "the nearest centre, within three standard deviations"

    def draw(self, key: Key, num: int) -> jax.Array:
        """Draw a centre each, and noise around it."""
        centre_key, noise_key = jax.random.split(key)
        centres = jnp.asarray(self.mixture.centres)
        chosen = centres[jax.random.randint(centre_key, (num,), 0, len(centres))]
        return chosen + self.mixture.std * jax.random.normal(noise_key, chosen.shape)

    def measure(self, x: jax.Array) -> dict[str, Array]:
        """Return the modes of high-quality samples, the share of these, and their reverse KL."""
        centres = jnp.asarray(self.mixture.centres)
        return measure_modes(x, centres, self.mixture.std)._asdict()

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Draw a panel for each snapshot, and one for the mixture."""
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
        """Return the embedded digits; trains the classifier, some seconds."""
        del name  # there is but one
        dataset = load(Data(transform="symmetric"))
        train = dataset.batch("train")
        test = dataset.batch("test")
        model = classifier.for_examples(train["image"], dataset.num_classes or 0)
        trained = classifier.train(model, train, test, f"{len(train['image'])} digits")
        return cls(jnp.asarray(train["image"])[..., 0], trained)

    @property
    def counted_by(self) -> str:
        """The classifier, its accuracy and its hash."""
        return self.trained.extractor().description

    def draw(self, key: Key, num: int) -> jax.Array:
        """Return stacked digits, [num, 8, 8, 3]."""
        chosen = jax.random.randint(key, (num, 3), 0, len(self.images))
        # [num, 3, 8, 8] -> [num, 8, 8, 3]
        return jnp.moveaxis(self.images[chosen], 1, -1)

    def measure(self, x: jax.Array) -> dict[str, Array]:
        """Count modes by what the classifier reads in each channel, and their reverse KL."""
        model = self.trained.model
        # [N, 8, 8, 3] -> [3 N, 8, 8, 1]: the channels one after the other
        channels = jnp.moveaxis(x, -1, 1).reshape(-1, 8, 8, 1)
        read = model.features(self.trained.variables, channels)[1].argmax(axis=-1)
        counts = label_counts(stacked_label(read.reshape(-1, 3)), 1000)
        return {"covered": covered(counts), "reverse_kl": divergence_from_uniform(counts)}

    def picture(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Draw a row for each snapshot, data last."""
        real = np.asarray(self.draw(jax.random.key(0), self.shown))
        return images.rows((np.stack([*seen.values(), real]) + 1) / 2)


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
