"""Deep generative models from a run folder.

python -m experiments.vae_digits      train; the other recipes are in experiments/
jaxgen evaluate runs/vae_digits       numbers with their standard errors and protocol
jaxgen check runs/vae_digits          the certificate: the laws of this model, each with its figure
jaxgen sample runs/vae_digits         samples, as a picture or as .npz
jaxgen reconstruct runs/vae_digits    test examples and their reconstructions
jaxgen interpolate runs/vae_digits    between the codes of test examples, or draws of the prior
jaxgen complete runs/nade_digits      test examples of which half is given
jaxgen report runs/vae_digits         one page with everything
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxgen.console import say
from jaxgen.errors import ConfigError

RunFolder = Annotated[Path, tyro.conf.Positional]


def evaluate(run: RunFolder, *, split: str = "test", num_samples: int = 500, seed: int = 0) -> int:
    """Measure the model on held-out data; writes evaluation.json.

    A model that can only sample is measured by its samples, which are drawn over their nearest
    training examples in neighbours.png.

    Args:
      run: the run folder, wherever it is.
      split: train, validation or test.
      num_samples: importance samples per example, for a model with a bound.
      seed: of the draws.
    """
    from jaxgen import measurement
    from jaxgen.files import write_json
    from jaxgen.run import load

    _seed(seed)
    _positive("num-samples", num_samples)
    trained = load(run)
    if measurement.only_samples(trained.model):
        table = measurement.measure_checkpoints(run, split=split, seed=seed)
    else:
        table = measurement.measure_likelihood(
            trained, split=split, num_samples=num_samples, seed=seed
        )
    target = trained.folder / "evaluation.json"
    write_json(target, [asdict(record) for record in table])
    for record, following in zip(table, [*table[1:], None], strict=True):
        error = "" if record.standard_error is None else f"± {record.standard_error:.3f}"
        say(f"{record.metric:27} {record.value:10.3f} {error:9} {record.unit}")
        if following is None or following.protocol != record.protocol:
            say(record.protocol)
    say(target)
    return 0


def check(run: RunFolder, *, seed: int = 0) -> int:
    """Test the laws of the model at its real configuration; writes certificate.json.

    Exit code 1 if a law does not hold.

    Args:
      run: the run folder, wherever it is.
      seed: of the draws.
    """
    import jax

    from jaxgen.check import Subject, certificate
    from jaxgen.files import write_json
    from jaxgen.run import load

    key = jax.random.key(_seed(seed))
    trained = load(run)
    fields = trained.dataset().batch("test", 128)
    x = jax.numpy.asarray(fields.pop("image"))
    laws = certificate(Subject(trained.experiment, trained.variables, x, key, fields))
    passed = all(law.passed for law in laws)
    for law in laws:
        mark = "holds" if law.passed else "FAILS"
        say(f"{mark}  {law.law:46} {law.figure:11.4g}  (bound {law.bound:.3g} {law.unit})")
    target = trained.folder / "certificate.json"
    write_json(
        target, {"passed": passed, "step": trained.step, "laws": [x._asdict() for x in laws]}
    )
    say(f"{sum(law.passed for law in laws)} of {len(laws)} laws hold\n{target}")
    return 0 if passed else 1


def sample(
    run: RunFolder,
    *,
    num: int = 64,
    seed: int = 0,
    values: Literal["means", "draws"] | None = None,
    label: int | None = None,
    out: Path | None = None,
) -> int:
    """Draw samples, as a picture (.png), an array in the model's space (.npz) or sound (.wav).

    Args:
      run: the run folder, wherever it is.
      num: how many.
      seed: of the draws.
      values: for a model with latents, means of p(x | z) or draws from it. Default: means in a
        picture, as is the custom, and draws in an array.
      label: for a class-conditional model, the class of all samples. Default: the classes one after
        the other, in a picture a row for each, with as many samples as fill the rows.
      out: FILE.png, FILE.npz or, of a model of sound, FILE.wav: the samples one after the other.
        Default: samples.png in the run folder.
    """
    import jax

    from jaxgen import gallery
    from jaxgen.run import load

    key = jax.random.key(_seed(seed))
    _positive("num", num)
    _require_suffix(out, ".wav")
    trained = load(run)
    _require_sound(trained, out)
    target = out or trained.folder / "samples.png"
    values = values or ("means" if target.suffix == ".png" else "draws")
    num, columns = _in_rows(trained.model, num, label, target)
    condition = gallery.conditions(trained.model, trained.dataset, num, label)
    x, kind = gallery.draw(
        trained.model, trained.variables, key, num, mean=values == "means", condition=condition
    )
    if target.suffix == ".wav":
        _save_sound(target, x, trained.data_record)
    else:
        _save(target, x, gallery.picture(x, trained.data_record, columns=columns), **condition)
    say(f"{num} {kind}, seed {seed}\n{target}")
    return 0


def reconstruct(run: RunFolder, *, num: int = 32, out: Path | None = None) -> int:
    """Reconstruct test examples: each above its reconstruction (.png), or both arrays (.npz).

    Args:
      run: the run folder, wherever it is.
      num: how many.
      out: FILE.png or FILE.npz. Default: reconstructions.png in the run folder.
    """
    from jaxgen import gallery
    from jaxgen.run import load

    _positive("num", num)
    _require_suffix(out)
    trained = load(run)
    target = out or trained.folder / "reconstructions.png"
    real = trained.dataset().examples("test", num)
    made = gallery.reconstruct(trained.model, trained.variables, real)
    _save(target, made, gallery.paired(real, made, trained.data_record), real=real)
    say(f"{len(real)} test examples and their reconstructions\n{target}")
    return 0


def interpolate(
    run: RunFolder, *, num: int = 8, points: int = 11, seed: int = 0, out: Path | None = None
) -> int:
    """Walk between the codes of test examples, a row for each pair (.png, or .npz).

    A model that has no codes of examples, but latents, walks between draws of its prior.

    Args:
      run: the run folder, wherever it is.
      num: rows.
      points: steps in a row, both ends included.
      seed: of the draws.
      out: FILE.png or FILE.npz. Default: interpolation.png in the run folder.
    """
    import jax

    from jaxgen import gallery
    from jaxgen.run import load

    _positive("num", num)
    _positive("points", points)
    _require_suffix(out)
    trained = load(run)
    target = out or trained.folder / "interpolation.png"
    model, variables = trained.model, trained.variables
    if hasattr(model, "latents") and not hasattr(model, "encode"):
        condition, ends = gallery.conditions(model, trained.dataset, num), "draws of the prior"
        key = jax.random.key(_seed(seed))
        made = gallery.walk(model, variables, key, num, points, condition=condition)
    else:
        real, ends = trained.dataset().examples("test", 2 * num), "test examples"
        made = gallery.interpolate(model, variables, real, points)
    _save(target, made, gallery.walks(made, trained.data_record))
    say(f"{len(made)} walks of {points} points between {ends}\n{target}")
    return 0


def complete(
    run: RunFolder,
    *,
    num: int = 12,
    times: int = 6,
    known: Literal["upper", "left"] = "upper",
    seed: int = 0,
    out: Path | None = None,
) -> int:
    """Complete test examples of which half is given (.png: given, completions, truth; or .npz).

    Args:
      run: the run folder, wherever it is.
      num: rows.
      times: completions of each.
      known: which half is given; of a vector it is the first.
      seed: of the draws.
      out: FILE.png or FILE.npz. Default: completions.png in the run folder.
    """
    import jax

    from jaxgen import gallery
    from jaxgen.run import load

    key = jax.random.key(_seed(seed))
    _positive("num", num)
    _positive("times", times)
    _require_suffix(out)
    trained = load(run)
    target = out or trained.folder / "completions.png"
    fields = trained.dataset().batch("test", num)
    real, mask = fields["image"], gallery.half(trained.model.shape, known)
    made = gallery.complete(trained.model, trained.variables, key, fields, mask, times)
    picture = gallery.completions(real, mask, made, trained.data_record)
    _save(target, made, picture, real=real, known=mask)
    say(f"{len(real)} test examples, {times} completions each, seed {seed}\n{target}")
    return 0


def report(run: RunFolder) -> int:
    """Write report.html: curves, pictures, numbers, environment, how to repeat it; one file.

    Args:
      run: the run folder, wherever it is.
    """
    from jaxgen.report import write_report
    from jaxgen.run import locate

    say(write_report(locate(run)[0]))
    return 0


COMMANDS = (evaluate, check, sample, reconstruct, interpolate, complete, report)


def _require_suffix(out, *more):
    if out is not None and out.suffix not in (".png", ".npz", *more):
        expected = " or ".join(f"FILE{suffix}" for suffix in (".png", ".npz", *more))
        raise ConfigError(f"--out: got {out}, expected {expected}")


def _require_sound(trained, out):
    if out is not None and out.suffix == ".wav" and "sample_rate" not in trained.data_record:
        raise ConfigError(f"--out: got {out}, but the run's data are no sound")


def _save_sound(target, x, form):
    from jaxgen.data import wav
    from jaxgen.files import write_file

    write_file(target, wav.encode(x, form["levels"], form["sample_rate"]))


def _in_rows(model, num, label, target):
    """A picture has a whole row for each class; an array holds what was asked for."""
    from jaxgen import gallery

    return gallery.in_rows(model, num, label) if target.suffix == ".png" else (num, None)


def _save(target, x, picture, **more):
    from jaxgen.files import write_npz
    from jaxgen.pictures import save_png

    if target.suffix == ".npz":
        write_npz(target, {"x": x, **more})
    else:
        save_png(target, picture)


def _positive(name, value):
    if value < 1:
        raise ConfigError(f"--{name}: got {value}, expected >= 1")


def _seed(value):
    if not 0 <= value < 2**32:
        raise ConfigError(f"--seed: got {value}, expected 0 .. 2^32 - 1")
    return value
