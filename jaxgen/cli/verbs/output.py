"""The spine of the verbs: a run in, a thing made, said first and then saved.

    target = Target(out, "samples.png", (".png", ".npz"))    # refuses a wrong --out before any work
    trained = load(run)
    return deliver(made(trained), target.path(trained.folder))

What was found is printed before it is written, so that a folder that cannot be written costs a file
and no numbers; a reader of the print that has seen enough costs nothing at all.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxgen.cli.process import flush
from jaxgen.console import say
from jaxgen.errors import ConfigError

WIDTH = 80  # of a terminal
RunFolder = Annotated[Path, tyro.conf.Positional]
WeightsFlag = Literal["average", "parameters"] | None  # as `load` takes it
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Made:
    """A thing that a verb made.

    Attributes:
      words: what is printed of it; empty for nothing.
      forms: {suffix: what writes it to a path}.
      exit_code: of the command.
    """

    words: str
    forms: Mapping[str, Callable[[Path], None]]
    exit_code: int = 0


@dataclass(frozen=True)
class Target:
    """The path that a thing will be saved at.

    Attributes:
      out: the path that `--out` gives.
      name: of the file in the run folder, where it gives none.
      suffixes: that the thing can be saved with.
    """

    out: Path | None
    name: str
    suffixes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a suffix that the thing has no form for."""
        if self.out is not None and self.out.suffix not in self.suffixes:
            expected = " or ".join(f"FILE{suffix}" for suffix in self.suffixes)
            raise ConfigError(f"--out: got {self.out}, expected {expected}")

    @property
    def suffix(self) -> str:
        """The suffix of the file."""
        return (self.out or Path(self.name)).suffix

    def path(self, folder: Path) -> Path:
        """Return the path, in the run folder where none was given."""
        return self.out or folder / self.name


def deliver(made: Made, path: Path) -> int:
    """Say a thing, save it, say where, and return the exit code. Raises StorageError."""
    if made.words:
        tell(made.words)
    save(made, path)
    tell(path)
    return made.exit_code


def save(made: Made, path: Path) -> None:
    """Write a thing in the form that the path's suffix asks for. Raises StorageError."""
    made.forms[path.suffix](path)


def tell(text: object) -> None:
    """Print it now; go on in silence if nobody reads it."""
    with contextlib.suppress(BrokenPipeError):
        say(text)
    flush()


def pictured(words: str, picture: Callable[[], Any], arrays: Mapping[str, Any]) -> Made:
    """Return a thing that is a picture, made on demand, uint8 [H, W, 3], or named arrays."""
    from jaxgen.figures.images import save_png
    from jaxgen.files import write_npz

    forms: dict[str, Callable[[Path], None]] = {
        ".png": lambda path: save_png(path, picture()),
        ".npz": lambda path: write_npz(path, arrays),
    }
    return Made(words, forms)


def require_positive(name: str, value: int) -> None:
    """Raise ConfigError unless the flag's value is at least 1."""
    if value < 1:
        raise ConfigError(f"--{name}: got {value}, expected >= 1")


def require_seed(value: int) -> int:
    """Return the seed. Raises ConfigError unless it has 32 bits."""
    if not 0 <= value <= _LARGEST_SEED:
        raise ConfigError(f"--seed: got {value}, expected 0 .. 2^32 - 1")
    return value
