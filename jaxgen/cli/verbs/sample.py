"""`jaxgen sample`: samples as a picture, as an array, or as sound."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxgen.cli.verbs.output import (
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    pictured,
    require_positive,
    require_seed,
)
from jaxgen.errors import ConfigError

_SAMPLES = 64
_CHAINS = 8
_LEAST_POINTS = 2

if TYPE_CHECKING:
    from jaxgen.runs.loaded import Run


def sample(
    run: RunFolder,
    *,
    num: int | None = None,
    seed: int = 0,
    values: Literal["means", "draws"] | None = None,
    label: int | None = None,
    chain: bool = False,
    points: int = 11,
    weights: WeightsFlag = None,
    out: Path | None = None,
) -> int:
    """Draw samples, as a picture (.png), an array in the model's space (.npz) or sound (.wav).

    Args:
      run: the run folder, wherever it is.
      num: how many; 64, or 8 chains.
      seed: of the draws.
      values: for a model with latents, means of p(x | z) or draws from it. Default: means in a
        picture, as is the custom, and draws in an array.
      label: for a class-conditional model, the class of all samples. Default: the classes one after
        the other, in a picture a row for each, with as many samples as fill the rows.
      chain: for a model whose samples are the ends of chains, those over time, from noise to the
        sample, a row for each (.png, or .npz).
      points: times of a chain, both ends among them.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.png, FILE.npz or, of a model of sound, FILE.wav: the samples one after the other.
        Default: samples.png in the run folder, chains.png for chains.
    """
    import jax

    from jaxgen.evaluation import generate
    from jaxgen.figures import gallery
    from jaxgen.runs.loaded import load

    key = jax.random.key(require_seed(seed))
    if num is None:
        num = _CHAINS if chain else _SAMPLES
    require_positive("num", num)
    if chain:
        return _chains(run, num, points, seed, label, weights, out)
    target = Target(out, "samples.png", (".png", ".npz", ".wav"))
    trained = load(run, weights=weights)
    _require_sound(trained, target)
    pictures = target.suffix == ".png"
    columns = None
    if pictures:
        num, columns = generate.fill_rows(trained.model, num, label)
    means = values == "means" if values else pictures
    given = generate.conditions_of_samples(trained.model, trained.dataset, num, label)
    x, kind = generate.samples(
        trained.model, trained.variables, key, num, means=means, conditions=given
    )
    made = pictured(
        f"{num} {kind}{_of_class(trained, label)}, seed {seed}",
        lambda: gallery.picture(x, trained.data_record, columns=columns),
        {"x": x, **given},
    )
    made = replace(made, forms={**made.forms, ".wav": _sound(x, trained.data_record)})
    return deliver(made, target.path(trained.folder))


def _chains(
    run: Path,
    num: int,
    points: int,
    seed: int,
    label: int | None,
    weights: WeightsFlag,
    out: Path | None,
) -> int:
    """Draw chains over time, as a picture or an array."""
    import jax

    from jaxgen.evaluation import generate
    from jaxgen.figures import gallery
    from jaxgen.runs.loaded import load

    if points < _LEAST_POINTS:
        raise ConfigError(f"--points: got {points}, expected >= {_LEAST_POINTS}")
    target = Target(out, "chains.png", (".png", ".npz"))
    trained = load(run, weights=weights)
    given = generate.conditions_of_samples(trained.model, trained.dataset, num, label)
    key = jax.random.key(seed)
    x = generate.chains(
        trained.model,
        trained.variables,
        key,
        num,
        points,
        conditions=given,
    )
    made = pictured(
        f"{num} chains at {points} times{_of_class(trained, label)}, seed {seed}",
        lambda: gallery.chains(x, trained.data_record),
        {"x": x, **given},
    )
    return deliver(made, target.path(trained.folder))


def _of_class(trained: "Run", label: int | None) -> str:
    """Return ' of class 3 (trumpet)', without the name where the data have none."""
    if label is None:
        return ""
    names = trained.data_record.get("class_names")
    if not isinstance(names, list) or label >= len(names):
        return f" of class {label}"
    return f" of class {label} ({names[label]})"


def _require_sound(trained: "Run", target: Target) -> None:
    if target.suffix == ".wav" and "sample_rate" not in trained.data_record:
        raise ConfigError(f"--out: got {target.out}, but the run's data are no sound")


def _sound(x: Any, form: dict[str, Any]) -> Callable[[Path], None]:
    from jaxgen.data.readers import wav
    from jaxgen.files import write_file

    def write(path: Path) -> None:
        write_file(path, wav.encode(x, form["levels"], form["sample_rate"]))

    return write
