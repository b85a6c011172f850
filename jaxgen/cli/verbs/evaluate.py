"""`jaxgen evaluate`: numbers with their standard errors and protocol.

The way of the numbers: `runs/measure.py` loads the run and asks the table of measures; of a model
that only samples, `runs/by_samples.py` goes through the kept checkpoints, whose samples
`evaluation/samples.py` compares with real examples.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jaxgen.cli.verbs.output import (
    WIDTH,
    Made,
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    require_positive,
    require_seed,
)

if TYPE_CHECKING:
    from jaxgen.evaluation import Record


def evaluate(
    run: RunFolder,
    *,
    split: str = "test",
    num_samples: int = 500,
    seed: int = 0,
    weights: WeightsFlag = None,
    out: Path | None = None,
    ladder: bool = False,
) -> int:
    """Measure the model on held-out data; writes evaluation.json.

    A model that can only sample is measured by its samples, which are drawn over their nearest
    training examples in neighbours.png.

    Args:
      run: the run folder, wherever it is.
      split: train, validation or test.
      num_samples: importance samples per example, for a model with a bound.
      seed: of the draws.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.json. Default: evaluation.json in the run folder.
      ladder: of a model with p(x | z), bounds of log p(x) from below and above too, on examples
        that the model makes: ELBO, IWAE, annealed importance sampling, bidirectional Monte Carlo.
    """
    from jaxgen.runs import measure

    require_seed(seed)
    require_positive("num-samples", num_samples)
    target = Target(out, "evaluation.json", (".json",))
    trained, table = measure.evaluate(
        run, split=split, num_samples=num_samples, seed=seed, weights=weights
    )
    if ladder:
        table = [*table, *measure.measure_ladder(trained, num_samples=num_samples, seed=seed)]
    return deliver(_numbers(table), target.path(trained.folder))


def _numbers(table: "Sequence[Record]") -> Made:
    from jaxgen.files import write_json

    lines = []
    for i, record in enumerate(table):
        lines.append(_line(record))
        following = table[i + 1] if i + 1 < len(table) else None
        if following is None or following.protocol != record.protocol:
            lines += textwrap.wrap(record.protocol, WIDTH)
    records = [asdict(record) for record in table]
    return Made("\n".join(lines), {".json": lambda path: write_json(path, records)})


def _line(record: "Record") -> str:
    error = "" if record.standard_error is None else f"± {record.standard_error:.3f}"
    return f"{record.metric:27} {record.value:10.3f} {error:9} {record.unit}"
