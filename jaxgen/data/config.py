"""The choice of a data set and of how its values reach a model: a recipe's `--data.*` flags."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from jaxgen.console import is_printable
from jaxgen.errors import ConfigError

Transform = Literal[
    "binarise", "binarise_stochastic", "dequantise", "levels", "unit", "symmetric", "none"
]
TrainOn = Literal["train", "train+validation"]
Derived = Literal["low"]
Rules = Literal[1, 2]
_SIDE = 2**14  # a batch of larger images is no longer one


@dataclass(frozen=True)
class Data:
    """The choice of examples, and of their form.

    Raises:
      ConfigError: a field that can work with no data set.
    """

    name: str = "digits"
    """Data set: digits; chain, bars, markov, banana, linear_gaussian, sources, ring, small_ring
    or grid (synthetic, entropy known); tones (synthetic sound); any TFDS name; or a path: a folder
    of images, a sound file (WAV, FLAC) or a folder of them, IDX files or the folder that holds
    them, an .npz file of arrays. A bare name that TFDS knows is its set: ./cifar10 is the path."""

    transform: Transform = "binarise"
    """The form that a model sees of a value x in 0..levels-1: binarise 1[x >= threshold];
    binarise_stochastic Bernoulli(x / (levels - 1)), drawn at every step; dequantise
    (x + u) / levels with u uniform; levels x; unit x / (levels - 1); symmetric
    2 x / (levels - 1) - 1, in [-1, 1]; none x itself (continuous sets allow only this)."""

    threshold: int | None = None
    """For binarise: a pixel >= threshold becomes 1. Default: levels // 2 (8 for digits, 128 for
    bytes)."""

    train_on: TrainOn = "train"
    """Examples of the train split. After train+validation the validation split is not unseen."""

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

    levels: int | None = None
    """Values of a pixel of bytes, 0..levels-1. Default: as many as the data show where these are at
    most 128 (of picture files 32), else 256."""

    derive: tuple[str, ...] = ()
    """Fields made of an example's image, besides it: low, the image at half its resolution, each
    pixel the mean of 2 x 2 (for super-resolution)."""

    rules: Rules = 2
    """Rules by which a source is read. 2: held-out examples are drawn at random where it has none
    of its own; levels and classes are those that the data show. 1, as runs without rules in their
    record were read: the last tenths; 256 levels; classes 0 to the largest label. A run keeps its
    own."""

    def __post_init__(self) -> None:
        """Reject what is wrong whatever the data set."""
        if not self.name:
            raise ConfigError("--data.name is empty: name a data set or a path, for example digits")
        _require_printable("name", self.name, is_printable(self.name))
        # TFDS takes no bytes that are not text.
        _require_printable("dir", self.dir or "", (self.dir or "").isprintable())
        _require_choice("transform", self.transform, get_args(Transform))
        _require_choice("train-on", self.train_on, get_args(TrainOn))
        for field in self.derive:
            _require_choice("derive", field, get_args(Derived))
        if len(set(self.derive)) < len(self.derive):
            raise ConfigError(f"--data.derive {' '.join(self.derive)}: name each field once")
        _require_at_least_1("threshold", self.threshold)
        _require_at_least_1("image-size", self.image_size)
        _require_at_least_1("length", self.length)
        _require_at_least_1("labels", self.labels)
        if self.levels is not None and not 2 <= self.levels <= 256:
            raise ConfigError(f"--data.levels {self.levels}: must be 2 to 256")
        if self.rules not in get_args(Rules):
            raise ConfigError(f"--data.rules {self.rules}: choose from 1, 2")
        if self.image_size is not None and self.image_size > _SIDE:
            raise ConfigError(f"--data.image-size {self.image_size}: must be at most {_SIDE}")

    @property
    def by_sight(self) -> bool:
        """True where levels and classes are found by a look at the data: by rules 2."""
        return self.rules >= 2


def _require_printable(flag: str, text: str, shown: bool) -> None:
    """Raise ConfigError unless a terminal can show the text."""
    if not shown:
        raise ConfigError(f"--data.{flag}: got {text!r}, expected printable characters")


def _require_choice(
    flag: str,
    value: str,
    allowed: Iterable[str],
) -> None:
    """Raise ConfigError, naming the choices, unless the value is one of them."""
    if value not in allowed:
        raise ConfigError(f"--data.{flag} {value}: choose from {', '.join(allowed)}")


def _require_at_least_1(flag: str, value: int | None) -> None:
    """Raise ConfigError unless the number is left out or positive."""
    if value is not None and value < 1:
        raise ConfigError(f"--data.{flag} {value}: must be at least 1")
