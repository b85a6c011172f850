"""`jaxgen check`: the certificate of a run."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxgen.cli.verbs.output import (
    WIDTH,
    Made,
    RunFolder,
    Target,
    WeightsFlag,
    deliver,
    require_seed,
)

if TYPE_CHECKING:
    from jaxgen.check import Law, Untested

_INDENT = " " * 7
_EXAMPLES = 128  # of the test split, on which the laws are looked at


def check(
    run: RunFolder,
    *,
    seed: int = 0,
    weights: WeightsFlag = None,
    out: Path | None = None,
) -> int:
    """Test the laws of the model at its real configuration; writes certificate.json.

    It also lists what was not tested, for want of a method of the model. Exit code 1 if a law does
    not hold.

    Args:
      run: the run folder, wherever it is.
      seed: of the draws.
      weights: the moving average, or the parameters themselves. Default: the average if the run
        kept one.
      out: FILE.json. Default: certificate.json in the run folder.
    """
    import jax

    from jaxgen import fields
    from jaxgen.check import Subject, certificate, untested
    from jaxgen.runs.loaded import load

    key = jax.random.key(require_seed(seed))
    target = Target(out, "certificate.json", (".json",))
    trained = load(run, weights=weights)
    batch = trained.dataset().batch("test", _EXAMPLES)
    x = jax.numpy.asarray(batch.pop(fields.target(trained.model)))
    subject = Subject(trained.experiment, trained.variables, x, key, batch)
    laws = certificate(subject)
    made = _certificate(laws, untested(subject), trained.step)
    return deliver(made, target.path(trained.folder))


def _certificate(laws: "Sequence[Law]", left: "Sequence[Untested]", step: int) -> Made:
    from jaxgen.files import write_json

    holding = sum(law.passed for law in laws)
    lines = [f"{'':5}  {'law':44} {'figure':>10} {'bound':>10}"]
    for law in laws:
        lines.append(_line(law))
        if not law.passed:
            lines += textwrap.wrap(
                f"in {law.unit}: {law.meaning}",
                WIDTH,
                initial_indent=_INDENT,
                subsequent_indent=_INDENT,
            )
    lines.append(f"{holding} of {len(laws)} laws hold")
    for open_ in left:
        text = f"not tested: {open_.question}; it would take {open_.wants}"
        lines += textwrap.wrap(text, WIDTH, subsequent_indent=_INDENT)
    passed = holding == len(laws)
    record = {
        "passed": passed,
        "step": step,
        "laws": [law._asdict() for law in laws],
        "untested": [open_._asdict() for open_ in left],
    }
    return Made(
        "\n".join(lines),
        {".json": lambda path: write_json(path, record)},
        exit_code=0 if passed else 1,
    )


def _line(law: "Law") -> str:
    mark = "holds" if law.passed else "FAILS"
    return f"{mark}  {law.law:44} {law.figure:10.4g} {law.bound:10.3g}"
