"""`jaxgen reconstruct`: test examples, and what the model makes of their codes."""

from pathlib import Path

from jaxgen.cli.verbs.output import (
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    pictured,
    require_positive,
)


def reconstruct(
    run: RunFolder,
    *,
    num: int = 32,
    weights: WeightsFlag = None,
    out: Path | None = None,
) -> int:
    """Reconstruct test examples: each above its reconstruction (.png), or both arrays (.npz).

    Args:
      run: the run folder, wherever it is.
      num: how many.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.png or FILE.npz. Default: reconstructions.png in the run folder.
    """
    from jaxgen import fields
    from jaxgen.evaluation import generate
    from jaxgen.figures import gallery
    from jaxgen.runs.loaded import load

    require_positive("num", num)
    target = Target(out, "reconstructions.png", (".png", ".npz"))
    trained = load(run, weights=weights)
    batch = trained.dataset().batch("test", num)
    real = batch[fields.target(trained.model)]
    given = fields.conditions(trained.model, batch)
    x = generate.reconstructions(trained.model, trained.variables, real, conditions=given)
    made = pictured(
        f"{len(real)} test examples and their reconstructions",
        lambda: gallery.paired(real, x, trained.data_record),
        {"x": x, "real": real},
    )
    return deliver(made, target.path(trained.folder))
