"""The choice of a data set and of how its values reach a model: a recipe's `--data.*` flags."""

from dataclasses import dataclass
from typing import Literal, get_args

from jaxgen.errors import ConfigError

Transform = Literal[
    "binarise", "binarise_stochastic", "dequantise", "levels", "unit", "symmetric", "none"
]
TrainOn = Literal["train", "train+validation"]
_SIDE = 2**14  # a batch of larger images is no longer one


@dataclass(frozen=True)
class Data:
    """Which examples, and in which form.

    Raises:
      ConfigError: a field that can work with no data set.
    """

    name: str = "digits"
    """Data set: digits; chain, bars, markov, banana, linear_gaussian, ring, small_ring or grid
    (synthetic, entropy known); tones (synthetic sound); any TFDS name; or a path: a folder of
    images, a WAV file or a folder of them, IDX files or the folder that holds them. A path that
    exists wins over a TFDS name."""

    transform: Transform = "binarise"
    """What a model sees of a value x in 0..levels-1: binarise 1[x >= threshold];
    binarise_stochastic Bernoulli(x / (levels - 1)), drawn at every step; dequantise
    (x + u) / levels with u uniform; levels x; unit x / (levels - 1); symmetric
    2 x / (levels - 1) - 1, in [-1, 1]; none x itself (continuous sets allow only this)."""

    threshold: int | None = None
    """For binarise: a pixel >= threshold becomes 1. Default: levels // 2 (8 for digits, 128 for
    bytes)."""

    train_on: TrainOn = "train"
    """What the train split holds. After train+validation the validation split is not unseen."""

    dir: str | None = None
    """Folder of prepared TFDS sets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""

    download: bool = False
    """Let TFDS download and prepare a set that is not prepared yet."""

    image_size: int | None = None
    """For a folder of images, or images of TFDS: crop to the central square and resize to this
    side."""

    length: int | None = None
    """For WAV files: samples of an example, which is a piece of a file. Default: 2048."""

    labels: int | None = None
    """Keep the labels of so many training examples, equally many of each class; the others have
    label -1. Default: all."""

    def __post_init__(self) -> None:
        """Reject what is wrong whatever the data set."""
        if not self.name:
            raise ConfigError("--data.name is empty: name a data set or a path, for example digits")
        for flag, text in (("name", self.name), ("dir", self.dir or "")):
            if not text.isprintable():
                raise ConfigError(f"--data.{flag}: got {text!r}, expected printable characters")
        for flag, value, allowed in (
            ("transform", self.transform, get_args(Transform)),
            ("train-on", self.train_on, get_args(TrainOn)),
        ):
            if value not in allowed:
                raise ConfigError(f"--data.{flag} {value}: choose from {', '.join(allowed)}")
        for flag, value in (
            ("threshold", self.threshold),
            ("image-size", self.image_size),
            ("length", self.length),
            ("labels", self.labels),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"--data.{flag} {value}: must be at least 1")
        if self.image_size is not None and self.image_size > _SIDE:
            raise ConfigError(f"--data.image-size {self.image_size}: must be at most {_SIDE}")
