"""`jaxgen complete`: test examples of which half is given."""

from pathlib import Path
from typing import Literal

from jaxgen.cli.verbs.output import (
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    pictured,
    require_positive,
    require_seed,
)


def complete(
    run: RunFolder,
    *,
    num: int = 12,
    times: int = 6,
    known: Literal["upper", "left"] = "upper",
    seed: int = 0,
    weights: WeightsFlag = None,
    out: Path | None = None,
) -> int:
    """Complete test examples of which half is given (.png: given, completions, truth; or .npz).

    Args:
      run: the run folder, wherever it is.
      num: rows.
      times: completions of each.
      known: which half is given; of a vector it is the first.
      seed: of the draws.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.png or FILE.npz. Default: completions.png in the run folder.
    """
    import jax

    from jaxgen import fields
    from jaxgen.evaluation import generate
    from jaxgen.figures import gallery
    from jaxgen.runs.loaded import load

    key = jax.random.key(require_seed(seed))
    require_positive("num", num)
    require_positive("times", times)
    target = Target(out, "completions.png", (".png", ".npz"))
    trained = load(run, weights=weights)
    batch = trained.dataset().batch("test", num)
    real = batch[fields.target(trained.model)]
    mask = generate.known_half(trained.model.shape, known)
    x = generate.completions(trained.model, trained.variables, key, batch, mask, times)
    made = pictured(
        f"{len(real)} test examples, {times} completions each, seed {seed}",
        lambda: gallery.completions(real, mask, x, trained.data_record),
        {"x": x, "real": real, "known": mask},
    )
    return deliver(made, target.path(trained.folder))
