"""`jaxgen interpolate`: walks between codes."""

from pathlib import Path

from jaxgen.cli.verbs.output import (
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    pictured,
    require_positive,
    require_seed,
)


def interpolate(
    run: RunFolder,
    *,
    num: int = 8,
    points: int = 11,
    seed: int = 0,
    weights: WeightsFlag = None,
    out: Path | None = None,
) -> int:
    """Walk between the codes of test examples, a row for each pair (.png, or .npz).

    A model that has no codes of examples, but latents, walks between draws of its prior.

    Args:
      run: the run folder, wherever it is.
      num: rows.
      points: steps in a row, both ends included.
      seed: of the draws.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.png or FILE.npz. Default: interpolation.png in the run folder.
    """
    import jax

    from jaxgen import fields
    from jaxgen.evaluation import generate
    from jaxgen.figures import gallery
    from jaxgen.runs.loaded import load
    from jaxgen.typing import Encoder, Latent

    require_positive("num", num)
    require_positive("points", points)
    key = jax.random.key(require_seed(seed))
    target = Target(out, "interpolation.png", (".png", ".npz"))
    trained = load(run, weights=weights)
    model = trained.model
    variables = trained.variables
    if isinstance(model, Latent) and not isinstance(model, Encoder):
        ends = "draws of the prior"
        given = generate.conditions_of_samples(model, trained.dataset, num)
        x = generate.prior_walks(model, variables, key, num, points, conditions=given)
    else:
        ends = "test examples"
        batch = trained.dataset().batch("test", 2 * num)
        real = batch[fields.target(model)]
        given = fields.conditions(model, batch)
        x = generate.interpolations(model, variables, real, points, conditions=given)
    made = pictured(
        f"{len(x)} walks of {points} points between {ends}",
        lambda: gallery.walks(x, trained.data_record),
        {"x": x},
    )
    return deliver(made, target.path(trained.folder))
